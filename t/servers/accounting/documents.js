'use strict';
// What the server keeps, and the rules of the books. Each function looks at the state and returns
// {status, body, changes}; nothing is changed here.

const money = require('./money.js');

const CURRENCIES = new Set(Intl.supportedValuesOf('currency'));

// The kinds of document are alike: made once per seller and number, and undone at most once.
const KINDS = {
	invoice: { coll: 'invoices', path: '/v1/invoices', prefix: 'inv', made: 'posted',
		undo: 'void', undone: 'void', refused: 'not_voidable', duplicate: 'duplicate_number' },
	credit_note: { coll: 'credit_notes', path: '/v1/credit-notes', prefix: 'cn', made: 'posted',
		undo: 'void', undone: 'void', refused: 'not_voidable', duplicate: 'duplicate_number' },
	payment: { coll: 'payments', path: '/v1/payments', prefix: 'pay', made: 'paid',
		undo: 'refund', undone: 'refunded', refused: 'not_refundable', duplicate: 'duplicate_payment' },
	credit: { coll: 'credits', path: '/v1/credits', prefix: 'cre', made: 'credited',
		undo: 'reverse', undone: 'reversed', refused: 'not_reversible', duplicate: 'duplicate_credit' },
};

const refusal = (status, error, more) => ({ status, body: { error, ...more }, changes: [] });
const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);

// A seller is a name, or an object that has one of these.
function sellerOf(seller) {
	if (typeof seller === 'string') return seller;
	if (!isObject(seller)) return '';
	return String(seller.vat_id ?? seller.tax_id ?? seller.legal_id ?? seller.id ?? seller.name ?? '');
}

const numberOf = (body) => body?.number ?? body?.invoice_number;

function checkHead(body, details) {
	const number = numberOf(body);
	if (typeof number !== 'string' || number === '') details.push('number: a text is required');
	if (sellerOf(body.seller) === '') details.push('seller: required');
	if (!CURRENCIES.has(body.currency)) details.push(`currency: "${body.currency}" is not known`);
}

function amountOf(value, name, details) {
	const a = money.parse(value);
	if (a === null) details.push(`${name}: a decimal in a string is required`);
	return a ?? money.ZERO;
}

// Lines plus tax must be the total, to the last digit.
function checkSum(body, details) {
	const total = amountOf(body.total, 'total', details);
	const tax = amountOf(body.tax, 'tax', details);
	if (!Array.isArray(body.lines) || body.lines.length === 0) {
		details.push('lines: at least one is required');
		return total;
	}
	let sum = tax;
	body.lines.forEach((line, i) => {
		sum = money.add(sum, amountOf(line?.amount ?? line?.net_amount, `lines[${i}].amount`, details));
	});
	if (details.length === 0 && money.compare(sum, total) !== 0) {
		details.push(`total: lines and tax are ${money.format(sum)}, not ${money.format(total)}`);
	}
	return total;
}

// A number that is there already and was not undone.
function duplicateOf(store, kind, seller, number, mode) {
	if (mode === 'allow') return null;
	const there = store.find(kind.coll, seller, number).find((d) => d.status !== kind.undone);
	if (there === undefined) return null;
	return refusal(mode === '400' ? 400 : 409, kind.duplicate, { id: there.id, number });
}

// ctx.form, ctx.skip: of the id; ctx.more: further members, which win (a draft's status).
function insert(store, kind, doc, ctx) {
	const { id, made } = store.makeId(ctx.prefix ?? kind.prefix, ctx.form, ctx.skip);
	const whole = { id, status: kind.made, ...doc, ...ctx.more };
	return {
		status: 201,
		body: answerOf(whole),
		changes: [{ do: 'insert', in: kind.coll, made, doc: whole }],
	};
}

// What a client is shown of a document.
function answerOf(doc) {
	const { at, work, fail, ready_at, shape, own, ...shown } = doc;
	return shown;
}

function createInvoice(store, body, ctx) {
	const kind = KINDS.invoice;
	const details = [];
	checkHead(body, details);
	const total = checkSum(body, details);
	if (details.length > 0) return refusal(422, 'validation', { details });
	const seller = sellerOf(body.seller);
	return duplicateOf(store, kind, seller, numberOf(body), ctx.duplicate) ??
		insert(store, kind, { number: numberOf(body), seller, buyer: body.buyer, currency: body.currency,
			total: money.format(total), tax: body.tax, lines: body.lines.length, at: ctx.now }, ctx);
}

// Against an invoice (invoice_id; then number and total may be left out: all of it), or on its own.
function createCreditNote(store, body, ctx) {
	const kind = KINDS.credit_note;
	const invoice = store.state.docs.invoices.get(body.invoice_id);
	if (body.invoice_id !== undefined && invoice === undefined) {
		return refusal(404, 'unknown_invoice', { invoice_id: body.invoice_id });
	}
	if (invoice === undefined) {
		const details = [];
		checkHead(body, details);
		const total = checkSum(body, details);
		if (details.length > 0) return refusal(422, 'validation', { details });
		const seller = sellerOf(body.seller);
		return duplicateOf(store, kind, seller, numberOf(body), ctx.duplicate) ??
			insert(store, kind, { number: numberOf(body), seller, buyer: body.buyer, currency: body.currency,
				total: money.format(total), tax: body.tax, lines: body.lines.length, at: ctx.now }, ctx);
	}
	return creditInvoice(store, kind, invoice, body, ctx);
}

function creditInvoice(store, kind, invoice, body, ctx) {
	const details = [];
	const total = body.total === undefined ? money.parse(invoice.total) : amountOf(body.total, 'total', details);
	const number = numberOf(body) ?? `CN-${invoice.number}`;
	if (invoice.status === 'void') details.push('invoice_id: the invoice is void');
	if (body.currency !== undefined && body.currency !== invoice.currency) {
		details.push(`currency: the invoice is in ${invoice.currency}`);
	}
	let credited = total;
	for (const n of store.state.docs.credit_notes.values()) {
		if (n.invoice_id === invoice.id && n.status !== 'void') credited = money.add(credited, money.parse(n.total));
	}
	if (details.length > 0) return refusal(422, 'validation', { details });
	const duplicate = duplicateOf(store, kind, invoice.seller, number, ctx.duplicate);
	if (duplicate !== null) return duplicate;
	if (money.compare(credited, money.parse(invoice.total)) > 0) {
		return refusal(422, 'validation', { details: ['total: more than is left of the invoice'] });
	}
	return insert(store, kind, { number, seller: invoice.seller, buyer: invoice.buyer, invoice_id: invoice.id,
		currency: invoice.currency, total: money.format(total), at: ctx.now }, ctx);
}

function createMoney(kindName) {
	return (store, body, ctx) => {
		const kind = KINDS[kindName];
		const details = [];
		checkHead(body, details);
		const amount = amountOf(body.amount, 'amount', details);
		if (details.length === 0 && money.compare(amount, money.ZERO) <= 0) {
			details.push('amount: more than zero is required');
		}
		if (details.length > 0) return refusal(422, 'validation', { details });
		const seller = sellerOf(body.seller);
		return duplicateOf(store, kind, seller, numberOf(body), ctx.duplicate) ??
			insert(store, kind, { number: numberOf(body), seller, currency: body.currency,
				amount: money.format(amount), at: ctx.now }, ctx);
	};
}

// Undoing again is a success: a client that did not see the answer asks again.
function undo(store, kind, id) {
	const doc = store.state.docs[kind.coll].get(id);
	if (doc === undefined) return refusal(404, 'not_found', { id });
	const done = { status: 200, body: answerOf({ ...doc, status: kind.undone }), changes: [] };
	if (doc.status === kind.undone) return done;
	if (doc.status !== kind.made) return refusal(409, kind.refused, { id, status: doc.status });
	if (kind === KINDS.invoice && hasCreditNote(store, id)) return refusal(409, kind.refused, { id, status: 'credited' });
	done.changes.push({ do: 'update', in: kind.coll, id, set: { status: kind.undone } });
	return done;
}

function hasCreditNote(store, invoiceId) {
	for (const n of store.state.docs.credit_notes.values()) {
		if (n.invoice_id === invoiceId && n.status !== 'void') return true;
	}
	return false;
}

// An invoice that the buyer has paid, by the accountant's word; it cannot be void any more.
function markPaid(store, id) {
	const doc = store.state.docs.invoices.get(id);
	if (doc === undefined) return refusal(404, 'not_found', { id });
	if (doc.status === 'void') return refusal(409, 'not_payable', { id, status: doc.status });
	const changes = doc.status === 'paid' ? [] : [{ do: 'update', in: 'invoices', id, set: { status: 'paid' } }];
	return { status: 200, body: answerOf({ ...doc, status: 'paid' }), changes };
}

function list(store, kind, query) {
	const want = (name) => query.get(name);
	const found = [];
	const pool = want('number') !== null && want('seller') !== null
		? store.find(kind.coll, want('seller'), want('number'))
		: store.state.docs[kind.coll].values();
	for (const d of pool) {
		if (['number', 'seller', 'status', 'invoice_id'].every((n) => want(n) === null || want(n) === d[n])) {
			found.push(answerOf(d));
		}
	}
	return { status: 200, body: { [kind.coll]: found }, changes: [] };
}

function one(store, coll, id) {
	const doc = store.state.docs[coll].get(id);
	return doc === undefined ? refusal(404, 'not_found', { id }) : { status: 200, body: answerOf(doc), changes: [] };
}

const create = { invoice: createInvoice, credit_note: createCreditNote,
	payment: createMoney('payment'), credit: createMoney('credit') };

module.exports = { KINDS, create, undo, hasCreditNote, markPaid, list, one, refusal, isObject, sellerOf, numberOf };

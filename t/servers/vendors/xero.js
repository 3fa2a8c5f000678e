'use strict';
// Xero's accounting API: /xero/api.xro/2.0/Invoices, and /xero/connect/token of its identity service.
//
// PUT creates. POST creates too, and overwrites where it knows the number: the trap. Without
// "Status": "AUTHORISED" an invoice is a draft. Elements are judged one by one with
// summarizeErrors=false: 200, and HasErrors in the element. Answers are XML unless JSON is asked for.

const { KINDS, create, hasCreditNote, isObject } = require('../accounting/documents.js');
const { Shape } = require('../accounting/shape.js');
const money = require('../accounting/money.js');
const oauth = require('../accounting/oauth.js');
const { decimal, sum, neutral } = require('./common.js');

const API = '/xero/api.xro/2.0';
const STATUS = { posted: 'AUTHORISED', paid: 'PAID', void: 'VOIDED', draft: 'DRAFT' };
const PROBLEM = { second: 'minute', minute: 'minute', day: 'day', concurrency: 'concurrent' };
const kind = KINDS.invoice;

const elementsOf = (body) => Array.isArray(body?.Invoices) ? body.Invoices : Array.isArray(body) ? body : [body];
const title = (status, text, detail) => ({ status, body: { Type: null, Title: text, Status: status, Detail: detail, Instance: null, Extensions: {} }, changes: [] });

class Xero extends Shape {
	constructor(service) {
		super(service);
		this.name = 'xero';
		this.prefix = '/xero';
		this.maxKey = 128;
	}

	read(req, url, text) {
		const r = super.read(req, url, text);
		const m = /\/Invoices\/([^/]+)$/.exec(url.pathname);
		const asked = url.searchParams.get('InvoiceNumbers');
		r.seller = req.headers['xero-tenant-id'] ?? null;
		if (m !== null) r.numbers = this.numberOfId('invoices', m[1]);
		else if (asked !== null) r.numbers = asked.split(',');
		else r.numbers = elementsOf(r.body).map((e) => e?.InvoiceNumber).filter((n) => typeof n === 'string');
		return r;
	}

	clientOf(req) {
		const client = super.clientOf(req);
		return { ...client, denied: client.denied || client.name === 'anonymous' };
	}

	denied() { return title(401, 'Unauthorized', 'AuthenticationUnsuccessful'); }

	refuse(error) {
		switch (error) {
			case 'no_such_route': return title(404, 'Not Found', 'The resource you are looking for cannot be found');
			case 'fault': return title(503, 'Service Unavailable', 'The organisation is offline');
			case 'idempotency_in_progress': return title(409, 'Conflict', 'A request with this idempotency key is being processed');
			default: return title(400, 'Bad Request', error);
		}
	}

	fault(status) {
		const headers = status === 429 ? { 'x-rate-limit-problem': 'minute' } : {};
		return { body: title(status, status === 429 ? 'Too Many Requests' : 'An error occurred', '').body, headers };
	}

	tooMany({ seconds, which }) {
		return { ...title(429, 'Too Many Requests', 'rate limit exceeded'),
			headers: { 'retry-after': String(seconds), 'x-rate-limit-problem': PROBLEM[which] } };
	}

	hiddenError() {
		return envelope([{ StatusAttributeString: 'ERROR', HasErrors: true, ValidationErrors: [{ Message: 'The organisation is closed' }] }]);
	}

	replay(known) { return { status: known.status, body: known.body, headers: known.headers }; }

	dress(x, answer) {
		if (x.path === '/xero/connect/token' || /json/.test(x.req.headers.accept ?? '')) return answer;
		return { ...answer, body: '<Response><Status>XML</Status></Response>', headers: { ...answer.headers, 'content-type': 'text/xml; charset=utf-8' } };
	}

	route(x) {
		const { method } = x.req;
		if (x.path === '/xero/connect/token') {
			return { open: true, run: () => oauth.token(this.service, x, { basicOnly: true, more: { scope: 'accounting.invoices' } }) };
		}
		const m = /^\/Invoices(?:\/([^/]+))?$/.exec(x.path.startsWith(API) ? x.path.slice(API.length) : '');
		if (m === null) return null;
		const run = (f) => ({ run: () => x.req.headers['xero-tenant-id'] ? f() : title(403, 'Forbidden', 'AuthenticationUnsuccessful') });
		if (method === 'GET') return run(() => m[1] === undefined ? this.list(x) : this.one(m[1]));
		if (method === 'POST' && m[1] !== undefined) return run(() => this.all(x, [{ ...elementsOf(x.body)[0], InvoiceID: m[1] }]));
		if (m[1] === undefined && (method === 'PUT' || method === 'POST')) return run(() => this.all(x, elementsOf(x.body)));
		return null;
	}

	ours(x, doc) { return doc?.shape === 'xero' && doc.seller === x.req.headers['xero-tenant-id']; }

	list(x) {
		const want = (name) => x.url.searchParams.get(name)?.split(',');
		const [numbers, ids, states] = ['InvoiceNumbers', 'IDs', 'Statuses'].map(want);
		const found = [...this.store.state.docs.invoices.values()].filter((d) => this.ours(x, d) &&
			(numbers?.includes(d.number) ?? true) && (ids?.includes(d.id) ?? true) && (states?.includes(STATUS[d.status]) ?? true));
		return { status: 200, body: envelope(found.map((d) => show(d))), changes: [] };
	}

	one(id) {
		const doc = this.store.state.docs.invoices.get(id);
		if (doc === undefined) return this.refuse('no_such_route');
		return { status: 200, body: envelope([show(doc)]), changes: [] };
	}

	// All elements of a request: with summarizeErrors (the default) all or nothing.
	all(x, elements) {
		const results = [];
		const numbers = new Set();
		for (const e of elements) {
			const skip = results.reduce((n, r) => n + (r.made ? 1 : 0), 0);
			const r = !isObject(e) ? failed({}, 'The element is not an object')
				: numbers.has(e.InvoiceNumber) ? failed(e, 'Invoice # must be unique.') : this.element(x, e, skip);
			if (e?.InvoiceNumber !== undefined) numbers.add(e.InvoiceNumber);
			results.push(r);
		}
		const shown = results.map((r) => r.shown);
		const bad = results.some((r) => r.shown.HasErrors);
		if (bad && x.url.searchParams.get('summarizeErrors') !== 'false') {
			return { status: 400, body: { ErrorNumber: 10, Type: 'ValidationException', Message: 'A validation exception occurred',
				Elements: shown.filter((s) => s.HasErrors) }, changes: [] };
		}
		return { status: 200, body: envelope(shown), changes: results.flatMap((r) => r.changes) };
	}

	element(x, e, skip) {
		const { docs } = this.store.state;
		if (e.InvoiceID !== undefined) {
			const doc = docs.invoices.get(e.InvoiceID);
			return this.ours(x, doc) ? this.update(doc, e) : failed(e, 'Invoice could not be found');
		}
		const seller = x.req.headers['xero-tenant-id'];
		const known = this.store.find('invoices', seller, e.InvoiceNumber).find((d) => d.status !== 'void');
		if (x.req.method === 'POST' && known !== undefined) return this.update(known, e);
		return this.make(e, seller, skip);
	}

	make(e, seller, skip) {
		const amounts = amountsOf(e);
		if (e.Type !== 'ACCREC' && e.Type !== 'ACCPAY') return failed(e, 'Invoice Type is not valid');
		if (!e.Contact?.Name && !e.Contact?.ContactID) return failed(e, 'A Contact must be specified for this type of transaction');
		if (amounts === null) return failed(e, 'One or more line items must be specified');
		const draft = e.Status === undefined || e.Status === 'DRAFT';
		const body = neutral({ number: e.InvoiceNumber, seller, buyer: e.Contact.Name ?? e.Contact.ContactID, currency: e.CurrencyCode ?? 'EUR', ...amounts });
		const ctx = { ...this.context({ ...(draft ? { status: 'draft' } : {}), own: { reference: e.Reference ?? '' } }), form: 'uuid', skip };
		const r = create.invoice(this.store, body, ctx);
		if (r.status === 201) return { shown: show(r.changes[0].doc), changes: r.changes, made: true };
		return failed(e, r.body.error === kind.duplicate ? 'Invoice # must be unique.' : r.body.details.join('; '));
	}

	// Voids, authorises, or overwrites.
	update(doc, e) {
		if (doc.status === 'void' || doc.status === 'paid' || hasCreditNote(this.store, doc.id)) {
			return failed({ ...show(doc), ...e }, 'Invoice not of valid status for modification');
		}
		const set = {};
		if (e.Status === 'VOIDED' || e.Status === 'DELETED') {
			if ((doc.status === 'draft') !== (e.Status === 'DELETED')) return failed({ ...show(doc), ...e }, 'Invoice not of valid status for modification');
			set.status = 'void';
		} else {
			const amounts = e.LineItems === undefined ? undefined : amountsOf(e);
			if (amounts === null) return failed(e, 'One or more line items must be specified');
			if (e.Status === 'AUTHORISED') set.status = 'posted';
			if (amounts !== undefined) {
				const b = neutral({ ...amounts });
				Object.assign(set, { total: b.total, tax: b.tax, lines: b.lines.length, currency: e.CurrencyCode ?? doc.currency,
					own: { ...doc.own, overwritten: (doc.own.overwritten ?? 0) + 1 } });
			}
		}
		return { shown: show({ ...doc, ...set }), changes: [{ do: 'update', in: 'invoices', id: doc.id, set }] };
	}
}

// {net, tax}; null when there is no line or an amount is none. Amounts on lines are net (Exclusive, the
// default), gross (Inclusive), or there is no tax (NoTax).
function amountsOf(e) {
	if (!Array.isArray(e.LineItems) || e.LineItems.length === 0) return null;
	const net = [];
	const taxes = [];
	for (const l of e.LineItems) {
		const tax = e.LineAmountTypes === 'NoTax' ? money.ZERO : decimal(l.TaxAmount ?? 0);
		const amount = l.LineAmount !== undefined ? decimal(l.LineAmount) : product(l.Quantity ?? 1, l.UnitAmount);
		if (tax === null || amount === null) return null;
		net.push(e.LineAmountTypes === 'Inclusive' ? money.add(amount, money.negate(tax)) : amount);
		taxes.push(tax);
	}
	return { net, tax: sum(taxes) };
}

function product(quantity, price) {
	const [q, p] = [decimal(quantity), decimal(price)];
	return q === null || p === null ? null : money.round(money.multiply(q, p), 2);
}

const failed = (e, message) => ({ shown: { ...e, StatusAttributeString: 'ERROR', HasErrors: true, ValidationErrors: [{ Message: message }] }, changes: [] });

function show(doc) {
	const total = Number(doc.total);
	return { Type: 'ACCREC', InvoiceID: doc.id, InvoiceNumber: doc.number, Reference: doc.own?.reference ?? '',
		Contact: { Name: doc.buyer }, Status: STATUS[doc.status], LineAmountTypes: 'Exclusive', CurrencyCode: doc.currency,
		SubTotal: Number(money.format(money.add(money.parse(doc.total), money.negate(money.parse(doc.tax))))), TotalTax: Number(doc.tax), Total: total,
		AmountDue: doc.status === 'posted' ? total : 0, AmountPaid: doc.status === 'paid' ? total : 0,
		StatusAttributeString: 'OK', HasErrors: false };
}

const envelope = (invoices) => ({ Id: '00000000-0000-0000-0000-000000000000', Status: 'OK', ProviderName: 'saga', Invoices: invoices });

module.exports = { Xero };

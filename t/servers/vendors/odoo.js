'use strict';
// Odoo's JSON-2: POST /odoo/json/2/{model}/{method}, arguments by name in the body.
//
// account.move: create makes a draft, action_post posts it, search_read finds it. There is no
// idempotency. A name that is posted already is refused when it is posted: 422 with the message of the
// check, or 500 with that of the index (mode duplicate: "400"). Undo: button_cancel, which resets
// what is posted to draft first; or account.move.reversal (create, then reverse_moves), which posts a credit note.
// A tax in tax_ids has the percentage that its id says; currency_id as in common.js.

const { KINDS, create, hasCreditNote } = require('../accounting/documents.js');
const { Shape, parseJson } = require('../accounting/shape.js');
const money = require('../accounting/money.js');
const { decimal, digitsOf, sum, neutral, currencyOf, currencyId, holds } = require('./common.js');

const STATE = { draft: 'draft', posted: 'posted', paid: 'posted', void: 'cancel' };

function raised(status, name, message) {
	return { status, body: { name, message, arguments: [message], context: {}, debug: `Traceback (most recent call last):\n${name}: ${message}\n` }, changes: [] };
}
const userError = (message) => raised(422, 'odoo.exceptions.UserError', message);
const ok = (body, changes = []) => ({ status: 200, body, changes });

class Odoo extends Shape {
	constructor(service) {
		super(service);
		this.name = 'odoo';
		this.prefix = '/odoo';
	}

	read(req, url, text) {
		const body = parseJson(text);
		const numbers = [];
		for (const id of Array.isArray(body?.ids) ? body.ids : []) numbers.push(...this.numberOfId('invoices', String(id)), ...this.numberOfId('wizards', String(id)));
		for (const v of valuesOf(body)) {
			if (typeof v?.name === 'string') numbers.push(v.name);
			for (const id of idsOf(v?.move_ids)) numbers.push(...this.numberOfId('invoices', String(id)));
		}
		for (const c of Array.isArray(body?.domain) ? body.domain : []) if (c?.[0] === 'name' && typeof c[2] === 'string') numbers.push(c[2]);
		return { body, key: null, numbers, seller: req.headers['x-odoo-database'] ?? 'odoo', what: url.pathname };
	}

	// The API key of a client is its secret.
	clientOf(req) {
		const m = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '');
		const found = [...this.service.clients].find(([, secret]) => secret === m?.[1]);
		return found === undefined ? { name: 'anonymous', denied: true } : { name: found[0], denied: false };
	}

	denied() { return raised(401, 'werkzeug.exceptions.Unauthorized', 'Invalid apikey'); }
	tooMany() { return raised(429, 'werkzeug.exceptions.TooManyRequests', 'Too many requests'); }
	fault(status) { return { body: raised(status, 'builtins.Exception', 'Internal Server Error').body, headers: {} }; }
	hiddenError() { return userError('The journal is locked').body; }

	refuse(error) {
		switch (error) {
			case 'no_such_route': return raised(404, 'werkzeug.exceptions.NotFound', 'the model or method does not exist');
			case 'fault': return raised(503, 'werkzeug.exceptions.ServiceUnavailable', 'Service Unavailable');
			default: return raised(400, 'werkzeug.exceptions.BadRequest', error);
		}
	}

	route(x) {
		const m = /^\/odoo\/json\/2\/([a-z.]+)\/([a-z_]+)$/.exec(x.path);
		if (m === null || x.req.method !== 'POST') return null;
		const seller = x.req.headers['x-odoo-database'] ?? 'odoo';
		const methods = {
			'account.move': {
				create: () => this.make(seller, x.body),
				action_post: () => this.each(seller, x.body, (d) => this.post(d)),
				button_draft: () => this.each(seller, x.body, (d) => this.draft(d)),
				button_cancel: () => this.each(seller, x.body, (d) => this.cancel(d)),
				search_read: () => this.searchRead(seller, x.body),
				read: () => this.searchRead(seller, { ...x.body, domain: [['id', 'in', x.body?.ids ?? []]] }),
			},
			'account.move.reversal': {
				create: () => this.wizard(seller, x.body),
				reverse_moves: () => this.reverse(seller, x.body),
			},
		};
		const run = methods[m[1]]?.[m[2]];
		return run === undefined ? null : { run };
	}

	ours(seller, doc) { return doc?.shape === 'odoo' && doc.seller === seller; }

	make(seller, body) {
		const changes = [];
		const ids = [];
		for (const v of valuesOf(body)) {
			const currency = currencyOf(v.currency_id ?? 1);
			if (v.partner_id === undefined) return raised(422, 'odoo.exceptions.ValidationError', "The field 'Customer' is required, please complete it to validate the Customer Invoice.");
			if (currency === undefined) return raised(422, 'odoo.exceptions.ValidationError', 'Record does not exist or has been deleted.');
			const amounts = amountsOf(v, currency);
			if (amounts === null) return raised(500, 'builtins.ValueError', 'could not convert string to float');
			const r = create.invoice(this.store, neutral({ number: v.name, seller, buyer: String(v.partner_id), currency, ...amounts }),
				{ ...this.context({ status: 'draft', own: { ref: v.ref ?? false } }), duplicate: 'allow', form: 'integer', skip: ids.length });
			if (r.status !== 201) return raised(422, 'odoo.exceptions.ValidationError', r.body.details.join('; '));
			changes.push(...r.changes);
			ids.push(Number(r.body.id));
		}
		return ids.length === 0 ? raised(422, 'builtins.TypeError', "missing a required argument: 'vals_list'") : ok(ids, changes);
	}

	each(seller, body, run) {
		const changes = [];
		for (const id of body?.ids ?? []) {
			const doc = this.store.state.docs.invoices.get(String(id));
			if (!this.ours(seller, doc)) return raised(404, 'odoo.exceptions.MissingError', 'Record does not exist or has been deleted.');
			const r = run(doc);
			if (r.status !== 200) return r;
			changes.push(...r.changes);
		}
		return ok(false, changes);
	}

	post(doc) {
		if (doc.status !== 'draft') return userError(`The entry ${doc.number} (id ${doc.id}) must be in draft.`);
		const there = this.store.find('invoices', doc.seller, doc.number).some((d) => d.status === 'posted' || d.status === 'paid');
		if (there && this.mode('duplicate') === '400') {
			return raised(500, 'psycopg2.errors.UniqueViolation', 'duplicate key value violates unique constraint "account_move_unique_name"');
		}
		if (there && this.mode('duplicate') !== 'allow') {
			return raised(422, 'odoo.exceptions.ValidationError', `Posted journal entry must have an unique sequence number per company.\nProblematic numbers: ${doc.number}\n`);
		}
		return ok(false, [{ do: 'update', in: 'invoices', id: doc.id, set: { status: 'posted' } }]);
	}

	draft(doc) {
		if (doc.status !== 'posted' || hasCreditNote(this.store, doc.id)) return userError('Only posted/cancelled journal entries can be reset to draft.');
		return ok(false, [{ do: 'update', in: 'invoices', id: doc.id, set: { status: 'draft' } }]);
	}

	cancel(doc) {
		if (doc.status === 'void') return userError('Only draft journal entries can be cancelled.');
		const reset = doc.status === 'draft' ? ok(false) : this.draft(doc);
		return reset.status !== 200 ? reset : ok(false, [{ do: 'update', in: 'invoices', id: doc.id, set: { status: 'void' } }]);
	}

	wizard(seller, body) {
		const [v] = valuesOf(body);
		const moves = idsOf(v?.move_ids).map(String);
		const doc = this.store.state.docs.invoices.get(moves[0]);
		if (moves.length !== 1 || !this.ours(seller, doc)) return raised(422, 'odoo.exceptions.ValidationError', 'one move is expected');
		const { id, made } = this.store.makeId('wiz', 'integer');
		return ok([Number(id)], [{ do: 'insert', in: 'wizards', made, doc: { id, number: doc.number, seller, move: doc.id } }]);
	}

	reverse(seller, body) {
		const wizard = this.store.state.docs.wizards.get(String(body?.ids?.[0]));
		if (wizard === undefined) return raised(404, 'odoo.exceptions.MissingError', 'Record does not exist or has been deleted.');
		const doc = this.store.state.docs.invoices.get(wizard.move);
		if (doc.status !== 'posted') return userError('You can only reverse posted moves.');
		const r = create.credit_note(this.store, { invoice_id: doc.id, number: `R${doc.number}` }, { ...this.context(), form: 'integer' });
		if (r.status !== 201) return userError('This move has been reversed already.');
		return ok({ type: 'ir.actions.act_window', res_model: 'account.move', res_id: Number(r.body.id) }, r.changes);
	}

	searchRead(seller, body) {
		const domain = body?.domain ?? [];
		// the newest first
		const all = [...this.store.state.docs.invoices.values()].filter((d) => this.ours(seller, d)).map((d) => show(this.store, d)).reverse();
		try {
			const found = all.filter((s) => matches(domain, s)).slice(body?.offset ?? 0);
			const rows = body?.limit ? found.slice(0, body.limit) : found;
			return ok(rows.map((s) => Object.fromEntries(['id', ...(body?.fields ?? Object.keys(s))].map((f) => {
				if (!Object.hasOwn(s, f)) throw new Error(`Invalid field '${f}' on model 'account.move'`);
				return [f, s[f]];
			}))));
		} catch (e) {
			return raised(500, 'builtins.ValueError', e.message);
		}
	}
}

// Prefix notation: "&", "|" and "!" before their operands, "&" between what is left.
function matches(domain, record) {
	const stack = [];
	for (const term of [...domain].reverse()) {
		if (term === '!') stack.push(!stack.pop());
		else if (term === '|' || term === '&') {
			const [a, b] = [stack.pop(), stack.pop()];
			stack.push(term === '|' ? a || b : a && b);
		} else stack.push(holds(term, record));
	}
	return stack.every(Boolean);
}

const valuesOf = (body) => Array.isArray(body?.vals_list) ? body.vals_list : body?.vals_list ? [body.vals_list] : [];
// [[6, 0, ids]] and [[4, id]] of a relation
const idsOf = (commands) => (Array.isArray(commands) ? commands : []).flatMap((c) => c?.[0] === 6 ? c[2] : c?.[0] === 4 ? [c[1]] : []);

function amountsOf(v, currency) {
	const digits = digitsOf(currency);
	const net = [];
	const base = new Map();
	for (const [, , line] of Array.isArray(v.invoice_line_ids) ? v.invoice_line_ids : []) {
		const [q, p] = [decimal(line?.quantity ?? 1), decimal(line?.price_unit ?? 0)];
		if (q === null || p === null) return null;
		const amount = money.round(money.multiply(q, p), digits);
		net.push(amount);
		for (const rate of idsOf(line.tax_ids)) base.set(rate, money.add(base.get(rate) ?? money.ZERO, amount));
	}
	const taxes = [...base].map(([rate, b]) => money.round(money.multiply(b, { n: BigInt(rate), scale: 2 }), digits));
	return { net, tax: sum(taxes) };
}

function show(store, doc) {
	const credited = hasCreditNote(store, doc.id);
	return { id: Number(doc.id), name: doc.number, ref: doc.own.ref, move_type: 'out_invoice', state: STATE[doc.status],
		payment_state: doc.status === 'paid' ? 'paid' : credited ? 'reversed' : 'not_paid', amount_total: Number(doc.total),
		amount_tax: Number(doc.tax), amount_untaxed: Number(money.format(money.add(money.parse(doc.total), money.negate(money.parse(doc.tax))))),
		partner_id: [Number(doc.buyer), `Partner ${doc.buyer}`], currency_id: [currencyId(doc.currency), doc.currency] };
}

module.exports = { Odoo };

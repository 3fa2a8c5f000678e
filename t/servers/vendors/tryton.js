'use strict';
// Tryton 6.0's JSON-RPC: POST /tryton/books/ {method, params: [..., context]}, basic authentication.
//
// Without "id" the answer is the bare result with a real status, and errors are HTML; with it all is
// 200 and the error is inside. account.invoice: create makes a draft, post and cancel are idempotent
// and answer null, search_read gives decimals in their typed form. There is no idempotency key; the
// unique index account_invoice_once (docs/outbox.md) refuses a known number with 500, unless
// duplicate is "allow". Rules see the path /tryton/books/ with the method behind it.

const { KINDS, create } = require('../accounting/documents.js');
const { Shape, parseJson } = require('../accounting/shape.js');
const money = require('../accounting/money.js');
const { sum, neutral, currencyOf, currencyId, holds } = require('./common.js');

const PATH = '/tryton/books/';
const STATE = { draft: 'draft', posted: 'posted', paid: 'paid', void: 'cancelled' };
const WRONG_TRIES = 5;
const LOCK_MS = 300000;
const REASON = { 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed', 409: 'Conflict',
	411: 'Length Required', 429: 'Too Many Requests', 500: 'Internal Server Error', 502: 'Bad Gateway', 503: 'Service Unavailable', 504: 'Gateway Timeout' };
const HTML = { 'content-type': 'text/html; charset=utf-8' };

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&#34;').replace(/'/g, '&#39;');

function page(status, text = '') {
	const reason = REASON[status] ?? 'Error';
	return { status, changes: [], headers: HTML, text,
		body: `<!doctype html>\n<html lang=en>\n<title>${status} ${reason}</title>\n<h1>${reason}</h1>\n<p>${escape(text)}</p>\n` };
}
const userError = (message) => ({ ...page(400, `('UserError', ('${message}', '', None))`), error: ['UserError', [message, '', null]] });
const crash = (text) => ({ ...page(500, text), error: [text, ''] });
const ok = (body, changes = []) => ({ status: 200, body, changes });

class Tryton extends Shape {
	constructor(service) {
		super(service);
		this.name = 'tryton';
		this.prefix = '/tryton';
		this.wrong = new Map();		// user -> {count, until}
	}

	read(req, url, text) {
		const body = parseJson(text);
		const method = typeof body?.method === 'string' ? body.method : '';
		const params = Array.isArray(body?.params) ? body.params : [];
		const context = params.at(-1);
		let numbers = [];
		if (/\.create$/.test(method)) numbers = list(params[0]).map((v) => v?.number);
		else if (/\.(post|cancel|read)$/.test(method)) numbers = list(params[0]).flatMap((id) => this.numberOfId('invoices', String(id)));
		else if (/\.search/.test(method)) numbers = list(params[0]).filter((c) => c?.[0] === 'number').map((c) => c[2]);
		return { body, key: null, numbers: numbers.filter((n) => typeof n === 'string'),
			seller: context?.company === undefined ? null : String(context.company), what: url.pathname + method };
	}

	// After five wrong passwords a user is locked out, with the right one too; each try renews it.
	clientOf(req) {
		const m = /^Basic +(\S+)$/i.exec(req.headers.authorization ?? '');
		if (m === null) return { name: 'anonymous', denied: true };
		const [user, ...rest] = Buffer.from(m[1], 'base64').toString('utf8').split(':');
		const tries = this.wrong.get(user);
		if (tries !== undefined && tries.count > WRONG_TRIES && tries.until > Date.now()) {
			tries.until = Date.now() + LOCK_MS;
			return { name: user, denied: true };
		}
		if (this.service.clients.get(user) === rest.join(':')) {
			this.wrong.delete(user);
			return { name: user, denied: false };
		}
		this.wrong.set(user, { count: (tries?.count ?? 0) + 1, until: Date.now() + LOCK_MS });
		return { name: 'anonymous', denied: true };
	}

	denied(x) {
		if (this.wrong.has(x.client)) return page(429);
		return { ...page(401), headers: { ...HTML, 'www-authenticate': 'Basic realm="Tryton"' } };
	}

	tooMany() { return page(429); }

	fault(status) {
		const { body, headers } = page(status, 'fault');
		return { body, headers };
	}

	hiddenError() { return { id: 1, error: ['UserError', ['The period is closed.', '', null]] }; }

	refuse(error) {
		switch (error) {
			case 'no_such_route': return page(404);
			case 'fault': return page(503);
			case 'malformed_json': return crash('JSONDecodeError');
			default: return page(400, error);
		}
	}

	route(x) {
		const method = x.body?.method;
		if (x.path === PATH.slice(0, -1)) return { open: true, run: () => ({ ...page(308), headers: { ...HTML, location: PATH } }) };
		if (x.path === PATH && x.req.method !== 'POST') return { open: true, run: () => page(405) };
		if (x.path === PATH && x.req.headers['content-length'] === undefined) return { open: true, run: () => page(411) };
		if (x.path === PATH && !/json/.test(x.req.headers['content-type'] ?? '')) return { open: true, run: () => page(400, 'not JSON') };
		if (x.path === PATH && method === 'common.server.version') return { open: true, run: () => this.styled(x, ok('6.0.29')) };
		return x.path === PATH ? { run: () => this.styled(x, this.call(method, x.body?.params)) } : null;
	}

	// With an id everything is 200, and the error inside.
	styled(x, r) {
		if (!isObject(x.body) || x.body.id === undefined) return r.status === 200 ? { ...r, body: JSON.stringify(r.body) } : r;
		const { id } = x.body;
		if (r.status === 200) return { ...r, body: { id, result: r.body } };
		if (r.status === 401 || r.status === 429) return r;
		return { status: 200, body: { id, error: r.error ?? [r.text, ''] }, changes: [] };
	}

	call(method, params) {
		const m = /^model\.account\.invoice\.(\w+)$/.exec(method ?? '');
		const context = Array.isArray(params) ? params.at(-1) : undefined;
		const methods = {
			create: () => this.make(params[0], company),
			post: () => this.each(params[0], company, (d) => this.post(d)),
			cancel: () => this.each(params[0], company, (d) => this.cancel(d)),
			search_read: () => this.searchRead(params, company),
			search_count: () => this.searchCount(params[0], company),
			read: () => this.searchRead([[['id', 'in', params[0]]], 0, null, null, params[1]], company),
		};
		if (m === null) return crash(`KeyError: '${method}'`);
		if (!Object.hasOwn(methods, m[1])) return page(403, `Calling method ${m[1]} on account.invoice is not allowed`);
		if (!isObject(context)) return crash('TypeError: missing context');
		if (context.company === undefined) return userError('A value is required for field "Company" in "Invoice".');
		const company = String(context.company);
		return methods[m[1]]();
	}

	ours(company, doc) { return doc?.shape === 'tryton' && doc.seller === company; }

	make(values, company) {
		const changes = [];
		const ids = [];
		const seen = new Set();
		for (const v of list(values)) {
			for (const field of ['party', 'invoice_address', 'account', 'journal', 'currency']) {
				if (v?.[field] === undefined || v[field] === null) return userError(`A value is required for field "${field}" in "Invoice".`);
			}
			const amounts = amountsOf(v);
			if (typeof amounts === 'string') return userError(amounts);
			const number = v.number ?? `T-${this.store.state.made + 1 + ids.length}`;
			const r = create.invoice(this.store, neutral({ number, seller: company, buyer: String(v.party), currency: currencyOf(v.currency), ...amounts }),
				{ ...this.context({ status: 'draft', own: { reference: v.reference ?? null, description: v.description ?? null } }), form: 'integer', skip: ids.length });
			if (r.body.error === KINDS.invoice.duplicate || (seen.has(number) && this.mode('duplicate') !== 'allow')) {
				return crash('duplicate key value violates unique constraint "account_invoice_once"\n' +
					`DETAIL:  Key (company, type, number)=(${company}, out, ${number}) already exists.`);
			}
			if (r.status !== 201) return userError(r.body.details.join('; '));
			seen.add(number);
			changes.push(...r.changes);
			ids.push(Number(r.body.id));
		}
		return ok(ids, changes);
	}

	each(ids, company, run) {
		const changes = [];
		for (const id of list(ids)) {
			const doc = this.store.state.docs.invoices.get(String(id));
			if (!this.ours(company, doc)) return userError(`You are trying to read records that don't exist anymore: ${id}`);
			changes.push(...run(doc));
		}
		return ok(null, changes);
	}

	// A cancelled one is left alone, without an error.
	post(doc) {
		return doc.status === 'draft' ? [{ do: 'update', in: 'invoices', id: doc.id, set: { status: 'posted' } }] : [];
	}

	cancel(doc) {
		return doc.status === 'void' ? [] : [{ do: 'update', in: 'invoices', id: doc.id, set: { status: 'void' } }];
	}

	find(domain, company) {
		return [...this.store.state.docs.invoices.values()].filter((d) => this.ours(company, d)).map(show).filter((s) => matches(domain, s));
	}

	searchCount(domain, company) {
		try {
			return ok(this.find(list(domain), company).length);
		} catch (e) {
			return crash(e.message);
		}
	}

	searchRead([domain, offset, limit, , fields], company) {
		try {
			const found = this.find(list(domain), company).slice(offset ?? 0);
			return ok((limit === null || limit === undefined ? found : found.slice(0, limit)).map((s) => fieldsOf(s, list(fields))));
		} catch (e) {
			return crash(e.message);
		}
	}
}

const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const list = (v) => Array.isArray(v) ? v : [];
const typed = (text) => ({ __class__: 'Decimal', decimal: text });

function matches(domain, record) {
	const rest = typeof domain[0] === 'string' && /^(AND|OR)$/.test(domain[0]) ? domain.slice(1) : domain;
	const one = (term) => Array.isArray(term[0]) || /^(AND|OR)$/.test(term[0]) ? matches(term, record) : holds(term, record);
	return domain[0] === 'OR' ? rest.some(one) : rest.every(one);
}

// The typed form, or a string; a JSON number has digits that nobody wrote, so it is refused.
function amount(v, digits) {
	const a = money.parse(isObject(v) && v.__class__ === 'Decimal' ? v.decimal : v);
	return a !== null && a.scale <= digits ? a : null;
}

// {net, tax}, or what is wrong.
function amountsOf(v) {
	const rows = (commands) => list(commands).flatMap((c) => c?.[0] === 'create' ? list(c[1]) : []);
	const net = [];
	for (const l of rows(v.lines)) {
		const [q, p] = [amount(l.quantity, 4), amount(l.unit_price, 4)];
		if (q === null || p === null) return 'The number of digits in the value of a line exceeds the limit of "4".';
		net.push(money.round(money.multiply(q, p), 2));
	}
	const taxes = rows(v.taxes).map((t) => amount(t.amount, 2));
	if (taxes.includes(null)) return 'The number of digits in the value of a tax exceeds the limit of "2".';
	// without lines it is an invoice all the same, with total 0
	return { net: net.length === 0 ? [money.ZERO] : net, tax: sum(taxes) };
}

function show(doc) {
	return { id: Number(doc.id), number: doc.number, reference: doc.own.reference, description: doc.own.description, type: 'out',
		state: STATE[doc.status], total_amount: doc.total, tax_amount: doc.tax, party: Number(doc.buyer), company: Number(doc.seller),
		currency: currencyId(doc.currency), move: doc.status === 'draft' ? null : Number(doc.id) + 1 };
}

function fieldsOf(record, fields) {
	const out = { id: record.id };
	for (const f of fields) {
		if (f === 'move.post_number') out['move.'] = record.move === null ? null : { id: record.move, post_number: String(record.move) };
		else if (!Object.hasOwn(record, f)) throw new Error(`KeyError: '${f}'`);
		else out[f] = f.endsWith('_amount') ? typed(record[f]) : record[f];
	}
	return out;
}

module.exports = { Tryton };

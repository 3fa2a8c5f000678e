'use strict';
// Stripe's API v1: /stripe/v1/invoices. Bodies are forms, amounts whole numbers of the smallest unit.
//
// An invoice is made as a draft, gets its lines (invoiceitems or add_lines), and is finalized. Its
// number is Stripe's own, ours is metadata[number], which nothing keeps from being there twice: only
// the Idempotency-Key and the search do, and the search lags (mode search_lag_ms). A 500 is stored under
// the key and comes again; Stripe-Should-Retry says what the status does not.

const { create } = require('../accounting/documents.js');
const { Shape } = require('../accounting/shape.js');
const money = require('../accounting/money.js');
const { digitsOf, parseForm, sum, holds } = require('./common.js');

const STATUS = { draft: 'draft', posted: 'open', paid: 'paid', void: 'void' };
const SELLER = 'stripe';

const error = (status, message, more = {}) => ({ status, body: { error: { type: 'invalid_request_error', message, ...more } }, changes: [] });
const missing = (param) => error(400, `Missing required param: ${param}.`, { param, code: 'parameter_missing' });

class Stripe extends Shape {
	constructor(service) {
		super(service);
		this.name = 'stripe';
		this.prefix = '/stripe';
		this.maxKey = 255;
		this.storesFaults = true;
	}

	read(req, url, text) {
		const r = super.read(req, url, '');
		const m = /^\/stripe\/v1\/invoices\/(in_[^/]+)/.exec(url.pathname);
		const asked = /metadata\['number'\]:'((?:[^'\\]|\\.)*)'/.exec(url.searchParams.get('query') ?? '');
		const form = /^application\/x-www-form-urlencoded/.test(req.headers['content-type'] ?? '') || text === '';
		r.body = text === null || !form ? undefined : parseForm(text);
		r.seller = SELLER;
		if (m !== null) r.numbers = this.numberOfId('invoices', m[1]);
		else if (asked !== null) r.numbers = [asked[1].replace(/\\(.)/g, '$1')];
		else if (r.body?.invoice !== undefined) r.numbers = this.numberOfId('invoices', r.body.invoice);
		else if (r.body?.metadata?.number !== undefined) r.numbers = [r.body.metadata.number];
		return r;
	}

	// The secret key of a client is sk_test_ and its secret, as bearer or as the user of basic.
	clientOf(req) {
		const m = /^(Bearer|Basic) +(\S+)$/i.exec(req.headers.authorization ?? '');
		const key = m === null ? '' : m[1].toLowerCase() === 'bearer' ? m[2] : Buffer.from(m[2], 'base64').toString('utf8').replace(/:.*$/s, '');
		const found = [...this.service.clients].find(([, secret]) => key === `sk_test_${secret}`);
		return found === undefined ? { name: 'anonymous', denied: true } : { name: found[0], denied: false };
	}

	denied() { return error(401, 'Invalid API Key provided'); }
	tooMany() { return { ...error(429, 'Request rate limit exceeded', { code: 'rate_limit' }), headers: this.fault(429).headers }; }

	refuse(name) {
		switch (name) {
			case 'no_such_route': return error(404, 'Unrecognized request URL');
			case 'malformed_json': return error(400, 'Invalid request (check that your POST content type is application/x-www-form-urlencoded)');
			case 'fault': return error(503, 'An unknown error occurred', { type: 'api_error' });
			case 'idempotency_in_progress': return { ...error(409, 'There is currently another in-progress request using this Idempotent Key',
				{ type: 'idempotency_error', code: 'idempotency_key_in_use' }), headers: { 'stripe-should-retry': 'true' } };
			case 'idempotency_key_reused': return error(400, 'Keys for idempotent requests can only be used with the same parameters they were first used with',
				{ type: 'idempotency_error' });
			default: return error(400, name);
		}
	}

	fault(status) {
		if (status === 429) return { body: error(429, 'Request rate limit exceeded', { code: 'rate_limit' }).body, headers: { 'stripe-should-retry': 'true' } };
		return { body: error(status, 'An unknown error occurred', { type: 'api_error' }).body, headers: {} };
	}

	hiddenError() { return this.fault(500).body; }

	replay(known) {
		const again = super.replay(known);
		if (known.status >= 500) again.headers['stripe-should-retry'] = 'false';
		return again;
	}

	route(x) {
		const { method } = x.req;
		const m = /^\/stripe\/v1\/(invoices|invoiceitems)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(x.path);
		if (m === null) return null;
		const [, what, id, verb] = m;
		if (method === 'POST' && id === undefined) return { run: () => what === 'invoices' ? this.make(x.body) : this.item(x.body) };
		if (what !== 'invoices' || id === undefined) return null;
		if (method === 'GET' && id === 'search') return { run: () => this.search(x.url.searchParams.get('query') ?? '') };
		const doc = this.store.state.docs.invoices.get(id);
		if (doc?.shape !== 'stripe') return { run: () => error(404, `No such invoice: '${id}'`, { code: 'resource_missing', param: 'invoice' }) };
		if (method === 'GET' && verb === undefined) return { run: () => answer(doc) };
		if (method === 'DELETE' && verb === undefined) return { run: () => this.remove(doc) };
		const verbs = { add_lines: () => this.addLines(doc, x.body), finalize: () => this.finalize(doc), void: () => this.void(doc) };
		return method === 'POST' && Object.hasOwn(verbs, verb) ? { run: verbs[verb] } : null;
	}

	make(body) {
		if (!body.customer) return missing('customer');
		const currency = (body.currency ?? 'usd').toUpperCase();
		const number = body.metadata?.number;
		const ctx = { ...this.context({ status: 'draft', own: { metadata: body.metadata ?? {}, items: [] } }), duplicate: 'allow', prefix: 'in' };
		// the books want a line; a draft has none yet
		const r = create.invoice(this.store, { number: number ?? this.store.makeId('in').id, seller: SELLER, buyer: body.customer, currency,
			total: '0', tax: '0', lines: [{ amount: '0' }] }, ctx);
		if (r.status !== 201) return error(400, `Invalid currency: ${body.currency}`, { param: 'currency' });
		return { ...answer(r.changes[0].doc), changes: r.changes };
	}

	item(body) {
		const doc = this.store.state.docs.invoices.get(body.invoice);
		if (!body.customer) return missing('customer');
		if (doc?.shape !== 'stripe') return error(400, 'No such invoice', { code: 'resource_missing', param: 'invoice' });
		const r = this.addLines(doc, { lines: [body] });
		if (r.status !== 200) return r;
		const { id } = this.store.makeId('ii');
		return { ...r, body: { id, object: 'invoiceitem', amount: Number(body.amount), currency: doc.currency.toLowerCase(), invoice: doc.id } };
	}

	addLines(doc, body) {
		if (doc.status !== 'draft') return error(400, 'This invoice is no longer editable', { code: 'invoice_not_editable' });
		if (!Array.isArray(body.lines)) return missing('lines');
		if (!body.lines.every((l) => /^-?\d+$/.test(l?.amount ?? ''))) return error(400, 'Invalid integer', { param: 'lines[0][amount]', code: 'parameter_invalid_integer' });
		const items = [...doc.own.items, ...body.lines.map((l) => l.amount)];
		const scale = digitsOf(doc.currency);
		const total = money.format({ ...sum(items.map((n) => ({ n: BigInt(n), scale }))), scale });
		const set = { total, lines: items.length, own: { ...doc.own, items } };
		return { ...answer({ ...doc, ...set }), changes: [{ do: 'update', in: 'invoices', id: doc.id, set }] };
	}

	finalize(doc) {
		if (doc.status !== 'draft') return error(400, "This invoice is already finalized, you can't re-finalize a non-draft invoice.");
		const set = { status: doc.own.items.every((n) => Number(n) === 0) ? 'paid' : 'posted', own: { ...doc.own, number: `S-${doc.id.slice(3, 9).toUpperCase()}`, finalized: Math.floor(Date.now() / 1000) } };
		return { ...answer({ ...doc, ...set }), changes: [{ do: 'update', in: 'invoices', id: doc.id, set }] };
	}

	void(doc) {
		if (doc.status === 'paid') return error(400, 'Invoices with `paid` payments cannot be voided.');
		if (doc.status !== 'posted') return error(400, "You can only pass in open invoices. This invoice isn't open.");
		const set = { status: 'void' };
		return { ...answer({ ...doc, ...set }), changes: [{ do: 'update', in: 'invoices', id: doc.id, set }] };
	}

	remove(doc) {
		if (doc.status !== 'draft') return error(400, 'You can only delete draft invoices.');
		return { status: 200, body: { id: doc.id, object: 'invoice', deleted: true }, changes: [{ do: 'update', in: 'invoices', id: doc.id, set: { status: 'void' } }] };
	}

	// metadata['number']:'..' AND -status:'void'
	search(text) {
		const clauses = text.split(/\s+AND\s+/i).map((c) => /^(-?)(\w+)(?:\['(\w+)'\])?:['"]((?:[^'"\\]|\\.)*)['"]$/.exec(c.trim()));
		if (clauses.includes(null)) return error(400, 'We were unable to parse your search query');
		const until = Date.now() - this.mode('search_lag_ms');
		const found = [...this.store.state.docs.invoices.values()].filter((d) => d.shape === 'stripe' && d.at <= until);
		try {
			const data = found.map(show).filter((s) => clauses.every(([, not, field, member, value]) => {
				const record = member === undefined ? s : { [member]: s[field]?.[member] };
				return holds([member ?? field, '=', value.replace(/\\(.)/g, '$1')], record) === (not === '');
			}));
			return { status: 200, body: { object: 'search_result', data, has_more: false, url: '/v1/invoices/search' }, changes: [] };
		} catch (e) {
			return error(400, e.message);
		}
	}
}

const minor = (text, currency) => Number(money.round(money.parse(text), digitsOf(currency)).n);

function show(doc) {
	const total = minor(doc.total, doc.currency);
	return { id: doc.id, object: 'invoice', customer: doc.buyer, currency: doc.currency.toLowerCase(), status: STATUS[doc.status],
		total, amount_due: doc.status === 'void' ? 0 : total, amount_remaining: doc.status === 'posted' ? total : 0,
		number: doc.own.number ?? null, status_transitions: { finalized_at: doc.own.finalized ?? null }, metadata: doc.own.metadata,
		lines: { object: 'list', data: doc.own.items.map((amount) => ({ object: 'line_item', amount: Number(amount) })), has_more: false },
		livemode: false };
}

const answer = (doc) => ({ status: 200, body: show(doc), changes: [] });

module.exports = { Stripe };

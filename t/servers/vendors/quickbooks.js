'use strict';
// QuickBooks Online: /quickbooks/v3/company/{realm}/invoice and /query, and
// /quickbooks/oauth2/v1/tokens/bearer of its authorization server, whose refresh tokens rotate.
//
// The query's requestid is the idempotency key; it replays the first answer whatever the body. An
// error of the request is 400 with a Fault. A void invoice keeps its number, with an amount of 0.
// 429 comes without Retry-After. Answers are XML unless JSON is asked for.

const { KINDS, create, isObject } = require('../accounting/documents.js');
const { Shape } = require('../accounting/shape.js');
const money = require('../accounting/money.js');
const oauth = require('../accounting/oauth.js');
const { decimal, neutral, holds } = require('./common.js');

const TOKEN = '/quickbooks/oauth2/v1/tokens/bearer';
const kind = KINDS.invoice;

const timed = (body) => ({ ...body, time: new Date().toISOString() });
const fault = (status, code, message, detail, type = 'ValidationFault') => ({ status, changes: [],
	body: timed({ Fault: { Error: [{ Message: message, Detail: detail, code, element: '' }], type } }) });
// the gateway in front speaks differently
const gateway = (status, code, name) => ({ status, changes: [], body: { fault: { error: [{
	message: `message=${name}; errorCode=00${code}; statusCode=${status}`, detail: null, code, element: null }], type: 'SERVICE' } } });

class QuickBooks extends Shape {
	constructor(service) {
		super(service);
		this.name = 'quickbooks';
		this.prefix = '/quickbooks';
		this.maxKey = 50;
		this.comparesKeys = false;
	}

	read(req, url, text) {
		const r = super.read(req, url, text);
		const m = /^\/quickbooks\/v3\/company\/([^/]+)\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname);
		const operation = url.searchParams.get('operation');
		r.key = url.searchParams.get('requestid');
		r.seller = m?.[1] ?? null;
		if (operation !== null) r.what += `?operation=${operation}`;
		const id = m?.[3] ?? (operation === null ? undefined : r.body?.Id);
		const asked = /DocNumber\s*=\s*'((?:[^'\\]|\\.)*)'/i.exec(url.searchParams.get('query') ?? '');
		if (id !== undefined) r.numbers = this.numberOfId('invoices', String(id));
		else if (asked !== null) r.numbers = [unescape(asked[1])];
		else if (typeof r.body?.DocNumber === 'string') r.numbers = [r.body.DocNumber];
		return r;
	}

	clientOf(req) {
		const client = super.clientOf(req);
		return { ...client, denied: client.denied || client.name === 'anonymous' };
	}

	denied() { return gateway(401, '3200', 'AuthenticationFailed'); }
	tooMany() { return gateway(429, '3001', 'ThrottleExceeded'); }

	refuse(error) {
		switch (error) {
			case 'no_such_route': return fault(404, '3001', 'Not Found', 'There is no such resource', 'SystemFault');
			case 'fault': return fault(503, '10000', 'An application error has occurred', 'Service unavailable', 'SystemFault');
			case 'idempotency_in_progress': return fault(409, '5030', 'Request in progress', 'A request with this requestid is being processed');
			default: return fault(400, '2010', 'Request has invalid or unsupported property', error);
		}
	}

	fault(status) {
		const f = status === 429 ? this.tooMany() : status === 401 ? this.denied()
			: fault(status, '10000', 'An application error has occurred', 'An application error has occurred', 'SystemFault');
		return { body: f.body, headers: {} };
	}

	hiddenError() {
		const { body } = fault(200, '6000', 'A business validation error has occurred', 'The books are closed');
		return timed({ BatchItemResponse: [{ Fault: body.Fault, bId: '1' }] });
	}

	replay(known) { return { status: known.status, body: known.body, headers: known.headers }; }

	dress(x, answer) {
		if (x.path === TOKEN || /json/.test(x.req.headers.accept ?? '')) return answer;
		return { ...answer, body: '<IntuitResponse/>', headers: { ...answer.headers, 'content-type': 'application/xml' } };
	}

	route(x) {
		const { method } = x.req;
		const m = /^\/quickbooks\/v3\/company\/([^/]+)\/(invoice|query)(?:\/([^/]+))?$/.exec(x.path);
		if (x.path === TOKEN) {
			return { open: true, run: () => oauth.token(this.service, x, { grants: ['refresh_token'], basicOnly: true, more: { x_refresh_token_expires_in: 8640000 } }) };
		}
		if (m === null) return null;
		const [, realm, what, id] = m;
		if (what === 'query') return method === 'GET' ? { run: () => this.query(realm, x.url.searchParams.get('query') ?? '') } : null;
		if (method === 'GET' && id !== undefined) return { run: () => this.one(realm, id) };
		if (method !== 'POST' || id !== undefined) return null;
		const operation = x.url.searchParams.get('operation');
		if (operation === 'void') return { run: () => this.void(realm, x.body) };
		return operation === null ? { run: () => this.make(realm, x.body, x.url.searchParams.get('include')) } : null;
	}

	ours(realm, doc) { return doc?.shape === 'quickbooks' && doc.seller === realm; }

	one(realm, id) {
		const doc = this.store.state.docs.invoices.get(id);
		if (!this.ours(realm, doc)) return fault(400, '610', 'Object Not Found', 'Object Not Found : Something you are trying to use has been made inactive');
		return { status: 200, body: timed({ Invoice: show(doc) }), changes: [] };
	}

	make(realm, body, include) {
		const missing = (what) => fault(400, '2020', 'Required param missing, need to supply the required value for the API', `Required parameter ${what} is missing in the request`);
		if (!isObject(body)) return this.refuse('malformed_json');
		if (!body.CustomerRef?.value) return missing('CustomerRef');
		const lines = (Array.isArray(body.Line) ? body.Line : []).filter((l) => l?.DetailType !== 'SubTotalLineDetail');
		const net = lines.map((l) => decimal(l?.Amount));
		const tax = decimal(body.TxnTaxDetail?.TotalTax ?? 0);
		if (net.length === 0) return missing('Line');
		if (net.includes(null) || tax === null) return fault(400, '2040', 'Invalid Number', 'Invalid Number : an amount is not a number');
		const number = body.DocNumber ?? this.store.makeId('inv', 'integer').id;
		const ctx = { ...this.context({ own: { sync: 0 } }), form: 'integer' };
		if (include === 'allowduplicatedocnum') ctx.duplicate = 'allow';
		const r = create.invoice(this.store, neutral({ number, seller: realm, buyer: body.CustomerRef.value,
			currency: body.CurrencyRef?.value ?? 'USD', net, tax }), ctx);
		if (r.status === 201) return { status: 200, body: timed({ Invoice: show(r.changes[0].doc) }), changes: r.changes };
		if (r.body.error === kind.duplicate) {
			return fault(400, '6140', 'Duplicate Document Number Error', 'Duplicate Document Number Error : You must specify a different number. ' +
				`This number has already been used. DocNumber=${number} is assigned to TxnType=Invoice with TxnId=${r.body.id}`);
		}
		return fault(400, '6000', 'A business validation error has occurred', r.body.details.join('; '));
	}

	void(realm, body) {
		const doc = this.store.state.docs.invoices.get(String(body?.Id));
		if (!this.ours(realm, doc)) return fault(400, '610', 'Object Not Found', 'Object Not Found : Something you are trying to use has been made inactive');
		if (String(body.SyncToken) !== String(doc.own.sync)) {
			return fault(400, '5010', 'Stale Object Error', 'Stale Object Error : You and someone else were working on this at the same time');
		}
		if (doc.status === 'paid') return fault(400, '6480', 'Transaction cannot be voided', 'This transaction is linked to a payment');
		const set = { status: 'void', own: { ...doc.own, sync: doc.own.sync + 1 } };
		return { status: 200, body: timed({ Invoice: show({ ...doc, ...set }) }),
			changes: doc.status === 'void' ? [] : [{ do: 'update', in: 'invoices', id: doc.id, set }] };
	}

	// select * from Invoice where A = '..' and B in ('..', '..')
	query(realm, text) {
		const m = /^\s*select\s+.+?\s+from\s+invoice(?:\s+where\s+(.+?))?(?:\s+startposition\s+\d+)?(?:\s+maxresults\s+\d+)?\s*$/is.exec(text);
		const clauses = m === null ? null : conditions(m[1]);
		if (clauses === null) return fault(400, '4000', 'Error parsing query', 'QueryParserError: Encountered unexpected text');
		let found;
		try {
			found = [...this.store.state.docs.invoices.values()].filter((d) => this.ours(realm, d)).map(show)
				.filter((s) => clauses.every((c) => holds(c, s)));
		} catch (e) {
			return fault(400, '4001', 'Invalid query', `QueryValidationError: ${e.message}`);
		}
		const body = found.length === 0 ? {} : { Invoice: found, startPosition: 1, maxResults: found.length };
		return { status: 200, body: timed({ QueryResponse: body }), changes: [] };
	}
}

const unescape = (text) => text.replace(/\\(.)/g, '$1');

// The clauses of a where; null when it is not understood.
function conditions(text) {
	const out = [];
	let rest = text ?? '';
	const one = /^\s*(\w+)\s*(=|!=|<=|>=|<|>|like|in)\s*('(?:[^'\\]|\\.)*'|\((?:\s*'(?:[^'\\]|\\.)*'\s*,?)+\)|\d+(?:\.\d+)?)\s*(and\b|$)/i;
	while (rest.trim() !== '') {
		const m = one.exec(rest);
		if (m === null) return null;
		const values = [...m[3].matchAll(/'((?:[^'\\]|\\.)*)'/g)].map((v) => unescape(v[1]));
		out.push([m[1], m[2], m[3].startsWith('(') ? values : values[0] ?? m[3]]);
		rest = rest.slice(m[0].length);
	}
	return out;
}

function show(doc) {
	const gone = doc.status === 'void';
	const total = gone ? 0 : Number(doc.total);
	return { Id: doc.id, SyncToken: String(doc.own.sync), DocNumber: doc.number, TotalAmt: total, Balance: doc.status === 'paid' ? 0 : total,
		TxnTaxDetail: { TotalTax: gone ? 0 : Number(doc.tax) }, CurrencyRef: { value: doc.currency }, CustomerRef: { value: doc.buyer },
		domain: 'QBO', sparse: false, PrivateNote: gone ? 'Voided' : '' };
}

module.exports = { QuickBooks };

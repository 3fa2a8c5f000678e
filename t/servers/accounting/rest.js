'use strict';
// The plain service: /v1 and /oauth/token.

const { KINDS, create, undo, markPaid, list, one, isObject, sellerOf, numberOf, refusal } = require('./documents.js');
const { Shape, canonical, sha256 } = require('./shape.js');
const oauth = require('./oauth.js');

const MAX_BATCH = 100;

class Rest extends Shape {
	read(req, url, text) {
		const r = super.read(req, url, text);
		const items = Array.isArray(r.body) ? r.body : Array.isArray(r.body?.invoices) ? r.body.invoices : [r.body];
		r.numbers = items.map(numberOf).filter((n) => typeof n === 'string');
		if (isObject(r.body) && r.body.seller !== undefined) r.seller = sellerOf(r.body.seller);
		if (req.method === 'GET' && url.searchParams.has('number')) r.numbers = [url.searchParams.get('number')];
		const m = /^\/v1\/([^/]+)\/([^/]+)/.exec(url.pathname);
		const kind = m === null ? undefined : Object.values(KINDS).find((k) => k.path === `/v1/${m[1]}`);
		if (kind !== undefined) r.numbers = this.numberOfId(kind.coll, m[2]);
		return r;
	}

	route(x) {
		const { method } = x.req;
		const { path, body } = x;
		const { store } = this;
		const route = (needsKey, run) => ({ needsKey, run });
		const checked = (run) => () => isObject(body) ? run() : this.refuse('malformed_json');
		if (path === '/oauth/token') return { open: true, run: () => oauth.token(this.service, x) };
		if (method === 'POST' && path === '/v1/invoices:batch') return route(false, () => this.batch(x));
		if (method === 'POST' && path === '/v1/async/invoices') return route(true, checked(() => this.startOperation(x)));
		let m = /^\/v1\/operations\/([^/]+)$/.exec(path);
		if (m && method === 'GET') return route(false, () => one(store, 'operations', m[1]));
		m = /^\/v1\/invoices\/([^/]+)\/pay$/.exec(path);
		if (m && method === 'POST') return route(false, () => markPaid(store, m[1]));
		for (const [name, kind] of Object.entries(KINDS)) {
			if (path !== kind.path && !path.startsWith(kind.path + '/')) continue;
			const rest = path.slice(kind.path.length + 1).split('/');
			if (path === kind.path) {
				if (method === 'GET') return route(false, () => list(store, kind, x.url.searchParams));
				if (method === 'POST') return route(true, checked(() => create[name](store, body, this.context())));
			}
			if (path !== kind.path && rest.length === 1 && method === 'GET') {
				return route(false, () => one(store, kind.coll, rest[0]));
			}
			if (rest.length === 2 && rest[1] === kind.undo && method === 'POST') {
				return route(false, () => undo(store, kind, rest[0]));
			}
		}
		return null;
	}

	// Each item stands alone, under its own key or the batch's key and its place. The items' records
	// are committed one by one, as two items may have one number.
	batch(x) {
		const { service } = this;
		const items = Array.isArray(x.body) ? x.body : x.body?.invoices;
		if (!Array.isArray(items) || items.length === 0) return this.refuse('malformed_json');
		if (items.length > MAX_BATCH) return refusal(422, 'validation', { details: [`at most ${MAX_BATCH} items`] });
		const results = items.map((item, i) => {
			const { idempotency_key: own, ...body } = isObject(item) ? item : {};
			const key = own ?? (x.key === null ? null : `${x.key}/${i}`);
			const scoped = key === null || this.mode('idempotency') === 'none' ? null : `${x.client}\0${key}`;
			const hash = sha256(JSON.stringify(['item', canonical(body)]));
			const known = scoped === null ? undefined : service.remembered(scoped);
			if (known !== undefined) {
				return known.hash === hash ? { status: known.status, ...known.body, replayed: true }
					: { status: 422, error: 'idempotency_key_reused' };
			}
			const r = create.invoice(this.store, body, this.context());
			service.keep(x, undefined, r.status < 300 ? scoped : null, hash, r);
			return itemAnswer(r);
		});
		return { status: 207, body: { items: results }, changes: [] };
	}

	startOperation(x) {
		const { id, made } = this.store.makeId('op');
		const error = x.rules.find((r) => r.action === 'fail_async');
		const doc = { id, number: numberOf(x.body) ?? '', seller: sellerOf(x.body.seller), status: 'pending',
			ready_at: Date.now() + this.mode('async_ms'), work: x.body, fail: error ? error.error ?? 'failed' : null, at: Date.now() };
		// armed before it is stored: the timer looks the operation up
		this.arm(doc);
		return { status: 202, body: { operation: id, status: 'pending' }, changes: [{ do: 'insert', in: 'operations', made, doc }] };
	}

	arm(op) {
		if (op.status !== 'pending') return;
		const { timers } = this.service;
		const timer = setTimeout(() => {
			timers.delete(timer);
			this.finishOperation(op.id);
		}, Math.max(0, op.ready_at - Date.now()));
		timers.add(timer);
	}

	finishOperation(id) {
		const op = this.store.state.docs.operations.get(id);
		if (op === undefined || op.status !== 'pending') return;
		const r = op.fail !== null ? refusal(422, op.fail) : create.invoice(this.store, op.work, this.context());
		const outcome = r.status < 300 ? { status: 'success', result: r.body } : { status: 'failed', error: r.body };
		this.store.commit(null, [...r.changes, { do: 'update', in: 'operations', id, set: { ...outcome, work: null } }], true);
	}
}

function itemAnswer({ status, body }) {
	const { status: state, ...rest } = body;
	return state === undefined ? { status, ...rest } : { status, state, ...rest };
}

module.exports = { Rest };

'use strict';
// Requests: limits, faults, tokens, idempotency, the books, the answer; in this order.

const crypto = require('node:crypto');
const { KINDS, create, undo, markPaid, list, one, refusal, isObject, sellerOf, numberOf } = require('./documents.js');
const { checkPlan, mode, pick, takesEffect } = require('./faults.js');
const { audit } = require('./audit.js');
const { send, spoil } = require('./answers.js');

const MAX_BODY = 10 * 1024 * 1024;
const MAX_BATCH = 100;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

function readBody(req) {
	return new Promise((resolve, reject) => {
		const chunks = [];
		let size = 0;
		req.on('data', (c) => {
			size += c.length;
			if (size <= MAX_BODY) chunks.push(c);
		});
		req.on('end', () => resolve(size > MAX_BODY ? null : Buffer.concat(chunks).toString('utf8')));
		req.on('error', reject);
		req.on('close', () => reject(new Error('closed')));
	});
}

// The same document whatever the order of its members.
function canonical(v) {
	if (Array.isArray(v)) return v.map(canonical);
	if (!isObject(v)) return v;
	return Object.fromEntries(Object.keys(v).sort().map((k) => [k, canonical(v[k])]));
}

class Service {
	// clients: Map of id -> secret. down(ms): stop listening for so long.
	constructor(store, { clients, down, startPlan }) {
		this.store = store;
		this.clients = clients;
		this.down = down;
		this.startPlan = startPlan;
		this.inFlight = new Set();	// keys that are being worked on
		this.working = new Map();	// client -> requests being answered
		this.passed = new Map();	// client -> times of the requests that no limit stopped
		this.timers = new Set();
		for (const op of store.state.docs.operations.values()) this.arm(op);
	}

	mode(name) { return mode(this.store.state, name); }

	async handle(req, res) {
		let text;
		try {
			text = await readBody(req);
		} catch {
			return;		// gone before it was heard
		}
		const url = new URL(req.url, 'http://localhost');
		if (url.pathname.startsWith('/_')) {
			await this.control(req.method, url, text, res);
			return;
		}
		const x = this.takeIn(req, url, text);
		this.working.set(x.client, (this.working.get(x.client) ?? 0) + 1);
		try {
			await this.serve(x, res);
		} finally {
			this.working.set(x.client, this.working.get(x.client) - 1);
		}
	}

	// Note the request before anything is done about it.
	takeIn(req, url, text) {
		let body;
		if (text) try { body = JSON.parse(text); } catch { /* answered with 400 where a body is needed */ }
		const key = req.headers['idempotency-key'] ?? null;
		const items = Array.isArray(body) ? body : Array.isArray(body?.invoices) ? body.invoices : [body];
		const numbers = items.map(numberOf).filter((n) => typeof n === 'string');
		const path = url.pathname;
		const identity = `${req.method} ${path} ${key ?? numbers.join()}`;
		const attempt = (this.store.state.attempts.get(identity) ?? 0) + 1;
		const client = this.clientOf(req.headers.authorization);
		const limited = this.overLimit(client);
		const picked = limited ? { fire: [], matched: [], fired: [] }
			: pick(this.store.state, { method: req.method, path, numbers, identity, attempt });
		const record = this.store.addRequest({
			seq: this.store.state.seq + 1, at: Date.now(), method: req.method, path: path + url.search, key,
			client: client.name, concurrent: (this.working.get(client.name) ?? 0) + 1, number: numbers.length > 1 ? numbers : numbers[0] ?? null,
			seller: isObject(body) && body.seller !== undefined ? sellerOf(body.seller) : null,
			identity, attempt, limited: limited !== null, fault: picked.fire.map((r) => String(r.action)),
			matched: picked.matched, fired: picked.fired, effect: false, replay: false, status: null, ended_at: null });
		return { req, url, path, text, body, key, client: client.name, denied: client.denied, limited,
			rules: picked.fire, record, numbers };
	}

	// A client is known by its token, and nobody by a wrong one.
	clientOf(authorization) {
		const m = /^Bearer +(\S+)$/i.exec(authorization ?? '');
		if (m === null) return { name: 'anonymous', denied: this.mode('auth') === 'required' };
		const token = this.store.state.tokens.get(sha256(m[1]));
		if (token === undefined) return { name: 'anonymous', denied: true };
		return { name: token.client, denied: token.until <= Date.now() };
	}

	// Seconds to wait when the client is over one of its limits, else null.
	overLimit({ name }) {
		const { per_second, per_minute, concurrency } = this.mode('limits');
		const now = Date.now();
		const times = (this.passed.get(name) ?? []).filter((t) => now - t < 60000);
		const wait = (n, ms) => {
			if (n === undefined) return 0;
			const recent = times.filter((t) => now - t < ms);
			return recent.length < n ? 0 : (recent[recent.length - n] + ms - now) / 1000;
		};
		let s = Math.max(wait(per_second, 1000), wait(per_minute, 60000));
		if (concurrency !== undefined && (this.working.get(name) ?? 0) >= concurrency) s = Math.max(s, 1);
		if (s === 0) times.push(now);
		this.passed.set(name, times);
		return s === 0 ? null : Math.max(1, Math.ceil(s));
	}

	async serve(x, res) {
		const done = (status) => this.store.sent(x.record, { status, ended_at: Date.now() });
		if (x.limited !== null) {
			done(429);
			await send(res, 429, { error: 'rate_limited' }, { 'retry-after': String(x.limited) });
			return;
		}
		for (const r of x.rules) {
			if (r.action === 'forget_keys' || r.action === 'expire_tokens') {
				this.store.commit(x.record, [{ do: r.action }], false);
				if (r.action === 'expire_tokens') x.denied ||= x.client !== 'anonymous';
			}
			if (r.action === 'down_until') {
				this.down(r.until !== undefined ? Math.max(0, Date.parse(r.until) - Date.now()) : r.for_ms ?? 1000);
			}
		}
		const last = x.rules.find((r) => !['delay', 'forget_keys', 'expire_tokens', 'fail_async'].includes(r.action));
		const answer = await this.answer(x, last);
		if (last === undefined) {
			done(answer.status);
			await send(res, answer.status, answer.body, answer.headers);
		} else {
			done(await spoil(last, res, answer));
		}
	}

	// What the server says when no rule spoils it; the effect happens here.
	async answer(x, last) {
		if (x.path === '/oauth/token') {
			return takesEffect(last) ? this.token(x) : refusal(503, 'fault');
		}
		if (x.denied) return { ...refusal(401, 'invalid_token'), headers: { 'www-authenticate': 'Bearer' } };
		if (x.text === null) return refusal(413, 'too_large');
		if (x.req.method !== 'GET' && x.text !== '' && x.body === undefined) return refusal(400, 'malformed_json');
		const route = this.route(x);
		if (route === null) return refusal(404, 'no_such_route');
		const key = this.mode('idempotency') === 'none' ? null : x.key;
		if (route.needsKey && key === null && this.mode('idempotency') === 'on') {
			return refusal(400, 'idempotency_key_required');
		}
		return this.once(x, last, key, route);
	}

	// The effect at most once for one key.
	async once(x, last, key, route) {
		const scoped = key === null || x.req.method === 'GET' ? null : `${x.client}\0${key}`;
		const hash = sha256(JSON.stringify([x.req.method, x.path, x.body === undefined ? x.text : canonical(x.body)]));
		const known = scoped === null ? undefined : this.remembered(scoped);
		if (known !== undefined) {
			if (known.hash !== hash) return refusal(422, 'idempotency_key_reused');
			await this.delays(x, 'before');
			await this.delays(x, 'after');
			x.record.replay = true;
			return { status: known.status, body: known.body, headers: { 'idempotent-replayed': 'true' } };
		}
		if (scoped !== null && this.inFlight.has(scoped)) return refusal(409, 'idempotency_in_progress');
		if (scoped !== null) this.inFlight.add(scoped);
		try {
			await this.delays(x, 'before');
			const result = takesEffect(last) ? await route.run() : refusal(503, 'fault');
			this.keep(x, last, scoped, hash, result);
			await this.delays(x, 'after');
			return result;
		} finally {
			if (scoped !== null) this.inFlight.delete(scoped);
		}
	}

	// The change of the books and the answer stored under the key, in one record.
	keep(x, last, scoped, hash, result) {
		const changes = [...result.changes];
		const stored = last?.action === 'status' && last.store
			? { status: last.status ?? 500, body: last.body ?? { error: 'fault', status: last.status ?? 500 } }
			: result.status < 300 ? result : null;
		if (scoped !== null && stored !== null) {
			changes.push({ do: 'key', key: scoped, hash, status: stored.status, body: stored.body, at: Date.now() });
		}
		this.store.commit(x.record, changes, result.changes.length > 0);
	}

	remembered(scoped) {
		const k = this.store.state.keys.get(scoped);
		return k !== undefined && Date.now() - k.at < this.mode('key_ttl_s') * 1000 ? k : undefined;
	}

	async delays(x, at) {
		for (const r of x.rules) {
			if (r.action === 'delay' && (r.at ?? 'before') === at) await sleep(r.ms ?? 1000);
		}
	}

	context() {
		return { duplicate: this.mode('duplicate'), now: Date.now() };
	}

	// {needsKey, run}; null when there is no such route.
	route(x) {
		const { method } = x.req;
		const { path, body } = x;
		const store = this.store;
		const post = (needsKey, run) => ({ needsKey, run });
		const checked = (run) => () => isObject(body) ? run() : refusal(400, 'malformed_json');
		if (method === 'POST' && path === '/v1/invoices:batch') return post(false, () => this.batch(x));
		if (method === 'POST' && path === '/v1/async/invoices') return post(true, checked(() => this.startOperation(x)));
		let m = /^\/v1\/operations\/([^/]+)$/.exec(path);
		if (m && method === 'GET') return post(false, () => one(store, 'operations', decodeURIComponent(m[1])));
		m = /^\/v1\/invoices\/([^/]+)\/pay$/.exec(path);
		if (m && method === 'POST') return post(false, () => markPaid(store, m[1]));
		for (const [name, kind] of Object.entries(KINDS)) {
			if (path !== kind.path && !path.startsWith(kind.path + '/')) continue;
			const rest = path.slice(kind.path.length + 1).split('/');
			if (path === kind.path) {
				if (method === 'GET') return post(false, () => list(store, kind, x.url.searchParams));
				if (method === 'POST') return post(true, checked(() => create[name](store, body, this.context())));
			}
			if (path !== kind.path && rest.length === 1 && method === 'GET') {
				return post(false, () => one(store, kind.coll, rest[0]));
			}
			if (rest.length === 2 && rest[1] === kind.undo && method === 'POST') {
				return post(false, () => undo(store, kind, rest[0]));
			}
		}
		return null;
	}

	// Each item stands alone, under its own key or the batch's key and its place. The items' records
	// are committed one by one, as two items may have one number.
	batch(x) {
		const items = Array.isArray(x.body) ? x.body : x.body?.invoices;
		if (!Array.isArray(items) || items.length === 0) return refusal(400, 'malformed_json');
		if (items.length > MAX_BATCH) return refusal(422, 'validation', { details: [`at most ${MAX_BATCH} items`] });
		const results = items.map((item, i) => {
			const { idempotency_key: own, ...body } = isObject(item) ? item : {};
			const key = own ?? (x.key === null ? null : `${x.key}/${i}`);
			const scoped = key === null || this.mode('idempotency') === 'none' ? null : `${x.client}\0${key}`;
			const hash = sha256(JSON.stringify(['item', canonical(body)]));
			const known = scoped === null ? undefined : this.remembered(scoped);
			if (known !== undefined) {
				return known.hash === hash ? { status: known.status, ...known.body, replayed: true }
					: { status: 422, error: 'idempotency_key_reused' };
			}
			const r = create.invoice(this.store, body, this.context());
			this.keep(x, undefined, r.status < 300 ? scoped : null, hash, r);
			return itemAnswer(r);
		});
		return { status: 207, body: { items: results }, changes: [] };
	}

	startOperation(x) {
		const { id, made } = this.store.makeId('op');
		const error = x.rules.find((r) => r.action === 'fail_async');
		const doc = { id, number: numberOf(x.body) ?? '', seller: sellerOf(x.body.seller), status: 'pending',
			ready_at: Date.now() + this.mode('async_ms'), work: x.body, fail: error ? error.error ?? 'failed' : null, at: Date.now() };
		// armed when the record is written: the timer looks the operation up
		this.arm(doc);
		return { status: 202, body: { operation: id, status: 'pending' }, changes: [{ do: 'insert', in: 'operations', made, doc }] };
	}

	arm(op) {
		if (op.status !== 'pending') return;
		const timer = setTimeout(() => {
			this.timers.delete(timer);
			this.finishOperation(op.id);
		}, Math.max(0, op.ready_at - Date.now()));
		this.timers.add(timer);
	}

	finishOperation(id) {
		const op = this.store.state.docs.operations.get(id);
		if (op === undefined || op.status !== 'pending') return;
		const r = op.fail !== null ? refusal(422, op.fail) : create.invoice(this.store, op.work, this.context());
		const outcome = r.status < 300 ? { status: 'success', result: r.body } : { status: 'failed', error: r.body };
		this.store.commit(null, [...r.changes, { do: 'update', in: 'operations', id, set: { ...outcome, work: null } }], true);
	}

	// OAuth 2 client credentials, by basic authentication or in the form.
	token(x) {
		const form = new URLSearchParams(x.text ?? '');
		let id = form.get('client_id');
		let secret = form.get('client_secret');
		const m = /^Basic +(\S+)$/i.exec(x.req.headers.authorization ?? '');
		if (m !== null) {
			const [u, ...p] = Buffer.from(m[1], 'base64').toString('utf8').split(':');
			[id, secret] = [decodeURIComponent(u), decodeURIComponent(p.join(':'))];
		}
		if (x.req.method !== 'POST') return refusal(405, 'method_not_allowed');
		if (form.get('grant_type') !== 'client_credentials') return refusal(400, 'unsupported_grant_type');
		if (id === null || this.clients.get(id) !== secret) return refusal(401, 'invalid_client');
		const { id: token, made } = this.store.makeId('tok');
		const ttl = this.mode('token_ttl_s');
		this.store.commit(x.record, [{ do: 'token', made, hash: sha256(token), client: id, until: Date.now() + ttl * 1000 }], false);
		return { status: 200, body: { access_token: token, token_type: 'bearer', expires_in: ttl }, headers: { 'cache-control': 'no-store' } };
	}

	// The test's own requests: no fault touches them, and they are not in the audit.
	async control(method, url, text, res) {
		const what = `${method} ${url.pathname}`;
		if (what === 'GET /_audit') {
			await send(res, 200, audit(this.store.state));
		} else if (what === 'POST /_faults') {
			try {
				this.store.setPlan(checkPlan(text ? JSON.parse(text) : {}));
				await send(res, 200, this.store.state.plan);
			} catch (e) {
				await send(res, 400, { error: e.message });
			}
		} else if (what === 'POST /_reset') {
			this.forget();
			await send(res, 200, {});
		} else if (what === 'GET /_health') {
			await send(res, 200, { status: 'up' });
		} else {
			await send(res, 404, { error: 'no_such_route' });
		}
	}

	forget() {
		for (const t of this.timers) clearTimeout(t);
		this.timers.clear();
		this.passed.clear();
		this.store.reset();
		if (this.startPlan) this.store.setPlan(this.startPlan);
	}

	close() {
		for (const t of this.timers) clearTimeout(t);
	}
}

function itemAnswer({ status, body }) {
	const { status: state, ...rest } = body;
	return state === undefined ? { status, ...rest } : { status, state, ...rest };
}

module.exports = { Service };

'use strict';
// Requests: limits, faults, tokens, idempotency, the books, the answer; in this order. How a request
// is read and answered is the shape's.

const { refusal } = require('./documents.js');
const { checkPlan, mode, pick, takesEffect, GO_ON } = require('./faults.js');
const { audit } = require('./audit.js');
const { send, spoil } = require('./answers.js');
const { canonical, sha256 } = require('./shape.js');
const { Rest } = require('./rest.js');
const oauth = require('./oauth.js');
const { vendors } = require('../vendors/index.js');

const MAX_BODY = 10 * 1024 * 1024;
const DAY = 86400000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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
		this.rest = new Rest(this);
		this.shapes = vendors(this);
		for (const op of store.state.docs.operations.values()) this.rest.arm(op);
	}

	mode(name) { return mode(this.store.state, name); }

	shapeOf(path) {
		return this.shapes.find((s) => path.startsWith(s.prefix + '/')) ?? this.rest;
	}

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
		// what the client has given up is no request of its any more, though it is still worked on
		let there = true;
		const leave = () => {
			if (there) this.working.set(x.client, this.working.get(x.client) - 1);
			there = false;
		};
		res.once('close', leave);
		try {
			await this.serve(x, res);
		} finally {
			leave();
		}
	}

	// Note the request before anything is done about it.
	takeIn(req, url, text) {
		const path = url.pathname;
		const shape = this.shapeOf(path);
		const { body, key, numbers, seller, what } = shape.read(req, url, text);
		const identity = `${req.method} ${what} ${key ?? numbers.join()}`;
		const attempt = (this.store.state.attempts.get(identity) ?? 0) + 1;
		const client = shape.clientOf(req);
		const limited = this.overLimit(client);
		const picked = limited ? { fire: [], matched: [], fired: [] }
			: pick(this.store.state, { method: req.method, path: what, numbers, identity, attempt });
		const record = this.store.addRequest({
			seq: this.store.state.seq + 1, at: Date.now(), method: req.method, path: path + url.search, what, key,
			client: client.name, concurrent: (this.working.get(client.name) ?? 0) + 1,
			number: numbers.length > 1 ? numbers : numbers[0] ?? null, seller,
			identity, attempt, limited: limited !== null, fault: picked.fire.map((r) => String(r.action)),
			matched: picked.matched, fired: picked.fired, effect: false, replay: false, status: null, ended_at: null });
		return { req, url, path, text, body, key, shape, client: client.name, denied: client.denied, limited,
			rules: picked.fire, record, numbers, what };
	}

	// {seconds, which} to wait for when the client is over one of its limits, else null.
	overLimit({ name }) {
		const { per_second, per_minute, per_day, concurrency } = this.mode('limits');
		const now = Date.now();
		const keep = per_day === undefined ? 60000 : DAY;
		const times = (this.passed.get(name) ?? []).filter((t) => now - t < keep);
		let over = null;
		for (const [which, n, ms] of [['second', per_second, 1000], ['minute', per_minute, 60000], ['day', per_day, DAY]]) {
			const recent = n === undefined ? [] : times.filter((t) => now - t < ms);
			if (n === undefined || recent.length < n) continue;
			const seconds = Math.max(1, Math.ceil((recent[recent.length - n] + ms - now) / 1000));
			if (over === null || seconds > over.seconds) over = { seconds, which };
		}
		if (over === null && concurrency !== undefined && (this.working.get(name) ?? 0) >= concurrency) {
			over = { seconds: 1, which: 'concurrency' };
		}
		if (over === null) times.push(now);
		this.passed.set(name, times);
		return over;
	}

	async serve(x, res) {
		const done = (status) => this.store.sent(x.record, { status, ended_at: Date.now() });
		if (x.limited !== null) {
			const answer = x.shape.dress(x, x.shape.tooMany(x.limited));
			done(answer.status);
			await send(res, answer.status, answer.body, answer.headers);
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
		const last = x.rules.find((r) => !GO_ON.has(r.action));
		const answer = x.shape.dress(x, await this.answer(x, last));
		if (last === undefined) {
			done(answer.status);
			await send(res, answer.status, answer.body, answer.headers);
		} else {
			done(await spoil(last, res, answer, x.shape));
		}
	}

	// What the server says when no rule spoils it; the effect happens here.
	async answer(x, last) {
		const { shape } = x;
		const route = shape.route(x);
		if (route?.open) return takesEffect(last) ? route.run() : shape.refuse('fault');
		if (x.denied) return shape.denied(x);
		if (x.text === null) return shape.refuse('too_large');
		if (x.req.method !== 'GET' && x.text !== '' && x.body === undefined) return shape.refuse('malformed_json');
		if (route === null) return shape.refuse('no_such_route');
		const key = this.mode('idempotency') === 'none' ? null : x.key;
		if (route.needsKey && key === null && this.mode('idempotency') === 'on') {
			return shape.refuse('idempotency_key_required');
		}
		if (key !== null && key.length > shape.maxKey) return shape.refuse('idempotency_key_too_long');
		return this.once(x, last, key, route);
	}

	// The effect at most once for one key.
	async once(x, last, key, route) {
		const scoped = key === null || x.req.method === 'GET' ? null : `${x.client}\0${x.shape.prefix}${key}`;
		const hash = sha256(JSON.stringify([x.req.method, x.path, x.body === undefined ? x.text : canonical(x.body)]));
		const known = scoped === null ? undefined : this.remembered(scoped);
		if (known !== undefined) {
			if (x.shape.comparesKeys && known.hash !== hash) return x.shape.refuse('idempotency_key_reused');
			await this.delays(x, 'before');
			await this.delays(x, 'after');
			x.record.replay = true;
			return x.shape.replay(known);
		}
		if (scoped !== null && this.inFlight.has(scoped)) return x.shape.refuse('idempotency_in_progress');
		if (scoped !== null) this.inFlight.add(scoped);
		try {
			await this.delays(x, 'before');
			const result = takesEffect(last) ? await route.run() : x.shape.refuse('fault');
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
		const stored = this.faultToStore(x, last) ?? (result.status < 300 ? result : null);
		if (scoped !== null && stored !== null) {
			changes.push({ do: 'key', key: scoped, hash, status: stored.status, body: stored.body, headers: stored.headers, at: Date.now() });
		}
		this.store.commit(x.record, changes, result.changes.length > 0);
	}

	faultToStore(x, last) {
		if (last?.action !== 'status') return null;
		const status = last.status ?? 500;
		if (!(last.store ?? (x.shape.storesFaults && status === 500))) return null;
		return { status, body: last.body ?? x.shape.fault(status).body, headers: last.headers };
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
		} else if (what === 'POST /_consent') {
			await send(res, 200, oauth.consent(this, JSON.parse(text || '{}').client ?? [...this.clients.keys()][0]));
		} else if (what === 'POST /_reset') {
			const { seed } = JSON.parse(text || '{}');
			this.forget(seed);
			await send(res, 200, {});
		} else if (what === 'GET /_health') {
			await send(res, 200, { status: 'up' });
		} else {
			await send(res, 404, refusal(404, 'no_such_route').body);
		}
	}

	forget(seed) {
		for (const t of this.timers) clearTimeout(t);
		this.timers.clear();
		this.passed.clear();
		this.inFlight.clear();
		this.store.reset(seed);
		this.shapes = vendors(this);
		if (this.startPlan) this.store.setPlan(this.startPlan);
	}

	close() {
		for (const t of this.timers) clearTimeout(t);
	}
}

module.exports = { Service };

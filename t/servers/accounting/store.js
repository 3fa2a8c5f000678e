'use strict';
// The state, and the append-only file that it is made of. One line of JSON is one record:
//
//   start    seed                                    a new file, or after a reset
//   plan     plan                                    the fault plan
//   request  seq, at, ...                            a request came in
//   commit   seq, changes                            what it did, all or nothing
//   sent     seq, status, ...                        how it was answered
//
// A record is written before anything is answered, so what a client was told survives a kill. A
// last line that a kill cut short is dropped.

const fs = require('node:fs');
const crypto = require('node:crypto');

const COLLECTIONS = ['invoices', 'credit_notes', 'payments', 'credits', 'operations', 'wizards'];

function emptyState(seed) {
	return {
		seed,
		seq: 0,				// of the last request
		made: 0,			// ids made so far
		docs: Object.fromEntries(COLLECTIONS.map((c) => [c, new Map()])),
		byNumber: Object.fromEntries(COLLECTIONS.map((c) => [c, new Map()])),
		keys: new Map(),	// scope and idempotency key -> {hash, status, body, headers, at}
		tokens: new Map(),	// hash of an access token -> {client, until}
		refresh: new Map(),	// hash of a refresh token -> {client, used_at}; used_at null: not yet
		oauth: new Map(),	// client -> how often a token was {granted, refreshed, refused, reused}
		requests: [],		// every request, for the audit
		attempts: new Map(),	// identity of a request -> how often it came
		plan: null,
		matched: [],		// per rule of the plan: requests it matched
		fired: [],			// per rule: requests it spoilt
	};
}

const numberKey = (seller, number) => seller + '\0' + number;

// One change to the state. Used when it happens and again when the file is read.
function apply(state, c) {
	switch (c.do) {
		case 'insert': {
			state.made = Math.max(state.made, c.made);
			state.docs[c.in].set(c.doc.id, c.doc);
			const k = numberKey(c.doc.seller, c.doc.number);
			const index = state.byNumber[c.in];
			if (index.has(k)) index.get(k).push(c.doc.id);
			else index.set(k, [c.doc.id]);
			break;
		}
		case 'update':
			Object.assign(state.docs[c.in].get(c.id), c.set);
			break;
		case 'key':
			state.keys.set(c.key, { hash: c.hash, status: c.status, body: c.body, headers: c.headers, at: c.at });
			break;
		case 'token':
			state.made = Math.max(state.made, c.made);
			state.tokens.set(c.hash, { client: c.client, until: c.until });
			break;
		case 'refresh':
			state.made = Math.max(state.made, c.made);
			state.refresh.set(c.hash, { client: c.client, used_at: null });
			break;
		case 'used':
			state.refresh.get(c.hash).used_at = c.at;
			break;
		case 'oauth': {
			if (!state.oauth.has(c.client)) state.oauth.set(c.client, { granted: 0, refreshed: 0, refused: 0, reused: 0 });
			state.oauth.get(c.client)[c.what]++;
			break;
		}
		case 'forget_keys':
			state.keys.clear();
			break;
		case 'expire_tokens':
			state.tokens.clear();
			break;
		default:
			throw new Error(`unknown change "${c.do}"`);
	}
}

class Store {
	constructor(file, seed) {
		this.file = file;
		this.state = emptyState(seed);
		this.fd = fs.openSync(file, 'a+', 0o600);
		const known = this.load();
		if (known) return;
		this.append({ t: 'start', seed });
	}

	load() {
		const text = fs.readFileSync(this.file, 'utf8');
		const whole = text.lastIndexOf('\n') + 1;
		if (whole < text.length) fs.ftruncateSync(this.fd, Buffer.byteLength(text.slice(0, whole)));
		const bySeq = new Map();
		for (const line of text.slice(0, whole).split('\n')) {
			if (line) this.replay(JSON.parse(line), bySeq);
		}
		return whole > 0;
	}

	replay(r, bySeq) {
		const s = this.state;
		switch (r.t) {
			case 'start':
				this.state = emptyState(r.seed);
				bySeq.clear();
				break;
			case 'plan':
				this.takePlan(r.plan);
				break;
			case 'request':
				bySeq.set(r.seq, this.takeRequest(r.request));
				break;
			case 'commit':
				for (const c of r.changes) apply(s, c);
				if (bySeq.has(r.seq)) bySeq.get(r.seq).effect = r.effect;
				break;
			case 'sent':
				Object.assign(bySeq.get(r.seq), r.sent);
				break;
			default:
				throw new Error(`unknown record "${r.t}" in ${this.file}`);
		}
	}

	append(record) {
		fs.writeSync(this.fd, JSON.stringify(record) + '\n');
	}

	takePlan(plan) {
		this.state.plan = plan;
		this.state.matched = plan.rules.map(() => 0);
		this.state.fired = plan.rules.map(() => 0);
	}

	setPlan(plan) {
		this.append({ t: 'plan', plan });
		this.takePlan(plan);
	}

	takeRequest(request) {
		const s = this.state;
		s.seq = request.seq;
		s.requests.push(request);
		if (request.identity) s.attempts.set(request.identity, request.attempt);
		for (const i of request.matched) s.matched[i]++;
		for (const i of request.fired) s.fired[i]++;
		return request;
	}

	addRequest(request) {
		this.append({ t: 'request', seq: request.seq, request });
		return this.takeRequest(request);
	}

	// Was it still worked on when the books were emptied? Then nothing of it counts.
	isForgotten(request) {
		return this.state.requests[request.seq - 1] !== request;
	}

	// All changes of one request in one record. effect: whether the books changed.
	commit(request, changes, effect) {
		if (changes.length === 0 || (request && this.isForgotten(request))) return;
		this.append({ t: 'commit', seq: request?.seq ?? 0, changes, effect });
		for (const c of changes) apply(this.state, c);
		if (request && effect) request.effect = true;
	}

	sent(request, sent) {
		if (this.isForgotten(request)) return;
		this.append({ t: 'sent', seq: request.seq, sent });
		Object.assign(request, sent);
	}

	// Empty books; the seed stays unless there is a new one.
	reset(seed = this.state.seed) {
		fs.ftruncateSync(this.fd, 0);
		this.state = emptyState(seed);
		this.append({ t: 'start', seed: this.state.seed });
	}

	// The n-th id or token of a seed is always the same. skip: ids that this request has made already.
	makeId(prefix, form = 'prefixed', skip = 0) {
		const made = this.state.made + 1 + skip;
		const hex = crypto.createHmac('sha256', `saga ${this.state.seed}`).update(`${prefix} ${made}`).digest('hex');
		switch (form) {
			case 'prefixed': return { id: `${prefix}_${hex.slice(0, 20)}`, made };
			case 'integer': return { id: String(made), made };
			case 'uuid': return { id: hex.slice(0, 32).replace(/(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, '$1-$2-4$3-a$4-$5'), made };
			default: throw new Error(`unknown form of an id "${form}"`);
		}
	}

	find(coll, seller, number) {
		const ids = this.state.byNumber[coll].get(numberKey(seller, number)) ?? [];
		return ids.map((id) => this.state.docs[coll].get(id));
	}

	close() {
		fs.closeSync(this.fd);
	}
}

module.exports = { Store, COLLECTIONS };

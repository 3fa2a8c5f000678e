'use strict';
// What an API looks like: how it reads a request, in which words it refuses, and its routes. This is
// the base of the plain service (rest.js) and of the vendors' shapes (../vendors), which replace what
// is different there. All of them write to the same books.

const crypto = require('node:crypto');
const { isObject, refusal } = require('./documents.js');

const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

const STATUS = { malformed_json: 400, idempotency_key_required: 400, idempotency_key_too_long: 400, invalid_token: 401,
	no_such_route: 404, idempotency_in_progress: 409, too_large: 413, idempotency_key_reused: 422, fault: 503 };

class Shape {
	constructor(service) {
		this.service = service;
		this.store = service.store;
		this.name = 'rest';
		this.prefix = '';				// of its paths
		this.maxKey = Infinity;			// length of an idempotency key
		this.comparesKeys = true;		// a key with another body is refused
		this.storesFaults = false;		// a 500 is stored under the key too
	}

	mode(name) { return this.service.mode(name); }

	// Who and what: {body, key, numbers, seller, what}. body undefined: malformed; what: the path that
	// rules see; numbers: of the documents that are meant.
	read(req, url, text) {
		const body = parseJson(text);
		return { body, key: req.headers['idempotency-key'] ?? null, numbers: [], seller: null, what: url.pathname };
	}

	// A client is known by its token, and nobody by a wrong one.
	clientOf(req) {
		const m = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '');
		if (m === null) return { name: 'anonymous', denied: this.mode('auth') === 'required' };
		const token = this.store.state.tokens.get(sha256(m[1]));
		if (token === undefined) return { name: 'anonymous', denied: true };
		return { name: token.client, denied: token.until <= Date.now() };
	}

	// {run, needsKey}; null when there is no such route. open: no token is needed, and no key kept.
	route() { return null; }

	refuse(error, more) { return refusal(STATUS[error] ?? 400, error, more); }

	denied() { return { ...this.refuse('invalid_token'), headers: { 'www-authenticate': 'Bearer' } }; }

	// limit: {seconds, which: "second" | "minute" | "day" | "concurrency"}
	tooMany(limit) {
		return { ...refusal(429, 'rate_limited'), headers: { 'retry-after': String(limit.seconds) } };
	}

	// What a rule of the plan answers where it brings no body.
	fault(status) {
		return { body: status === 429 ? { error: 'rate_limited' } : { error: 'fault', status }, headers: {} };
	}

	hiddenError() { return { error: 'validation', details: ['refused with a good status'] }; }

	// The answer of a request that came before, under the same key.
	replay(known) {
		return { status: known.status, body: known.body, headers: { ...known.headers, 'idempotent-replayed': 'true' } };
	}

	// The last touch: headers that every answer has.
	dress(x, answer) { return answer; }

	numberOfId(coll, id) {
		const doc = this.store.state.docs[coll].get(id);
		return doc === undefined ? [] : [doc.number];
	}

	// For create: duplicate: what to do with a known number; more: members of the document.
	context(more) {
		return { duplicate: this.mode('duplicate'), now: Date.now(), more: this.name === 'rest' ? more : { shape: this.name, ...more } };
	}
}

function parseJson(text) {
	if (text === null || text === '') return undefined;
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

// The same document whatever the order of its members.
function canonical(v) {
	if (Array.isArray(v)) return v.map(canonical);
	if (!isObject(v)) return v;
	return Object.fromEntries(Object.keys(v).sort().map((k) => [k, canonical(v[k])]));
}

module.exports = { Shape, parseJson, canonical, sha256 };

'use strict';
// The fault plan: {modes, rules}, or a bare array of rules.
//
// modes   duplicate: "409" | "400" | "allow"       a number that is posted already
//         idempotency: "on" | "none"               an API that knows no keys
//         key_ttl_s: N                             how long a key is remembered
//         auth: "optional" | "required"            bearer tokens
//         token_ttl_s: N
//         refresh_grace_s: N                       a refresh token that was used is taken again so long
//         async_ms: N                              how long an operation stays pending
//         search_lag_ms: N                         a search does not find what is younger (Stripe)
//         limits: {per_second, per_minute, per_day, concurrency}    per client, answered with 429
//
// rule    which requests:  method; path (text, or a regular expression between slashes; where one
//                          path serves many calls, shapes add which: see README.md); number
//                          (regular expression; known too where the request names an id); attempt
//                          (N or a list: the n-th request with this key); nth (N or a list: the n-th request that matches); times (at most);
//                          probability (0 to 1, drawn by seed, rule, number and attempt, so that
//                          the order of arrival does not matter)
//         what happens:    action and its own members, below. Rules are tried in order; delay,
//                          expire_tokens and forget_keys go on to the next rule, the others end.
//
// action  status {status, headers, body, effect, store}   effect: take effect first; store: under the key
//         429 {retry_after: seconds, date: true}
//         delay {ms, at: "before" | "after"}              the effect
//         drop_before, drop_after {reset: true}           close without an answer; reset: by RST
//         half_response, garbage_json, huge_body {bytes}, slow_drip {ms, bytes}     with effect
//         200_with_error {status, body}, redirect {status, location}                without
//         expire_tokens, forget_keys
//         down_until {for_ms | until}                     no listener until then
//         fail_async {error}                              the operation started here fails

const crypto = require('node:crypto');

const GO_ON = new Set(['delay', 'expire_tokens', 'forget_keys', 'fail_async']);
const EFFECT_FIRST = new Set(['drop_after', 'half_response', 'garbage_json', 'huge_body', 'slow_drip']);
const ACTIONS = new Set([...GO_ON, ...EFFECT_FIRST, 'status', '429', 'drop_before', '200_with_error',
	'redirect', 'down_until']);
const RULE_MEMBERS = new Set(['method', 'path', 'number', 'attempt', 'nth', 'times', 'probability', 'action',
	'status', 'headers', 'body', 'effect', 'store', 'retry_after', 'date', 'ms', 'at', 'reset', 'bytes',
	'location', 'for_ms', 'until', 'error']);
const MODES = {
	duplicate: (v) => ['409', '400', 'allow'].includes(v),
	idempotency: (v) => ['on', 'none'].includes(v),
	key_ttl_s: (v) => v > 0,
	auth: (v) => ['optional', 'required'].includes(v),
	token_ttl_s: (v) => v > 0,
	refresh_grace_s: (v) => v >= 0,
	async_ms: (v) => v >= 0,
	search_lag_ms: (v) => v >= 0,
	limits: (v) => v !== null && typeof v === 'object' &&
		Object.entries(v).every(([k, n]) => ['per_second', 'per_minute', 'per_day', 'concurrency'].includes(k) && n > 0),
};
const DEFAULTS = { duplicate: '409', idempotency: 'on', key_ttl_s: Infinity, auth: 'optional',
	token_ttl_s: 1800, refresh_grace_s: 0, async_ms: 200, search_lag_ms: 0, limits: {} };

// A plan in its full form; throws on what it does not know, so that a misspelt fault is no green test.
function checkPlan(given) {
	const plan = Array.isArray(given) ? { rules: given } : given ?? {};
	if (typeof plan !== 'object') throw new Error('the plan is neither an object nor a list of rules');
	const { rules = [], modes = {}, ...rest } = plan;
	for (const k of Object.keys(rest)) throw new Error(`unknown member "${k}" of the plan`);
	for (const [k, v] of Object.entries(modes)) {
		if (!Object.hasOwn(MODES, k) || !MODES[k](v)) throw new Error(`mode "${k}" is unknown or has a wrong value`);
	}
	for (const r of rules) {
		if (!ACTIONS.has(String(r.action))) throw new Error(`unknown action "${r.action}"`);
		for (const k of Object.keys(r)) {
			if (!RULE_MEMBERS.has(k)) throw new Error(`unknown member "${k}" of a rule`);
		}
		pathTest(r.path);
		if (r.number !== undefined) new RegExp(r.number);
	}
	return { modes, rules };
}

function mode(state, name) {
	return state.plan?.modes[name] ?? DEFAULTS[name];
}

function pathTest(path) {
	if (path === undefined) return () => true;
	const m = /^\/(.*)\/$/.exec(path);
	// "/v1/x/" would be a regular expression too: no route ends in a slash
	if (m !== null) {
		const re = new RegExp(m[1]);
		return (p) => re.test(p);
	}
	return (p) => p === path;
}

const oneOf = (want, n) => want === undefined || (Array.isArray(want) ? want.includes(n) : want === n);

// A number in [0, 1) that depends on these words alone.
function draw(...words) {
	const d = crypto.createHash('sha256').update(JSON.stringify(words)).digest();
	return d.readUIntBE(0, 6) / 2 ** 48;
}

// Which rules meet this request? request: {method, path, numbers, identity, attempt}. Returns the
// rules that fire, in order, and the indexes for the record.
function pick(state, request) {
	const fire = [];
	const matched = [];
	const fired = [];
	const rules = state.plan?.rules ?? [];
	for (let i = 0; i < rules.length; i++) {
		const r = rules[i];
		if (r.method !== undefined && r.method !== request.method) continue;
		if (!pathTest(r.path)(request.path)) continue;
		if (r.number !== undefined && !request.numbers.some((n) => new RegExp(r.number).test(n))) continue;
		matched.push(i);
		if (!oneOf(r.attempt, request.attempt) || !oneOf(r.nth, state.matched[i] + 1)) continue;
		if (r.times !== undefined && state.fired[i] >= r.times) continue;
		if (r.probability !== undefined) {
			const who = request.numbers.length > 0 ? request.numbers.join() : request.identity;
			const kind = request.path.replace(/\/([a-z]+_[0-9a-f]{20}|[0-9a-f-]{36}|[0-9]+)(?=\/|$)/g, '/*');
			if (draw(state.seed, i, request.method, kind, who, request.attempt) >= r.probability) continue;
		}
		fired.push(i);
		fire.push(r);
		if (!GO_ON.has(r.action)) break;
	}
	return { fire, matched, fired };
}

// Does the request take effect when this rule ends it?
function takesEffect(rule) {
	if (rule === undefined) return true;
	return rule.effect ?? EFFECT_FIRST.has(rule.action);
}

module.exports = { checkPlan, mode, pick, takesEffect, GO_ON };

'use strict';
// What the tests assert from: every request, what the books say, and what a client did too often.

const money = require('./money.js');
const { KINDS } = require('./documents.js');

// Sums of what is not undone, per currency.
function ledger(state) {
	const out = {};
	const book = (coll, status, member, sign) => {
		for (const d of state.docs[coll].values()) {
			const c = (out[d.currency] ??= { invoices: money.ZERO, credit_notes: money.ZERO, net: money.ZERO,
				payments: money.ZERO, credits: money.ZERO });
			if (d.status === status || d.status === 'draft') continue;
			const amount = money.parse(d[member]);
			c[coll] = money.add(c[coll], amount);
			if (sign !== 0) c.net = money.add(c.net, sign > 0 ? amount : money.negate(amount));
		}
	};
	book('invoices', 'void', 'total', 1);
	book('credit_notes', 'void', 'total', -1);
	book('payments', 'refunded', 'amount', 0);
	book('credits', 'reversed', 'amount', 0);
	for (const c of Object.values(out)) {
		for (const k of Object.keys(c)) c[k] = money.format(c[k]);
	}
	return out;
}

// Per seller and number: how many documents were made and how many of them undone; drafts that are
// still drafts; and how often a document was overwritten by another one under its number.
function numbers(state) {
	const rows = new Map();
	const names = { invoice: ['posted', 'voided'], credit_note: ['credit_notes', 'credit_notes_voided'],
		payment: ['paid', 'refunded'], credit: ['credited', 'reversed'] };
	for (const [name, kind] of Object.entries(KINDS)) {
		const [made, undone] = names[name];
		for (const d of state.docs[kind.coll].values()) {
			const k = JSON.stringify([d.seller, d.number]);
			if (!rows.has(k)) {
				rows.set(k, { seller: d.seller, number: d.number, posted: 0, voided: 0, credit_notes: 0,
					credit_notes_voided: 0, paid: 0, refunded: 0, credited: 0, reversed: 0, drafts: 0, overwritten: 0 });
			}
			const row = rows.get(k);
			row[d.status === 'draft' ? 'drafts' : made]++;
			if (d.status === kind.undone) row[undone]++;
			row.overwritten += d.own?.overwritten ?? 0;
		}
	}
	return [...rows.values()];
}

// Per idempotency key: requests seen, and how many of them changed the books (never more than one,
// as long as keys are remembered).
function keys(state) {
	const rows = new Map();
	for (const r of state.requests) {
		if (r.key === null) continue;
		if (!rows.has(r.key)) rows.set(r.key, { key: r.key, requests: 0, effects: 0 });
		const row = rows.get(r.key);
		row.requests++;
		if (r.effect) row.effects++;
	}
	return [...rows.values()];
}

// The busiest second and minute, and how many were being answered at once, per client: of what the
// client sent, whether or not it was answered with 429.
function rates(state) {
	const out = {};
	const byClient = new Map();
	for (const r of state.requests) {
		if (!byClient.has(r.client)) byClient.set(r.client, []);
		byClient.get(r.client).push(r);
	}
	for (const [client, requests] of byClient) {
		const times = requests.map((r) => r.at).sort((a, b) => a - b);
		out[client] = { requests: requests.length, max_per_second: busiest(times, 1000),
			max_per_minute: busiest(times, 60000), max_concurrent: requests.reduce((n, r) => Math.max(n, r.concurrent), 0),
			limited: requests.filter((r) => r.limited).length };
	}
	return out;
}

function busiest(times, ms) {
	let from = 0;
	let most = 0;
	for (let i = 0; i < times.length; i++) {
		while (times[i] - times[from] >= ms) from++;
		most = Math.max(most, i - from + 1);
	}
	return most;
}

function audit(state) {
	return {
		seed: state.seed,
		requests: state.requests.map(({ matched, fired, ...r }) => r),
		ledger: ledger(state),
		numbers: numbers(state),
		keys: keys(state),
		clients: rates(state),
		oauth: Object.fromEntries(state.oauth),
		plan: state.plan,
		fired: state.fired,
	};
}

module.exports = { audit };

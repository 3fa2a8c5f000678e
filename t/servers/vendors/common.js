'use strict';
// What several shapes need.

const money = require('../accounting/money.js');

// A decimal that came as a string or as a JSON number; null when it is neither.
function decimal(v) {
	return money.parse(typeof v === 'number' && Number.isFinite(v) ? String(v) : v);
}

// Digits after the point of a currency.
function digitsOf(currency) {
	return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits;
}

const sum = (amounts) => amounts.reduce(money.add, money.ZERO);

// The body that the books take (documents.js), from amounts that were added up here.
function neutral({ number, seller, buyer, currency, net, tax }) {
	return { number, seller, buyer, currency, tax: money.format(tax), total: money.format(sum([...net, tax])),
		lines: net.map((amount) => ({ amount: money.format(amount) })) };
}

// a[b][c]=1 as {a: {b: {c: "1"}}}; a[]=1 and a[0]=1 make lists.
function parseForm(text) {
	const out = {};
	for (const [name, value] of new URLSearchParams(text)) {
		const steps = [name.replace(/\[.*/, ''), ...[...name.matchAll(/\[([^\]]*)\]/g)].map((m) => m[1])];
		let at = out;
		steps.forEach((step, i) => {
			const key = step === '' ? Object.keys(at).length : step;
			if (i === steps.length - 1) at[key] = value;
			else at = at[key] ??= {};
		});
	}
	return lists(out);
}

function lists(v) {
	if (typeof v !== 'object') return v;
	const keys = Object.keys(v);
	if (keys.length > 0 && keys.every((k) => /^\d+$/.test(k))) return keys.map((k) => lists(v[k]));
	return Object.fromEntries(keys.map((k) => [k, lists(v[k])]));
}

// Ids of currencies in databases that number them.
const CURRENCY_IDS = ['EUR', 'USD', 'GBP', 'CHF', 'SEK', 'DKK', 'NOK', 'PLN', 'JPY', 'KWD'];
const currencyOf = (id) => CURRENCY_IDS[id - 1];
const currencyId = (code) => CURRENCY_IDS.indexOf(code) + 1;

function compare(a, b) {
	const [x, y] = [decimal(a), decimal(b)];
	if (x !== null && y !== null) return money.compare(x, y);
	return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

const like = (pattern) => new RegExp(`^${pattern.split('%').map((p) => p.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 'i');

const OPERATORS = {
	'=': (a, b) => a === b || (a != null && b != null && compare(a, b) === 0),
	'!=': (a, b) => !OPERATORS['='](a, b),
	'<': (a, b) => compare(a, b) < 0,
	'>': (a, b) => compare(a, b) > 0,
	'<=': (a, b) => compare(a, b) <= 0,
	'>=': (a, b) => compare(a, b) >= 0,
	in: (a, b) => b.some((v) => OPERATORS['='](a, v)),
	'not in': (a, b) => !OPERATORS.in(a, b),
	like: (a, b) => like(b).test(String(a)),
	ilike: (a, b) => like(`%${b}%`).test(String(a)),
};

// One clause of a search: [field, operator, value].
function holds([field, operator, value], record) {
	const op = OPERATORS[String(operator).toLowerCase()];
	if (op === undefined) throw new Error(`unknown operator "${operator}"`);
	if (!Object.hasOwn(record, field)) throw new Error(`unknown field "${field}"`);
	return op(record[field], value);
}

module.exports = { decimal, digitsOf, sum, neutral, parseForm, currencyOf, currencyId, holds };

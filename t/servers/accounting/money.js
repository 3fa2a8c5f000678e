'use strict';
// Exact decimals: {n, scale} is n / 10^scale, n a BigInt. A sum has the larger scale of its parts,
// as PostgreSQL's numeric has.

const FORM = /^(-?)(\d{1,30})(?:\.(\d{1,12}))?$/;

// The decimal that a string denotes, or null. JSON numbers are refused: they have lost digits.
function parse(text) {
	const m = typeof text === 'string' ? FORM.exec(text) : null;
	if (m === null) return null;
	const digits = m[3] ?? '';
	const n = BigInt(m[2] + digits);
	return { n: m[1] ? -n : n, scale: digits.length };
}

const ZERO = { n: 0n, scale: 0 };

function rescale(a, scale) {
	return a.n * 10n ** BigInt(scale - a.scale);
}

function add(a, b) {
	const scale = Math.max(a.scale, b.scale);
	return { n: rescale(a, scale) + rescale(b, scale), scale };
}

function negate(a) {
	return { n: -a.n, scale: a.scale };
}

function multiply(a, b) {
	return { n: a.n * b.n, scale: a.scale + b.scale };
}

// To that many digits after the point, halves away from zero.
function round(a, digits) {
	if (a.scale <= digits) return { n: rescale(a, digits), scale: digits };
	const unit = 10n ** BigInt(a.scale - digits);
	const half = a.n < 0n ? -unit / 2n : unit / 2n;
	return { n: (a.n + half) / unit, scale: digits };
}

function compare(a, b) {
	const scale = Math.max(a.scale, b.scale);
	const d = rescale(a, scale) - rescale(b, scale);
	return d < 0n ? -1 : d > 0n ? 1 : 0;
}

function format(a) {
	const sign = a.n < 0n ? '-' : '';
	const digits = (a.n < 0n ? -a.n : a.n).toString().padStart(a.scale + 1, '0');
	const point = digits.length - a.scale;
	return sign + digits.slice(0, point) + (a.scale ? '.' + digits.slice(point) : '');
}

module.exports = { ZERO, parse, add, negate, multiply, round, compare, format };

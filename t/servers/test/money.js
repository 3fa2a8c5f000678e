'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const money = require('../accounting/money.js');

const sum = (...a) => money.format(a.map(money.parse).reduce(money.add, money.ZERO));

test('sums are exact and have the larger scale', () => {
	assert.equal(sum('0.1', '0.2'), '0.3');
	assert.equal(sum('1.00', '2'), '3.00');
	assert.equal(sum('-0.01', '0.005'), '-0.005');
	assert.equal(sum('999999999999999999999999999999', '0.000000000001'), '999999999999999999999999999999.000000000001');
});

test('amounts that differ in scale alone are equal', () => {
	assert.equal(money.compare(money.parse('1.10'), money.parse('1.1')), 0);
	assert.equal(money.compare(money.parse('-1'), money.parse('1')), -1);
});

test('only decimals in strings are amounts', () => {
	for (const bad of [1, 1.5, '', '.5', '1.', '1e3', ' 1', '+1', 'NaN', null, undefined, '1'.repeat(31)]) {
		assert.equal(money.parse(bad), null, String(bad));
	}
	assert.equal(money.format(money.parse('-0')), '0');
});

test('multiply, and round halves away from zero', () => {
	const product = (a, b, digits) => money.format(money.round(money.multiply(money.parse(a), money.parse(b)), digits));
	assert.equal(product('2', '50', 2), '100.00');
	assert.equal(product('1.005', '1', 2), '1.01');
	assert.equal(product('-1.005', '1', 2), '-1.01');
	assert.equal(product('1.0049', '1', 2), '1.00');
	assert.equal(product('33.3333', '3', 2), '100.00');
	assert.equal(product('-0.4', '1', 0), '0');
});

#!/usr/bin/env node
'use strict';
// compare.js BALANCE SUMS: the trial balances of "tryton.js balance" beside our sums, one object
// {currency, n, receivable, revenue, tax} a line, amounts with the sign of the ledger. The exit code
// is 1 if an amount differs, or there are books for no sum that are not empty, or the other way round.

const fs = require('node:fs');

const lines = (name) => fs.readFileSync(name, 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l));

// Decimals are compared as texts, without zeros at the end: a double has too few digits.
function plain(amount) {
	const text = String(amount);
	const short = text.includes('.') ? text.replace(/\.?0+$/, '') : text;
	return short === '-0' || short === '' ? '0' : short;
}

const ours = { 'Main Receivable': 'receivable', 'Main Revenue': 'revenue', 'Main Tax': 'tax' };
const sums = new Map(lines(process.argv[3]).map((s) => [s.currency, s]));
let differ = 0;
for (const { currency, accounts } of lines(process.argv[2])) {
	const sum = sums.get(currency);
	sums.delete(currency);
	for (const account of accounts) {
		const expected = sum?.[ours[account.name]] ?? '0';
		const equal = plain(account.balance) === plain(expected);
		if (!equal) differ++;
		if (account.name in ours && (sum !== undefined || !equal)) {
			console.log(`  ${currency}  ${account.name.padEnd(16)}${account.debit.padStart(16)}${account.credit.padStart(16)}` +
				`${account.balance.padStart(17)}  ours ${String(expected).padStart(16)}  ${equal ? 'equal' : 'DIFFER'}`);
		}
	}
}
for (const currency of sums.keys()) {
	console.log(`  ${currency}: no books`);
	differ++;
}
console.log(differ === 0 ? '  equal' : `  differ: ${differ}`);
process.exit(differ === 0 ? 0 : 1);

// npm "jsonata" on the expressions of bench/jsonata/expressions.json, and the documents of both sides.
//
//	node reference.js documents DIRECTORY SUITE     writes the documents there
//	node reference.js compile|evaluate DIRECTORY    prints a line "microseconds" for each expression
'use strict';
const fs = require('fs');
const path = require('path');

const [what, directory, suite] = process.argv.slice(2);
const expressions = JSON.parse(fs.readFileSync(path.join(__dirname, 'expressions.json')));

// The same 100 kB every time.
function invoices() {
	let seed = 42;
	const random = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 65536) % n; };
	const all = [];
	while (JSON.stringify(all).length < 100000) {
		const lines = [];
		for (let n = 1 + random(8); n > 0; n--) {
			const quantity = 1 + random(20);
			const price = (100 + random(20000)) / 100;
			lines.push({ sku: `SKU-${random(200)}`, description: `Part number ${random(1000)} of the catalogue`, quantity, price, amount: Math.round(quantity * price * 100) / 100 });
		}
		all.push({
			number: `INV-${10000 + all.length}`, date: `2026-0${1 + random(9)}-1${random(10)}`, status: ['open', 'paid', 'late'][random(3)],
			customer: { name: `Customer ${random(100)} GmbH`, country: ['DE', 'FR', 'PL', 'AT', 'NL'][random(5)], vat: `DE${100000000 + random(32768)}` },
			lines, total: Math.round(lines.reduce((sum, l) => sum + l.amount, 0) * 100) / 100,
		});
	}
	return { invoices: all };
}

if (what === 'documents') {
	for (const name of new Set(expressions.map((e) => e.on))) {
		const document = name === 'invoices' ? invoices() : JSON.parse(fs.readFileSync(path.join(suite, 'datasets', `${name}.json`)));
		fs.writeFileSync(path.join(directory, `${name}.json`), JSON.stringify(document));
	}
	process.exit(0);
}

const jsonata = require(path.join(directory, 'node_modules', 'jsonata'));

// Microseconds of the processor for one call: the best of three turns of a tenth of a second each.
async function time(call) {
	let best = Infinity;
	for (let turn = 0; turn < 3; turn++) {
		const start = process.cpuUsage();
		let n = 0;
		let took = 0;
		while (took < 1e5) {
			for (let i = 0; i < 8; i++) { await call(); }
			n += 8;
			const { user, system } = process.cpuUsage(start);
			took = user + system;
		}
		best = Math.min(best, took / n);
	}
	return best;
}

(async () => {
	for (const { on, expr } of expressions) {
		const document = JSON.parse(fs.readFileSync(path.join(directory, `${on}.json`)));
		const compiled = jsonata(expr);
		console.log((await time(what === 'compile' ? () => jsonata(expr) : () => compiled.evaluate(document))).toFixed(3));
	}
})();

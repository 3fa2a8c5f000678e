#!/usr/bin/env node
'use strict';
// Tryton as the ledger of the demo: its own database in the cluster that PGHOST, PGPORT and PGUSER
// name, its server on 127.0.0.1. Everything lives in one directory. Nothing but Node's own library.
//
//   tryton.js prepare DIR            role and database "books", configuration, the modules' tables
//   tryton.js start DIR              the server, in the background; returns when it answers
//   tryton.js setup DIR FILE...      what the invoices in these files need: a company for each
//                                    currency with chart, years and taxes, the buyers, a user for
//                                    the outbox; DIR/map.json says which ids they got
//   tryton.js balance DIR            the trial balance of each company, as one line of JSON
//   tryton.js invoices DIR           every invoice there is, one line of JSON each
//
// DIR/url has the address, DIR/pid the server's process, DIR/password the outbox user's password.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const crypto = require('node:crypto');
const { execFileSync, spawn } = require('node:child_process');
const { Books } = require('./books.js');

const file = (dir, name) => path.join(dir, name);
const read = (dir, name) => fs.readFileSync(file(dir, name), 'utf8').trim();
const writeSecret = (dir, name, text) => fs.writeFileSync(file(dir, name), text + '\n', { mode: 0o600 });

function psql(database, ...commands) {
	return execFileSync('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', database,
		...commands.flatMap((c) => ['-c', c])], { encoding: 'utf8' }).trim();
}

// The way to the cluster is in the URI, so that the server can be started from any environment.
function databaseUri() {
	const host = encodeURIComponent(process.env.PGHOST ?? '/var/run/postgresql');
	return `postgresql://books@/?host=${host}&port=${process.env.PGPORT ?? 5432}`;
}

function freePort() {
	return new Promise((resolve, reject) => {
		const server = net.createServer().on('error', reject);
		server.listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

// Tryton refuses a password in which fewer than three of four characters are distinct, as one draw of
// twenty of random bytes would be. So no character is drawn twice: 24 of 64 have some 130 bits.
function password() {
	const left = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'];
	let text = '';
	while (text.length < 24) text += left.splice(crypto.randomInt(left.length), 1)[0];
	return text;
}

async function configure(dir) {
	const port = await freePort();
	fs.mkdirSync(file(dir, 'files'), { recursive: true });
	// Each request carries the password: a hash that costs 200 ms would be most of the work.
	fs.writeFileSync(file(dir, 'passlib.ini'), '[passlib]\nschemes = pbkdf2_sha512\npbkdf2_sha512__rounds = 1000\n');
	fs.writeFileSync(file(dir, 'trytond.conf'), `[database]
uri = ${databaseUri()}
path = ${file(dir, 'files')}
[web]
listen = 127.0.0.1:${port}
root = ${file(dir, 'none')}
[password]
passlib = ${file(dir, 'passlib.ini')}
`);
	fs.writeFileSync(file(dir, 'url'), `http://127.0.0.1:${port}/books/\n`);
	writeSecret(dir, 'admin.password', password());
	writeSecret(dir, 'password', password());
}

async function prepare(dir) {
	await configure(dir);
	psql('postgres', 'CREATE ROLE books LOGIN', 'CREATE DATABASE books OWNER books');
	// One transaction makes all tables, so the catalogues have no statistics while it runs, and the
	// plans that the server would choose take twice the time.
	execFileSync('trytond-admin', ['-c', file(dir, 'trytond.conf'), '-d', 'books', '-u', 'account_invoice',
		'--activate-dependencies', '--email', 'admin@example.invalid'], {
		env: { ...process.env, TRYTONPASSFILE: file(dir, 'admin.password'),
			PGOPTIONS: '-c enable_hashjoin=off -c enable_mergejoin=off' },
		stdio: ['ignore', 'ignore', 'pipe'] });
	// Tryton takes the same invoice twice; its database shall not. This is also the index by which
	// an invoice is looked up.
	psql('books', `CREATE UNIQUE INDEX account_invoice_once
		ON account_invoice (company, type, number, reference) WHERE state <> 'cancelled'`, 'ANALYZE');
}

async function start(dir) {
	const log = fs.openSync(file(dir, 'log'), 'a');
	const child = spawn('trytond', ['-c', file(dir, 'trytond.conf'), '-d', 'books'],
		{ cwd: dir, detached: true, stdio: ['ignore', log, log] });
	const gone = new Promise((resolve) => { child.on('exit', resolve).on('error', resolve); });
	const books = new Books(read(dir, 'url'));
	if (child.pid !== undefined) fs.writeFileSync(file(dir, 'pid'), `${child.pid}\n`);
	for (let n = 0; n < 300; n++) {
		if (await books.answers()) {
			child.unref();
			return;
		}
		if (await Promise.race([gone.then(() => true), new Promise((r) => { setTimeout(r, 100, false); })])) break;
	}
	throw new Error(`trytond does not start:\n${read(dir, 'log').split('\n').slice(-20).join('\n')}`);
}

const admin = (dir) => new Books(read(dir, 'url'), 'admin', read(dir, 'admin.password'));
const asOutbox = (dir) => new Books(read(dir, 'url'), 'outbox', read(dir, 'password'));
const map = (dir) => JSON.parse(read(dir, 'map.json'));

function documents(files) {
	return files.flatMap((name) => {
		let document;
		try {
			document = JSON.parse(fs.readFileSync(name, 'utf8'));
		} catch {
			return [];			// not a document: it is refused at the door
		}
		return [document?.invoice ?? document];
	});
}

async function main() {
	const [command, dir, ...files] = process.argv.slice(2);
	if (dir === undefined) throw new Error('usage: tryton.js prepare|start|setup|balance|invoices DIR ...');
	if (command === 'prepare') await prepare(path.resolve(dir));
	else if (command === 'start') await start(path.resolve(dir));
	else if (command === 'setup') {
		const made = await admin(dir).setup(documents(files), read(dir, 'password'),
			(code) => psql(process.env.PGDATABASE ?? 'postgres',
				`SELECT scale((invoice_calculate('{"currency": "${code}", "lines": []}')->>'payable')::numeric)`));
		fs.writeFileSync(file(dir, 'map.json'), JSON.stringify(made) + '\n');
	} else if (command === 'balance') {
		for (const line of await asOutbox(dir).balance(map(dir).companies)) console.log(JSON.stringify(line));
	} else if (command === 'invoices') {
		for (const line of await asOutbox(dir).invoices(map(dir).companies)) console.log(JSON.stringify(line));
	} else throw new Error(`unknown command ${command}`);
}

main().catch((e) => {
	console.error(e.stderr?.toString() || e.message);
	process.exit(1);
});

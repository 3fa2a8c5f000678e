#!/usr/bin/env node
'use strict';
// A small accounting and payment service on 127.0.0.1, for tests and the demo: the kinds of answer
// that the real ones give, faults on demand, and an audit of everything that was asked of it.
//
//   accounting.js --port N (0: any) [--port-file FILE] [--data FILE] [--seed N]
//                 [--faults FILE|JSON] [--client ID:SECRET]...
//
// Prints its port on one line when it listens. Everything is in the one append-only file --data, so
// a server that is killed and started again goes on where it was. See README.md.

const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { parseArgs } = require('node:util');
const { Store } = require('./accounting/store.js');
const { Service } = require('./accounting/service.js');
const { checkPlan } = require('./accounting/faults.js');

function options() {
	const { values } = parseArgs({ options: {
		port: { type: 'string', default: '0' },
		'port-file': { type: 'string' },
		data: { type: 'string' },
		seed: { type: 'string', default: '1' },
		faults: { type: 'string' },
		client: { type: 'string', multiple: true, default: ['client:secret'] },
	} });
	const port = Number(values.port);
	const seed = Number(values.seed);
	if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error('--port is not a port');
	if (!Number.isSafeInteger(seed)) throw new Error('--seed is not an integer');
	const clients = new Map(values.client.map((c) => [c.split(':')[0], c.split(':').slice(1).join(':')]));
	return { ...values, port, seed, clients };
}

// A plan as JSON or as the name of a file with it.
function readPlan(given) {
	if (given === undefined) return null;
	return checkPlan(JSON.parse(/^\s*[[{]/.test(given) ? given : fs.readFileSync(given, 'utf8')));
}

function listen(server, port) {
	return new Promise((resolve, reject) => {
		server.once('error', reject);
		server.listen(port, '127.0.0.1', () => {
			server.removeListener('error', reject);
			resolve(server.address().port);
		});
	});
}

async function main() {
	const opt = options();
	const temporary = opt.data === undefined ? fs.mkdtempSync(path.join(os.tmpdir(), 'accounting-')) : null;
	const store = new Store(opt.data ?? path.join(temporary, 'data'), opt.seed);
	const startPlan = readPlan(opt.faults);
	if (startPlan !== null) store.setPlan(startPlan);

	let port;
	let back = null;
	// Nobody listens for a while: connections are refused, as with a service that is not there.
	const down = (ms) => {
		clearTimeout(back);
		server.close();
		server.closeAllConnections();
		back = setTimeout(() => listen(server, port), ms);
	};
	const service = new Service(store, { clients: opt.clients, down, startPlan });
	const server = http.createServer((req, res) => {
		service.handle(req, res).catch((e) => {
			console.error(e);
			res.destroy();
		});
	});
	// A client's idle connection must not be closed in the moment that it is used again.
	server.keepAliveTimeout = 120000;
	port = await listen(server, opt.port);
	if (opt['port-file'] !== undefined) {
		fs.writeFileSync(opt['port-file'] + '.new', `${port}\n`);
		fs.renameSync(opt['port-file'] + '.new', opt['port-file']);
	}
	console.log(port);

	const stop = () => {
		clearTimeout(back);
		service.close();
		server.close();
		server.closeAllConnections();
		store.close();
		if (temporary !== null) fs.rmSync(temporary, { recursive: true, force: true });
		process.exit(0);
	};
	process.on('SIGTERM', stop);
	process.on('SIGINT', stop);
}

main().catch((e) => {
	console.error(e.message);
	process.exit(1);
});

'use strict';
// A server as a child process, and requests to it that show what happened to the connection.

const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');

class Server {
	constructor(args) {
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'accounting-test-'));
		this.data = path.join(this.dir, 'data');
		this.args = args;
		this.port = 0;
	}

	async start() {
		this.child = spawn(process.execPath, [path.join(__dirname, '../../accounting.js'), '--data', this.data,
			'--port', String(this.port), ...this.args], { stdio: ['ignore', 'pipe', 'inherit'] });
		const [line] = await once(this.child.stdout, 'data');
		this.port = Number(String(line));
		return this;
	}

	async kill(signal = 'SIGKILL') {
		this.child.kill(signal);
		await once(this.child, 'exit');
	}

	// The end of a test.
	async end() {
		if (this.child.exitCode === null && this.child.signalCode === null) await this.kill('SIGTERM');
		fs.rmSync(this.dir, { recursive: true, force: true });
	}

	// {status, headers, text, body}; error: the code when the connection ended without a whole answer.
	send(method, url, body, headers = {}, timeout = 10000) {
		return new Promise((resolve) => {
			const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
			const req = http.request({ host: '127.0.0.1', port: this.port, method, path: url, agent: false, timeout,
				headers: { ...(text === undefined ? {} : { 'content-type': 'application/json' }), ...headers } });
			req.on('timeout', () => req.destroy(Object.assign(new Error('timeout'), { code: 'TIMEOUT' })));
			req.on('error', (e) => resolve({ error: e.code }));
			req.on('response', (res) => {
				let got = '';
				const out = () => {
					const r = { status: res.statusCode, headers: res.headers, text: got };
					try { r.body = JSON.parse(got); } catch { /* a test looks at text then */ }
					return r;
				};
				res.on('data', (c) => { got += c; });
				res.on('end', () => resolve(out()));
				res.on('error', (e) => resolve({ ...out(), error: e.code }));
			});
			req.end(text);
		});
	}

	post(url, body, key, headers = {}) {
		return this.send('POST', url, body, { ...(key ? { 'idempotency-key': key } : {}), ...headers });
	}

	form(url, form, headers = {}) {
		return this.send('POST', url, new URLSearchParams(form).toString(), { 'content-type': 'application/x-www-form-urlencoded', ...headers });
	}

	get(url) { return this.send('GET', url); }
	async audit() { return (await this.get('/_audit')).body; }
	async faults(plan) { return this.post('/_faults', plan); }
}

const invoice = (number, more = {}) => ({ number, currency: 'EUR', seller: 'DE1', buyer: 'B', total: '119.00', tax: '19.00',
	lines: [{ amount: '60.00' }, { amount: '40.00' }], ...more });
const payment = (number, more = {}) => ({ number, currency: 'EUR', seller: 'DE1', amount: '119.00', ...more });

const basic = (text) => ({ authorization: 'Basic ' + Buffer.from(text).toString('base64') });
const bearer = (token) => ({ authorization: `Bearer ${token}` });

// The tests of a file share a server, with empty books before each.
function shared(test, args = []) {
	const s = new Server(args);
	test.before(() => s.start());
	test.beforeEach(() => s.post('/_reset'));
	test.after(() => s.end());
	return s;
}

module.exports = { Server, shared, invoice, payment, basic, bearer };

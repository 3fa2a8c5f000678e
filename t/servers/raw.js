'use strict';
// A server below HTTP: it notes each request that arrives, byte for byte as a client sent it, and
// answers or drops the connection as the path says. It is also a proxy that never forwards.
//
// raw.js --port N --log FILE [--root SPEC] [--key FILE --cert FILE]
//
// With a key and a certificate it speaks TLS. FILE gets a line of JSON per request: connection and n (which on that connection), method, target,
// headers (an array of [name, value]), body.
//
//   /ok             200 {"ok": true}
//   /echo           200, the request's head and body as they came, as text and in five encodings
//   /drop           takes the request, then closes
//   /drop-second    answers the first request of a connection, closes after taking any other
//   /endless        an answer that does not end
//   /ones/N         200, a JSON array of N bytes: [1,1,...]
//   /letters/N      200, a text of N bytes
//   /hang...        takes the request and says nothing
//   /after/MS/PATH  answers as PATH says, MS milliseconds later
//   /status/N       that status
//   /say/SPEC       what SPEC says, JSON in base64url: {"raw": the bytes of all in base64}, or {status, headers, type,
//                   text or base64, times, coding: [gzip, deflate, br]}; "later": bytes in base64 that follow
//                   on the connection. Of an array the first request has the first, ... and all others the last
//   /               the same, of the SPEC in --root
//   /lost-then/N... drops the first request of this path, answers the others with that status
//   /stray          as /ok, and five bytes that belong to no answer a little later
//   /token/N/...   200, an access token of N letters
//   /nonsense       an answer that is not HTTP
//   /answer         200, as text/plain the bytes, UTF-8 or not, that the request's {"base64": "..."} says, "times" over

const fs = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');
const zlib = require('node:zlib');
const { parseArgs } = require('node:util');

const { values: opt } = parseArgs({ options: { port: { type: 'string', default: '0' }, log: { type: 'string' }, root: { type: 'string' }, key: { type: 'string' }, cert: { type: 'string' } } });
let connections = 0;
const said = {};
const composed = new Map();
const quick = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } };
const compress = { gzip: zlib.gzipSync, deflate: zlib.deflateSync, br: (b) => zlib.brotliCompressSync(b, quick) };
const lost = new Set();

// The first whole request in the buffer: {head, body, length}, or null.
function parse(buffer) {
	const end = buffer.indexOf('\r\n\r\n');
	if (end < 0) return null;
	const head = buffer.subarray(0, end).toString('latin1');
	const m = /\r\ncontent-length: *(\d+)/i.exec(head);
	const length = end + 4 + (m === null ? 0 : Number(m[1]));
	return buffer.length < length ? null : { head, body: buffer.subarray(end + 4, length), length };
}

function reply(socket, status, text, type = 'application/json') {
	socket.write(`HTTP/1.1 ${status} Whatever\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n`);
	socket.write(text);
}

function echo(head, body) {
	const all = `${head}\r\n\r\n${body.toString('utf8')}`;
	const code = (c) => c.charCodeAt(0).toString(16).padStart(4, '0');
	const escaped = all.replace(/[^A-Za-z0-9]/g, (c) => `\\u${code(c)}`);
	const xml = all.replace(/[^A-Za-z0-9 \r\n]/g, (c) => `&#x${code(c).slice(2)};`);
	const plain = JSON.stringify({ text: all, percent: encodeURIComponent(all), xml,
		words: all.split(/\s+/).map((w) => Buffer.from(w).toString('base64')) });
	return `${plain.slice(0, -1)},"escaped":"${escaped}"}`;
}

// Without the blank the number of bytes is odd.
function ones(socket, n) {
	reply(socket, 200, `[${'1,'.repeat((n - 3) / 2)}1]${n % 2 ? '' : ' '}`);
}

function endless(socket) {
	socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
	const more = () => {
		while (!socket.destroyed && socket.write(`1000\r\n${'x'.repeat(4096)}\r\n`));
	};
	socket.on('drain', more);
	more();
}

// Compressing something large takes this server's time, so it is done once.
function compose(spec) {
	const key = JSON.stringify(spec);
	if (!composed.has(key)) {
		const { status = 200, type = 'application/json', headers = {}, times = 1, coding = [] } = spec;
		const once = spec.base64 !== undefined ? Buffer.from(spec.base64, 'base64') : Buffer.from(spec.text ?? '');
		const body = coding.reduce((b, c) => compress[c](b), Buffer.alloc(once.length * times, once));
		const lines = Object.entries({ ...(type && { 'content-type': type }), 'content-length': body.length,
			...(coding.length && { 'content-encoding': coding.join(', ') }), ...headers }).map(([k, v]) => `${k}: ${v}\r\n`);
		composed.set(key, Buffer.concat([Buffer.from(`HTTP/1.1 ${status} Whatever\r\n${lines.join('')}\r\n`), body]));
	}
	return composed.get(key);
}

function say(socket, encoded) {
	const all = [JSON.parse(Buffer.from(encoded, 'base64url'))].flat();
	said[encoded] = (said[encoded] ?? 0) + 1;
	const spec = all[Math.min(said[encoded], all.length) - 1];
	socket.write(spec.raw !== undefined ? Buffer.from(spec.raw, 'base64') : compose(spec));
	if (spec.later !== undefined) setTimeout(() => socket.write(Buffer.from(spec.later, 'base64')), 5);
}

function answer(socket, n, head, body) {
	const path = head.split(' ')[1].replace(/^http:\/\/[^/]*/, '');
	const status = /^\/status\/(\d+)/.exec(path);
	const large = /^\/(ones|letters)\/(\d+)/.exec(path);
	const later = /^\/after\/(\d+)(\/.*)/.exec(path);
	const words = path === '/' && opt.root ? [path, opt.root] : /^\/say\/([^/?]*)/.exec(path);
	if (words !== null) say(socket, words[1]);
	else if (later !== null) setTimeout(() => answer(socket, n, head.replace(path, later[2]), body), Number(later[1]));
	else if (path.startsWith('/hang')) return;
	else if (large !== null) large[1] === 'ones' ? ones(socket, Number(large[2])) : reply(socket, 200, 'a'.repeat(large[2]), 'text/plain');
	else if (path === '/drop' || (path === '/drop-second' && n > 1)) socket.destroy();
	else if (path.startsWith('/lost-then/')) {
		if (lost.has(path)) reply(socket, Number(/\d+/.exec(path)[0]), '{}');
		else lost.add(path), socket.destroy();
	}
	else if (path === '/stray') {
		reply(socket, 200, '{"ok": true}');
		setTimeout(() => socket.destroyed || socket.write('xyz\r\n'), 5);
	}
	else if (path.startsWith('/token/')) reply(socket, 200, JSON.stringify({ access_token: 't'.repeat(/\d+/.exec(path)[0]), expires_in: 3600 }));
	else if (path === '/nonsense') socket.end('this is no HTTP\r\n');
	else if (path === '/endless') endless(socket);
	else if (path === '/answer') {
		const { base64, times = 1 } = JSON.parse(body);
		const bytes = Buffer.from(base64, 'base64');
		reply(socket, 200, Buffer.alloc(bytes.length * times, bytes), 'text/plain');
	}
	else if (status !== null) reply(socket, Number(status[1]), '{}');
	else reply(socket, 200, path === '/echo' ? echo(head, body) : '{"ok": true}');
}

const listener = (onConnection) => (opt.key === undefined ? net.createServer(onConnection) :
	tls.createServer({ key: fs.readFileSync(opt.key), cert: fs.readFileSync(opt.cert) }, onConnection));
const server = listener((socket) => {
	const connection = ++connections;
	let n = 0;
	let buffer = Buffer.alloc(0);
	socket.on('error', () => {});
	socket.on('data', (chunk) => {
		buffer = Buffer.concat([buffer, chunk]);
		for (let r; (r = parse(buffer)) !== null;) {
			buffer = buffer.subarray(r.length);
			const [first, ...lines] = r.head.split('\r\n');
			const [method, target] = first.split(' ');
			fs.appendFileSync(opt.log, `${JSON.stringify({ connection, n: ++n, method, target,
				headers: lines.map((l) => [l.slice(0, l.indexOf(':')), l.slice(l.indexOf(':') + 1).trim()]),
				body: r.body.toString('utf8') })}\n`);
			answer(socket, n, r.head, r.body);
		}
	});
});
server.listen(Number(opt.port), '127.0.0.1', () => console.log(server.address().port));

#!/usr/bin/env node
'use strict';
// In front of fauxqs, which checks no signature: one that does, and spoils answers on demand.
//
//   sns_proxy.js --port N (0: any) --upstream URL --key-id ID --secret SECRET [--credentials URL]
//
// With the URL of credentials.js, keys that it gave out are taken until they expire; others then get
// ExpiredToken or InvalidClientTokenId. Requests to other paths than / are checked in the same way
// and answered with what came: {method, path, query, headers, body}.
//
// GET /_requests: what came, {action, signed, code, key, token, entries, traces}. POST /_faults: a list of rules, the
// first that matches is applied: {action, match: part of a message, times: at most, ...}:
//   refuse {status, code, date}           an error of the whole request, nothing is forwarded
//   fail_entry {code, sender_fault}       the entries of a batch that match are in Failed
//   omit_entry                            they are forwarded, and in neither list
//   html, truncate, drop_after            forwarded; another answer, half of it, none

const crypto = require('node:crypto');
const http = require('node:http');
const { parseArgs } = require('node:util');

const MAX_SKEW_MS = 5 * 60 * 1000;
const requests = [];
let faults = [];

function xmlError(code, message) {
	return '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>' +
		`<Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`;
}

const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();

// As AWS has it: each key and value encoded in one way, sorted by the encoded key, then the value.
function canonicalQuery(query) {
	const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
	const pairs = query.split('&').filter((p) => p !== '').map((p) => {
		const [key, ...value] = p.split('=');
		return [encode(decodeURIComponent(key)), encode(decodeURIComponent(value.join('=')))];
	});
	const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
	return pairs.sort((a, b) => order(a[0], b[0]) || order(a[1], b[1])).map((p) => p.join('=')).join('&');
}

// Each segment encoded once more, as all services but S3 want it.
const canonicalPath = (path) => path.split('/').map((s) => encodeURIComponent(s)).join('/');

async function findKey(id, values) {
	if (id === values['key-id']) return { secret: values.secret };
	if (values.credentials === undefined) return null;
	const key = await (await fetch(`${values.credentials}/_key/${encodeURIComponent(id)}`)).json();
	return key.secret === undefined ? null : key;
}

// AWS Signature Version 4, over the headers that the client says it has signed. The session token
// and the content type must be among them. Null, or the code of the error.
async function signatureError(req, body, values) {
	const m = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/((\d{8})\/([^/]+)\/([^/]+)\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
		.exec(req.headers.authorization ?? '');
	const date = req.headers['x-amz-date'] ?? '';
	const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
	if (m === null) return 'MissingAuthenticationToken';
	if (m[3] !== date.slice(0, 8) || !(Math.abs(Date.now() - at) < MAX_SKEW_MS)) return 'RequestTimeTooSkewed';
	const key = await findKey(m[1], values);
	// the one key that is known has its session token from wherever
	if (key === null) return values.credentials === undefined ? 'SignatureDoesNotMatch' : 'InvalidClientTokenId';
	if (key.token !== undefined && key.token !== req.headers['x-amz-security-token']) return 'InvalidClientTokenId';
	const names = m[6].split(';');
	for (const needed of ['host', 'x-amz-date', 'content-type', 'x-amz-security-token']) {
		if (req.headers[needed] !== undefined && !names.includes(needed)) return 'SignatureDoesNotMatch';
	}
	const [path, query = ''] = req.url.split('?');
	const headers = names.map((n) => `${n}:${(req.headers[n] ?? '').trim().replace(/ +/g, ' ')}\n`).join('');
	const canonical = [req.method, canonicalPath(path), canonicalQuery(query), headers, m[6], sha256(body)].join('\n');
	const signing = [m[3], m[4], m[5], 'aws4_request'].reduce(hmac, `AWS4${key.secret}`);
	if (hmac(signing, ['AWS4-HMAC-SHA256', date, m[2], sha256(canonical)].join('\n')).toString('hex') !== m[7]) return 'SignatureDoesNotMatch';
	return key.expires !== undefined && key.expires <= Date.now() ? 'ExpiredToken' : null;
}

// The messages of a form: of a batch, or the one of Publish.
function entries(form) {
	const out = [];
	for (let n = 1; form.has(`PublishBatchRequestEntries.member.${n}.Id`); n++) {
		const prefix = `PublishBatchRequestEntries.member.${n}.`;
		out.push({ n, id: form.get(`${prefix}Id`), message: form.get(`${prefix}Message`) });
	}
	return out.length > 0 ? out : [{ n: 0, id: null, message: form.get('Message') }];
}

const traces = (form) => [...form].filter(([name, value]) => name.endsWith('.Name') && value === 'traceparent')
	.map(([name]) => form.get(name.replace(/\.Name$/, '.Value.StringValue')));

function pickFault(list) {
	const fault = faults.find((f) => (f.times ?? Infinity) > 0 &&
		(f.match === undefined || list.some((e) => e.message.includes(f.match))));
	if (fault?.times !== undefined) fault.times--;
	return fault ?? {};
}

// A batch without the entries that fail here.
function without(form, list, match) {
	const out = new URLSearchParams();
	let n = 0;
	for (const [name, value] of form) {
		if (!name.startsWith('PublishBatchRequestEntries.')) out.append(name, value);
	}
	for (const entry of list) {
		if (entry.message.includes(match)) continue;
		n++;
		const prefix = `PublishBatchRequestEntries.member.${entry.n}.`;
		for (const [name, value] of form) {
			if (name.startsWith(prefix)) out.append(`PublishBatchRequestEntries.member.${n}.${name.slice(prefix.length)}`, value);
		}
	}
	return out.toString();
}

function forward(upstream, req, body) {
	return new Promise((resolve, reject) => {
		const out = http.request(upstream, { method: 'POST', headers: { ...req.headers, 'content-length': Buffer.byteLength(body) } },
			(res) => {
				const chunks = [];
				res.on('data', (c) => chunks.push(c));
				res.on('end', () => resolve({ status: res.statusCode, text: Buffer.concat(chunks).toString() }));
			});
		out.on('error', reject);
		out.end(body);
	});
}

async function publish(values, req, res, body) {
	const form = new URLSearchParams(body);
	const list = entries(form);
	const code = await signatureError(req, body, values);
	requests.push({ action: form.get('Action'), signed: code === null, code, key: /Credential=([^/]+)/.exec(req.headers.authorization ?? '')?.[1] ?? null,
		token: req.headers['x-amz-security-token'] ?? null, entries: list.length, traces: traces(form) });
	const send = (status, text, type = 'text/xml', more = {}) => {
		res.writeHead(status, { 'content-type': type, ...more });
		res.end(text);
	};
	if (code !== null) return send(403, xmlError(code, code === 'SignatureDoesNotMatch' ? 'wrong signature' : `refused: ${code}`));

	const fault = pickFault(list);
	if (fault.action === 'refuse') return send(fault.status, xmlError(fault.code, `refused: ${fault.code}`), 'text/xml',
		fault.date === undefined ? {} : { date: fault.date });
	const isBatch = list[0].id !== null;
	const failed = isBatch && fault.action === 'fail_entry' ? list.filter((e) => e.message.includes(fault.match)) : [];
	if (!isBatch && fault.action === 'fail_entry') return send(400, xmlError(fault.code, `refused: ${fault.code}`));
	const answer = await forward(values.upstream, req, failed.length > 0 ? without(form, list, fault.match) : body);
	if (failed.length > 0) {
		const members = failed.map((e) => `<member><Id>${e.id}</Id><Code>${fault.code}</Code><Message>failed here</Message>` +
			`<SenderFault>${fault.sender_fault}</SenderFault></member>`).join('');
		answer.text = answer.text.replace(/<Failed\s*\/>|<Failed><\/Failed>/, '')
			.replace('</PublishBatchResult>', `<Failed>${members}</Failed></PublishBatchResult>`);
	} else if (fault.action === 'omit_entry') {
		const gone = list.filter((e) => e.message.includes(fault.match)).map((e) => e.id);
		answer.text = answer.text.replace(/<member>.*?<\/member>/gs, (m) => gone.some((id) => m.includes(id)) ? '' : m);
	}
	if (fault.action === 'html') return send(200, '<!DOCTYPE html><html><body>Gateway</body></html>', 'text/html');
	if (fault.action === 'drop_after') return req.socket.destroy();
	if (fault.action === 'truncate') return send(200, answer.text.slice(0, answer.text.length / 2));
	return send(answer.status, answer.text);
}

// Any other service.
async function echo(values, req, res, body) {
	const code = await signatureError(req, body, values);
	const [path, query = ''] = req.url.split('?');
	requests.push({ action: 'echo', signed: code === null, code, token: req.headers['x-amz-security-token'] ?? null });
	res.writeHead(code === null ? 200 : 403, { 'content-type': 'application/json', ...(code === null ? {} : { 'x-amzn-errortype': `${code}Exception` }) });
	res.end(JSON.stringify(code === null ? { method: req.method, path, query, headers: req.headers, body } : { message: 'refused' }));
}

async function handle(values, req, res) {
	const chunks = [];
	for await (const c of req) chunks.push(c);
	const body = Buffer.concat(chunks).toString();
	if (req.url === '/_requests') return res.end(JSON.stringify(requests));
	if (req.url === '/_faults') {
		faults = JSON.parse(body);
		return res.end('{}');
	}
	return req.url === '/' ? publish(values, req, res, body) : echo(values, req, res, body);
}

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' }, upstream: { type: 'string' },
	'key-id': { type: 'string' }, secret: { type: 'string' }, credentials: { type: 'string' } } });
const server = http.createServer((req, res) => handle(values, req, res).catch((e) => {
	console.error(e);
	req.socket.destroy();
}));
server.listen(Number(values.port), '127.0.0.1', () => console.log(server.address().port));

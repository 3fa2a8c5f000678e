#!/usr/bin/env node
'use strict';
// In front of fauxqs, which checks no signature: one that does, and spoils answers on demand.
//
//   sns_proxy.js --port N (0: any) --upstream URL --key-id ID --secret SECRET
//
// GET /_requests: what came, {action, signed, token, entries}. POST /_faults: a list of rules, the
// first that matches is applied: {action, match: part of a message, times: at most, ...}:
//   refuse {status, code}                 an error of the whole request, nothing is forwarded
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

// AWS Signature Version 4 of a POST to / without a query, over the headers that the client says it
// has signed. The session token and the content type must be among them.
function isSigned(req, body, { 'key-id': keyId, secret }) {
	const m = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/((\d{8})\/([^/]+)\/([^/]+)\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
		.exec(req.headers.authorization ?? '');
	const date = req.headers['x-amz-date'] ?? '';
	const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
	if (m === null || m[1] !== keyId || m[3] !== date.slice(0, 8) || !(Math.abs(Date.now() - at) < MAX_SKEW_MS)) return false;
	const names = m[6].split(';');
	for (const needed of ['host', 'x-amz-date', 'content-type', 'x-amz-security-token']) {
		if (req.headers[needed] !== undefined && !names.includes(needed)) return false;
	}
	const headers = names.map((n) => `${n}:${(req.headers[n] ?? '').trim().replace(/ +/g, ' ')}\n`).join('');
	const canonical = [req.method, '/', '', headers, m[6], sha256(body)].join('\n');
	const key = [m[3], m[4], m[5], 'aws4_request'].reduce(hmac, `AWS4${secret}`);
	return hmac(key, ['AWS4-HMAC-SHA256', date, m[2], sha256(canonical)].join('\n')).toString('hex') === m[7];
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
	const signed = isSigned(req, body, values);
	requests.push({ action: form.get('Action'), signed, token: req.headers['x-amz-security-token'] ?? null, entries: list.length });
	const send = (status, text, type = 'text/xml') => {
		res.writeHead(status, { 'content-type': type });
		res.end(text);
	};
	if (!signed) return send(403, xmlError('SignatureDoesNotMatch', 'wrong signature'));

	const fault = pickFault(list);
	if (fault.action === 'refuse') return send(fault.status, xmlError(fault.code, `refused: ${fault.code}`));
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

async function handle(values, req, res) {
	const chunks = [];
	for await (const c of req) chunks.push(c);
	const body = Buffer.concat(chunks).toString();
	if (req.url === '/_requests') return res.end(JSON.stringify(requests));
	if (req.url === '/_faults') {
		faults = JSON.parse(body);
		return res.end('{}');
	}
	return publish(values, req, res, body);
}

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' }, upstream: { type: 'string' },
	'key-id': { type: 'string' }, secret: { type: 'string' } } });
const server = http.createServer((req, res) => handle(values, req, res).catch((e) => {
	console.error(e);
	req.socket.destroy();
}));
server.listen(Number(values.port), '127.0.0.1', () => console.log(server.address().port));

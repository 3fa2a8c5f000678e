#!/usr/bin/env node
'use strict';
// Where credentials for AWS come from: a container's endpoint, the metadata of an instance (version 2
// only), and STS for web identities. What it gives out is made up, and lives as long as it is told.
//
//   credentials.js --port N (0: any)
//
// GET /container/...      the container endpoint; with plan.authorization only for who sends that
// PUT /latest/api/token, GET /latest/meta-data/iam/security-credentials/[ROLE]
// POST /                  AssumeRoleWithWebIdentity, for whoever has plan.web_token
//
// POST /_plan: {ttl_ms, authorization, web_token, role, hang: kind or true, delay_ms, fail: status,
//   same: true}. hang answers nothing; fail refuses; same gives the last credentials again.
// GET /_requests: what was asked, {kind, status}. GET /_issued: how many credentials were given out.
// GET /_key/ID: {secret, token, expires} of those, for a server that checks signatures.

const crypto = require('node:crypto');
const http = require('node:http');
const { parseArgs } = require('node:util');

const PLAN = { ttl_ms: 3600000, authorization: null, web_token: null, role: 'saga-role', hang: null, delay_ms: 0, fail: null, same: false };
let plan = { ...PLAN };
const requests = [];
const issued = new Map();
const sessions = new Set();

function issue() {
	if (plan.same && issued.size > 0) return [...issued.values()].at(-1);
	const id = `ASIA${crypto.randomBytes(8).toString('hex').toUpperCase()}`;
	const c = { id, secret: `stub-secret-${crypto.randomBytes(14).toString('base64')}`,
		token: `stub-token-${crypto.randomBytes(60).toString('base64')}`, expires: Date.now() + plan.ttl_ms };
	issued.set(id, c);
	return c;
}

// Milliseconds stay: services leave them out, and a token of two seconds needs them.
const asJson = (c) => JSON.stringify({ Code: 'Success', Type: 'AWS-HMAC', AccessKeyId: c.id, SecretAccessKey: c.secret,
	Token: c.token, Expiration: new Date(c.expires).toISOString() });

const escape = (text) => text.replace(/[<>&]/g, (c) => `&#${c.charCodeAt(0)};`);

function stsError(code, message) {
	return '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>' +
		`<Code>${code}</Code><Message>${escape(message)}</Message></Error><RequestId>r</RequestId></ErrorResponse>`;
}

function sts(body) {
	const form = new URLSearchParams(body);
	if (form.get('Action') !== 'AssumeRoleWithWebIdentity' || form.get('Version') !== '2011-06-15') {
		return [400, stsError('InvalidAction', 'not here')];
	}
	if (!/^arn:aws:iam::\d{12}:role\/[\w+=,.@/-]+$/.test(form.get('RoleArn') ?? '') ||
		!/^[\w+=,.@-]{2,64}$/.test(form.get('RoleSessionName') ?? '')) {
		return [400, stsError('ValidationError', 'role or session')];
	}
	if (plan.web_token !== null && form.get('WebIdentityToken') !== plan.web_token) {
		return [400, stsError('InvalidIdentityToken', `not that token: ${form.get('WebIdentityToken')}`)];
	}
	const c = issue();
	return [200, '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">' +
		'<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken>' +
		'<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>' +
		`<Credentials><SessionToken>${c.token}</SessionToken><SecretAccessKey>${c.secret}</SecretAccessKey>` +
		`<Expiration>${new Date(c.expires).toISOString()}</Expiration><AccessKeyId>${c.id}</AccessKeyId></Credentials>` +
		'</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>' +
		'</AssumeRoleWithWebIdentityResponse>'];
}

function imds(req, path) {
	if (path === '/latest/api/token') {
		const ttl = Number(req.headers['x-aws-ec2-metadata-token-ttl-seconds']);
		if (req.method !== 'PUT') return [405, ''];
		if (!(ttl >= 1 && ttl <= 21600)) return [400, ''];
		const session = `stub-session-${crypto.randomBytes(20).toString('base64')}`;
		sessions.add(session);
		return [200, session];
	}
	// version 1 of the service would answer this
	if (!sessions.has(req.headers['x-aws-ec2-metadata-token'])) return [401, ''];
	const role = path.slice('/latest/meta-data/iam/security-credentials/'.length);
	if (role === '') return [200, plan.role];
	return role === plan.role ? [200, asJson(issue())] : [404, ''];
}

function kindOf(req, path) {
	if (path.startsWith('/container/')) return 'container';
	if (path === '/latest/api/token') return 'token';
	if (path === '/latest/meta-data/iam/security-credentials/') return 'role';
	if (path.startsWith('/latest/meta-data/iam/security-credentials/')) return 'imds';
	return path === '/' && req.method === 'POST' ? 'sts' : null;
}

function control(path, body) {
	if (path === '/_plan') {
		plan = { ...PLAN, ...JSON.parse(body) };
		return {};
	}
	if (path === '/_requests') return requests;
	if (path === '/_issued') return { count: issued.size };
	return issued.get(decodeURIComponent(path.slice('/_key/'.length))) ?? {};
}

function answer(req, path, kind, body) {
	if (kind === null) return [404, ''];
	if (plan.fail !== null) return [plan.fail, 'refused'];
	if (kind === 'sts') return sts(body);
	if (kind !== 'container') return imds(req, path);
	if (req.method !== 'GET') return [405, ''];
	if (plan.authorization !== null && req.headers.authorization !== plan.authorization) return [401, '{"message": "no"}'];
	return [200, asJson(issue())];
}

async function handle(req, res) {
	const chunks = [];
	for await (const c of req) chunks.push(c);
	const body = Buffer.concat(chunks).toString();
	const path = new URL(req.url, 'http://localhost').pathname;
	if (path.startsWith('/_')) return res.end(JSON.stringify(control(path, body)));
	const kind = kindOf(req, path);
	if (plan.hang === true || (plan.hang !== null && plan.hang === kind)) {
		requests.push({ kind, status: null });
		return;
	}
	const [status, text] = answer(req, path, kind, body);
	requests.push({ kind, status });
	if (plan.delay_ms > 0) await new Promise((resolve) => setTimeout(resolve, plan.delay_ms));
	res.writeHead(status, { 'content-type': kind === 'sts' ? 'text/xml' : kind === 'token' || kind === 'role' ? 'text/plain' : 'application/json' });
	res.end(text);
}

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const server = http.createServer((req, res) => handle(req, res).catch((e) => {
	console.error(e);
	req.socket.destroy();
}));
server.listen(Number(values.port), '127.0.0.1', () => console.log(server.address().port));

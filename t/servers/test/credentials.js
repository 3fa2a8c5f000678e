'use strict';
// The source of credentials, as the AWS SDK sees it: a client that shares nothing with the publisher.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');

const file = (name) => path.join(__dirname, '..', name);

async function start(t) {
	const child = spawn(process.execPath, [file('credentials.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.after(() => child.kill());
	const [line] = await once(child.stdout, 'data');
	const url = `http://127.0.0.1:${Number(String(line))}`;
	const call = async (method, at, body) => (await fetch(url + at, { method, body: body && JSON.stringify(body) })).json();
	return { url, plan: (p) => call('POST', '/_plan', p), requests: () => call('GET', '/_requests'), key: (id) => call('GET', `/_key/${id}`) };
}

function setEnvironment(t, variables) {
	const old = { ...process.env };
	Object.assign(process.env, variables);
	t.after(() => {
		for (const name of Object.keys(variables)) delete process.env[name];
		Object.assign(process.env, old);
	});
}

async function checkKnown(server, got) {
	const known = await server.key(got.accessKeyId);
	assert.equal(known.secret, got.secretAccessKey);
	assert.equal(known.token, got.sessionToken);
	assert.equal(known.expires, got.expiration.getTime());
}

test('a container, with and without its authorization', async (t) => {
	const server = await start(t);
	const { fromHttp } = require('@aws-sdk/credential-provider-http');
	const options = { awsContainerCredentialsFullUri: `${server.url}/container/task`, awsContainerAuthorizationToken: 'Bearer good', maxRetries: 0 };
	await server.plan({ authorization: 'Bearer good' });
	await checkKnown(server, await fromHttp(options)());
	await assert.rejects(fromHttp({ ...options, awsContainerAuthorizationToken: 'Bearer other' })());
});

test('an instance, through version 2 of its metadata service alone', async (t) => {
	const server = await start(t);
	const { fromInstanceMetadata } = require('@smithy/credential-provider-imds');
	setEnvironment(t, { AWS_EC2_METADATA_SERVICE_ENDPOINT: server.url });
	await checkKnown(server, await fromInstanceMetadata({ maxRetries: 0 })());
	assert.deepEqual((await server.requests()).map((r) => r.kind), ['token', 'role', 'imds']);
	assert.equal((await fetch(`${server.url}/latest/meta-data/iam/security-credentials/`)).status, 401);
});

test('a web identity', async (t) => {
	const server = await start(t);
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'saga-web-'));
	t.after(() => fs.rmSync(dir, { recursive: true }));
	fs.writeFileSync(path.join(dir, 'token'), 'web-token');
	setEnvironment(t, { AWS_ENDPOINT_URL_STS: server.url, AWS_REGION: 'eu-west-1' });
	await server.plan({ web_token: 'web-token' });
	const { fromTokenFile } = require('@aws-sdk/credential-provider-web-identity');
	const get = fromTokenFile({ webIdentityTokenFile: path.join(dir, 'token'), roleArn: 'arn:aws:iam::123456789012:role/r', roleSessionName: 'test' });
	await checkKnown(server, await get());
	fs.writeFileSync(path.join(dir, 'token'), 'another');
	await assert.rejects(get(), /InvalidIdentityToken|not that token/);
});

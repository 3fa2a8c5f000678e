'use strict';
// Refresh tokens: rotation, reuse, the grace of a service that has one, and what a lost answer does.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, invoice, basic, bearer } = require('./lib/client.js');

const s = shared(test, ['--client', 'client:secret', '--client', 'other:word']);
const grant = (token, credentials = 'client:secret') => s.form('/oauth/token', { grant_type: 'refresh_token', refresh_token: token }, basic(credentials));
const consent = async (client) => (await s.post('/_consent', { client })).body.refresh_token;

test('each use of a refresh token gives a new one, and the old one is refused at once', async () => {
	const first = await consent('client');
	const one = await grant(first);
	assert.equal(one.status, 200);
	assert.notEqual(one.body.refresh_token, first);
	assert.notEqual(one.body.refresh_token, one.body.access_token);
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a', bearer(one.body.access_token))).status, 201);
	const again = await grant(first);
	assert.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
	const two = await grant(one.body.refresh_token);
	assert.equal(two.status, 200);
	assert.notEqual(two.body.access_token, one.body.access_token);
	assert.deepEqual((await s.audit()).oauth, { client: { granted: 0, refreshed: 2, refused: 0, reused: 1 } });
});

test('it belongs to one client', async () => {
	const first = await consent('client');
	assert.equal((await grant(first, 'other:word')).body.error, 'invalid_grant');
	assert.equal((await grant(first, 'client:wrong')).status, 401);
	assert.equal((await grant('nonsense')).status, 400);
	assert.equal((await grant(first)).status, 200);
});

test('of several at once one wins', async () => {
	const first = await consent('client');
	const all = await Promise.all([1, 2, 3, 4].map(() => grant(first)));
	assert.deepEqual(all.map((r) => r.status).sort(), [200, 400, 400, 400]);
});

test('a lost answer is a lost token, unless there is a grace', async () => {
	await s.faults([{ path: '/oauth/token', attempt: 1, action: 'drop_after' }]);
	const first = await consent('client');
	assert.equal((await grant(first)).error, 'ECONNRESET');
	assert.equal((await grant(first)).status, 400);
	await s.post('/_reset');
	await s.faults({ modes: { refresh_grace_s: 60 }, rules: [{ path: '/oauth/token', attempt: 1, action: 'drop_after' }] });
	const second = await consent('client');
	assert.equal((await grant(second)).error, 'ECONNRESET');
	assert.equal((await grant(second)).status, 200);
});

test('tokens, used and unused, survive a kill', async () => {
	const first = await consent('client');
	const { body } = await grant(first);
	await s.kill();
	await s.start();
	assert.equal((await grant(first)).status, 400);
	assert.equal((await grant(body.refresh_token)).status, 200);
});

test('expire_tokens and the lifetime leave the refresh token alone', async () => {
	await s.faults({ modes: { auth: 'required', token_ttl_s: 0.1 }, rules: [{ path: '/v1/invoices', nth: 1, action: 'expire_tokens' }] });
	const { body } = await grant(await consent('client'));
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a', bearer(body.access_token))).status, 401);
	const next = (await grant(body.refresh_token)).body;
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a', bearer(next.access_token))).status, 201);
	await new Promise((r) => setTimeout(r, 120));
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a', bearer(next.access_token))).status, 401);
});

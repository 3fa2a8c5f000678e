'use strict';
// Every action and every condition of the fault plan.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, invoice } = require('./lib/client.js');

const s = shared(test, ['--seed', '7']);
const post = (number, key = `k${number}`) => s.post('/v1/invoices', invoice(number), key);
const posted = async (number) => (await s.audit()).numbers.find((n) => n.number === number)?.posted ?? 0;

test('status: without effect, with effect, stored under the key', async () => {
	await s.faults([
		{ number: '^1$', attempt: 1, action: 'status', status: 503, headers: { 'x-a': 'b' }, body: { why: 1 }, retry_after: 2 },
		{ number: '^2$', attempt: 1, action: 'status', effect: true },
		{ number: '^3$', nth: 1, action: 'status', store: true },
	]);
	const r = await post('1');
	assert.deepEqual([r.status, r.body, r.headers['x-a'], r.headers['retry-after']], [503, { why: 1 }, 'b', '2']);
	assert.equal(await posted('1'), 0);
	assert.equal((await post('1')).status, 201);
	assert.equal((await post('2')).status, 500);
	assert.equal(await posted('2'), 1);
	assert.equal((await post('2')).headers['idempotent-replayed'], 'true');
	assert.equal((await post('3')).status, 500);
	assert.equal((await post('3')).status, 500);
	assert.equal((await post('3', 'other')).status, 201);
});

test('429 with seconds or a date', async () => {
	await s.faults([{ attempt: 1, action: '429', retry_after: 3 }, { attempt: 2, action: '429', retry_after: 60, date: true }]);
	assert.equal((await post('1')).headers['retry-after'], '3');
	const wait = Date.parse((await post('1')).headers['retry-after']) - Date.now();
	assert.ok(wait > 50000 && wait <= 60000, String(wait));
	assert.equal((await post('1')).status, 201);
});

test('delay before and after the effect', async () => {
	await s.faults([{ number: 'b', action: 'delay', ms: 300 }, { number: 'a', action: 'delay', ms: 300, at: 'after' }]);
	const t = Date.now();
	const both = [post('b'), post('a')];
	await new Promise((r) => setTimeout(r, 120));
	assert.deepEqual([await posted('b'), await posted('a')], [0, 1]);
	for (const r of await Promise.all(both)) assert.equal(r.status, 201);
	assert.ok(Date.now() - t >= 300);
});

test('a client that gives up before the effect does not undo it', async () => {
	await s.faults([{ action: 'delay', ms: 200, attempt: 1 }]);
	assert.equal((await s.send('POST', '/v1/invoices', invoice('1'), { 'idempotency-key': 'k' }, 60)).error, 'TIMEOUT');
	await new Promise((r) => setTimeout(r, 300));
	assert.equal(await posted('1'), 1);
	assert.equal((await post('1', 'k')).headers['idempotent-replayed'], 'true');
});

test('drop before and after the effect', async () => {
	await s.faults([{ number: 'b', attempt: 1, action: 'drop_before' }, { number: 'a', attempt: 1, action: 'drop_after' },
		{ number: 'r', attempt: 1, action: 'drop_after', reset: true }]);
	for (const [n, count] of [['b', 0], ['a', 1], ['r', 1]]) {
		assert.equal((await post(n)).error, 'ECONNRESET');
		assert.equal(await posted(n), count);
		assert.equal((await post(n)).status, 201);
		assert.equal(await posted(n), 1);
	}
	assert.deepEqual((await s.audit()).requests.map((r) => [r.number, r.status, r.effect]),
		[['b', null, false], ['b', 201, true], ['a', null, true], ['a', 201, false], ['r', null, true], ['r', 201, false]]);
});

test('half an answer, no JSON, too much of it, too slow: all with effect', async () => {
	await s.faults([
		{ number: 'half', action: 'half_response' },
		{ number: 'garbage', action: 'garbage_json' },
		{ number: 'huge', action: 'huge_body', bytes: 3000000 },
		{ number: 'slow', action: 'slow_drip', ms: 10, bytes: 20 },
	]);
	const half = await post('half');
	assert.equal(half.error, 'ECONNRESET');
	assert.equal(half.status, 201);
	const garbage = await post('garbage');
	assert.deepEqual([garbage.status, garbage.body], [201, undefined]);
	const huge = await post('huge');
	assert.ok(huge.text.length > 3000000);
	assert.equal(huge.body.status, 'posted');
	const t = Date.now();
	assert.equal((await post('slow')).body.status, 'posted');
	assert.ok(Date.now() - t > 50);
	for (const n of ['half', 'garbage', 'huge', 'slow']) assert.equal(await posted(n), 1);
});

test('an error with status 200, and a redirect: without effect', async () => {
	await s.faults([{ number: 'e', action: '200_with_error', body: { HasErrors: true } },
		{ number: 'r', action: 'redirect', location: 'http://127.0.0.1:1/' }]);
	const e = await post('e');
	assert.deepEqual([e.status, e.body], [200, { HasErrors: true }]);
	const r = await post('r');
	assert.deepEqual([r.status, r.headers.location], [307, 'http://127.0.0.1:1/']);
	assert.deepEqual((await s.audit()).numbers, []);
});

test('forget_keys: the number is all that is left to find the first try', async () => {
	await s.faults([{ attempt: 1, action: 'drop_after' }, { attempt: 2, action: 'forget_keys' }]);
	assert.equal((await post('1')).error, 'ECONNRESET');
	assert.equal((await post('1')).body.error, 'duplicate_number');
	await s.faults({ modes: { duplicate: 'allow' }, rules: [{ attempt: 1, action: 'drop_after' }, { attempt: 2, action: 'forget_keys' }] });
	await post('2');
	assert.equal((await post('2')).status, 201);
	assert.equal(await posted('2'), 2);
});

test('keys are kept for key_ttl_s', async () => {
	await s.faults({ modes: { key_ttl_s: 0.1 } });
	await post('1');
	await new Promise((r) => setTimeout(r, 150));
	assert.equal((await post('1')).body.error, 'duplicate_number');
});

test('down_until: nobody listens, then all is as before', async () => {
	await s.faults([{ nth: 2, action: 'down_until', for_ms: 300 }]);
	await post('1');
	assert.equal((await post('2')).error, 'ECONNRESET');
	assert.equal((await post('2')).error, 'ECONNREFUSED');
	await new Promise((r) => setTimeout(r, 400));
	assert.equal((await post('2')).status, 201);
	assert.equal((await post('1')).headers['idempotent-replayed'], 'true');
});

test('conditions: method, path, number, nth, times', async () => {
	await s.faults([
		{ method: 'GET', action: 'status', status: 501 },
		{ path: '/void$/', action: 'status', status: 502 },
		{ path: '/v1/payments', action: 'status', status: 503 },
		{ nth: [2, 3], action: 'status', status: 504, path: '/v1/invoices' },
		{ times: 1, action: 'status', status: 505, path: '/v1/invoices' },
	]);
	assert.equal((await s.get('/v1/invoices')).status, 501);
	assert.equal((await s.post('/v1/invoices/x/void')).status, 502);
	assert.equal((await s.post('/v1/payments', {}, 'k')).status, 503);
	const seen = [];
	for (let i = 0; i < 5; i++) seen.push((await post(`n${i}`)).status);
	assert.deepEqual(seen, [505, 504, 504, 201, 201]);
	for (const bad of [[{ action: 'explode' }], [{ action: 'delay', sm: 1 }], { rule: [] }, { modes: { duplicate: 'no' } }, 'x']) {
		assert.equal((await s.faults(bad)).status, 400, JSON.stringify(bad));
	}
});

test('probability: by seed and number, whatever the order', async () => {
	const numbers = Array.from({ length: 60 }, (_, i) => `n${i}`);
	const run = async (order) => {
		await s.post('/_reset');
		await s.faults([{ probability: 0.4, action: 'status' }]);
		const hit = new Set();
		for (const n of order) if ((await post(n)).status === 500) hit.add(n);
		return numbers.filter((n) => hit.has(n));
	};
	const one = await run(numbers);
	assert.ok(one.length > 10 && one.length < 40, String(one.length));
	assert.deepEqual(await run([...numbers].reverse()), one);
	await s.post('/_reset', { seed: 8 });
	assert.equal((await s.audit()).seed, 8);
	assert.notDeepEqual(await run(numbers), one);
	await s.post('/_reset', { seed: 7 });
	assert.deepEqual(await run(numbers), one);
});

test('limits per client answer 429, and the audit knows the rates', async () => {
	await s.faults({ modes: { limits: { per_second: 3 } } });
	const r = await Promise.all(['1', '2', '3', '4', '5'].map((n) => post(n)));
	assert.deepEqual(r.map((x) => x.status).sort(), [201, 201, 201, 429, 429]);
	assert.equal(r.find((x) => x.status === 429).headers['retry-after'], '1');
	const { anonymous } = (await s.audit()).clients;
	assert.deepEqual([anonymous.max_per_second, anonymous.limited], [5, 2]);
	await s.post('/_reset');
	await s.faults({ modes: { limits: { concurrency: 1 } }, rules: [{ action: 'delay', ms: 200 }] });
	const two = await Promise.all([post('6'), post('7')]);
	assert.deepEqual(two.map((x) => x.status).sort(), [201, 429]);
	assert.equal((await s.audit()).clients.anonymous.max_concurrent, 2);
});

'use strict';
// The books, the keys, the tokens, the plan and the audit survive a kill.
const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { Server, invoice } = require('./lib/client.js');

test('killed and started again: the same answers, the same audit', async (t) => {
	const s = await new Server([]).start();
	t.after(() => s.end());
	await s.faults({ modes: { async_ms: 3000 }, rules: [{ number: '^2$', nth: 1, action: 'drop_after' }] });
	const { body: first } = await s.post('/v1/invoices', invoice('1'), 'a');
	await s.post('/v1/invoices', invoice('2'), 'b');
	const { body: op } = await s.post('/v1/async/invoices', invoice('3'), 'c');
	const before = await s.audit();
	await s.kill();
	await s.start();
	assert.deepEqual(await s.audit(), before);
	const again = await s.post('/v1/invoices', invoice('1'), 'a');
	assert.equal(again.headers['idempotent-replayed'], 'true');
	assert.deepEqual(again.body, first);
	// the plan's counters too: the first match was before the kill
	assert.equal((await s.post('/v1/invoices', invoice('2'), 'b')).status, 201);
	const end = Date.now() + 20000;
	const outcome = async () => (await s.get(`/v1/operations/${op.operation}`)).body.status;
	while (await outcome() === 'pending' && Date.now() < end) await new Promise((r) => setTimeout(r, 50));
	assert.equal(await outcome(), 'success');
	const { body: next } = await s.post('/v1/invoices', invoice('4'), 'd');
	assert.notEqual(next.id, first.id);
	assert.deepEqual((await s.audit()).numbers.map((n) => n.posted), [1, 1, 1, 1]);
});

test('a record cut short is dropped, what was answered is not', async (t) => {
	const s = await new Server([]).start();
	t.after(() => s.end());
	await s.post('/v1/invoices', invoice('1'), 'a');
	await s.kill();
	fs.appendFileSync(s.data, '{"t":"commit","seq":9,"chan');
	await s.start();
	await s.post('/v1/invoices', invoice('2'), 'b');
	await s.kill();
	await s.start();
	assert.deepEqual((await s.audit()).numbers.map((n) => [n.number, n.posted]), [['1', 1], ['2', 1]]);
});

test('killed in the middle of load: every answered invoice is there once', async (t) => {
	const s = await new Server([]).start();
	t.after(() => s.end());
	const answered = new Set();
	const send = async (n) => {
		if ((await s.post('/v1/invoices', invoice(n), n)).status === 201) answered.add(n);
	};
	const load = Array.from({ length: 200 }, (_, i) => send(`n${i}`));
	await new Promise((r) => setTimeout(r, 60));
	await s.kill();
	await Promise.all(load);
	await s.start();
	const { numbers } = await s.audit();
	for (const n of answered) assert.equal(numbers.find((x) => x.number === n)?.posted, 1, n);
	assert.ok(numbers.every((n) => n.posted === 1));
	for (let i = 0; i < 200; i++) await send(`n${i}`);
	assert.equal(answered.size, 200);
	assert.ok((await s.audit()).numbers.every((n) => n.posted === 1));
});

test('reset empties the books and brings the first plan back', async (t) => {
	const s = await new Server(['--faults', '{"rules":[{"action":"status","status":418,"nth":1}]}', '--seed', '3']).start();
	t.after(() => s.end());
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a')).status, 418);
	const { body: { id } } = await s.post('/v1/invoices', invoice('1'), 'a');
	await s.faults([]);
	await s.post('/_reset');
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a')).status, 418);
	// the same seed gives the same ids
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a')).body.id, id);
	assert.equal((await s.audit()).requests.length, 2);
});

test('what is worked on when the books are emptied is not booked', async (t) => {
	const s = await new Server([]).start();
	t.after(() => s.end());
	await s.faults([{ number: '^late$', action: 'delay', ms: 400 }]);
	const late = s.post('/v1/invoices', invoice('late'), 'a');
	const end = Date.now() + 20000;
	while ((await s.audit()).requests.length === 0 && Date.now() < end) await new Promise((r) => setTimeout(r, 10));
	await s.post('/_reset');
	await s.post('/v1/invoices', invoice('1'), 'b');
	await late;
	const before = await s.audit();
	assert.deepEqual(before.numbers.map((n) => n.number), ['1']);
	assert.deepEqual(before.requests.map((r) => [r.number, r.status]), [['1', 201]]);
	// and its file can be read
	await s.kill();
	await s.start();
	assert.deepEqual(await s.audit(), before);
});

'use strict';
// Every row of the table of requests, without faults.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, invoice, payment } = require('./lib/client.js');

const s = shared(test);

test('an invoice is posted', async () => {
	const r = await s.post('/v1/invoices', invoice('1'), 'k1');
	assert.equal(r.status, 201);
	assert.equal(r.body.status, 'posted');
	assert.equal(r.body.total, '119.00');
	assert.match(r.body.id, /^inv_[0-9a-f]{20}$/);
	assert.deepEqual((await s.get(`/v1/invoices/${r.body.id}`)).body, r.body);
	assert.deepEqual((await s.get('/v1/invoices?number=1&seller=DE1')).body, { invoices: [r.body] });
	assert.deepEqual((await s.get('/v1/invoices?number=2')).body, { invoices: [] });
	assert.equal((await s.get('/v1/invoices/none')).status, 404);
});

test('same key, same body: the stored answer', async () => {
	const first = await s.post('/v1/invoices', invoice('1'), 'k');
	const { lines, ...rest } = invoice('1');
	const again = await s.post('/v1/invoices', { lines, ...rest }, 'k');
	assert.equal(again.status, 201);
	assert.equal(again.headers['idempotent-replayed'], 'true');
	assert.equal(first.headers['idempotent-replayed'], undefined);
	assert.deepEqual(again.body, first.body);
});

test('same key, other body or other route: 422', async () => {
	await s.post('/v1/invoices', invoice('1'), 'k');
	assert.equal((await s.post('/v1/invoices', invoice('2'), 'k')).status, 422);
	assert.equal((await s.post('/v1/payments', payment('1'), 'k')).body.error, 'idempotency_key_reused');
});

test('same key in flight: 409', async () => {
	await s.faults([{ action: 'delay', ms: 300, attempt: 1 }]);
	const first = s.post('/v1/invoices', invoice('1'), 'k');
	await new Promise((r) => setTimeout(r, 80));
	const second = await s.post('/v1/invoices', invoice('1'), 'k');
	assert.deepEqual([second.status, second.body.error], [409, 'idempotency_in_progress']);
	assert.equal((await first).status, 201);
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'k')).headers['idempotent-replayed'], 'true');
});

test('no key: 400, or none needed by mode', async () => {
	assert.equal((await s.post('/v1/invoices', invoice('1'))).status, 400);
	await s.faults({ modes: { idempotency: 'none' } });
	const a = await s.post('/v1/invoices', invoice('1'), 'k');
	assert.equal(a.status, 201);
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'k')).body.error, 'duplicate_number');
});

test('a number that is posted already', async () => {
	const { body: { id } } = await s.post('/v1/invoices', invoice('1'), 'a');
	const r = await s.post('/v1/invoices', invoice('1'), 'b');
	assert.deepEqual([r.status, r.body], [409, { error: 'duplicate_number', id, number: '1' }]);
	assert.equal((await s.post('/v1/invoices', invoice('1', { seller: { vat_id: 'FR2' } }), 'c')).status, 201);
	await s.faults({ modes: { duplicate: '400' } });
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'd')).status, 400);
	await s.faults({ modes: { duplicate: 'allow' } });
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'e')).status, 201);
	const row = (await s.audit()).numbers.find((n) => n.seller === 'DE1');
	assert.deepEqual([row.posted, row.voided], [2, 0]);
});

test('what is wrong is refused, and may be corrected under the same key', async () => {
	for (const bad of [{ total: '119.01' }, { currency: 'XQX' }, { currency: undefined }, { lines: [] }, { tax: 19 },
		{ lines: [{ amount: 'x' }] }, { number: '' }, { seller: {} }]) {
		const r = await s.post('/v1/invoices', invoice('1', bad), 'k');
		assert.deepEqual([r.status, r.body.error], [422, 'validation'], JSON.stringify(bad));
		assert.ok(r.body.details.length > 0);
	}
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'k')).status, 201);
	assert.equal((await s.post('/v1/invoices', '{"number":', 'm')).body.error, 'malformed_json');
	assert.equal((await s.post('/v1/invoices', '[1]', 'n')).status, 400);
	assert.equal((await s.post('/v1/nothing', {}, 'o')).status, 404);
	assert.equal((await s.send('DELETE', '/v1/invoices')).status, 404);
	assert.equal((await s.post('/v1/invoices', 'x'.repeat(11 * 1024 * 1024), 'p')).status, 413);
});

test('void, again, and not when paid', async () => {
	const { body: { id } } = await s.post('/v1/invoices', invoice('1'), 'a');
	for (let i = 0; i < 2; i++) {
		const r = await s.post(`/v1/invoices/${id}/void`, undefined, `v${i}`);
		assert.deepEqual([r.status, r.body.status], [200, 'void']);
	}
	const { body: paid } = await s.post('/v1/invoices', invoice('1'), 'b');
	assert.equal((await s.post(`/v1/invoices/${paid.id}/pay`)).body.status, 'paid');
	assert.equal((await s.post(`/v1/invoices/${paid.id}/void`)).body.error, 'not_voidable');
	assert.equal((await s.post('/v1/invoices/none/void')).status, 404);
	const [row] = (await s.audit()).numbers;
	assert.deepEqual([row.posted, row.voided], [2, 1]);
});

test('credit notes: of an invoice, of its rest, and alone', async () => {
	const { body: { id } } = await s.post('/v1/invoices', invoice('1'), 'a');
	const part = await s.post('/v1/credit-notes', { invoice_id: id, number: 'C1', total: '19.00' }, 'b');
	assert.deepEqual([part.status, part.body.status, part.body.invoice_id], [201, 'posted', id]);
	assert.equal((await s.post('/v1/credit-notes', { invoice_id: id, number: 'C2', total: '100.01' }, 'c')).status, 422);
	assert.equal((await s.post(`/v1/invoices/${id}/void`)).status, 409);
	assert.equal((await s.post('/v1/credit-notes', { invoice_id: id, number: 'C2', total: '100.00' }, 'd')).status, 201);
	assert.equal((await s.post('/v1/credit-notes', { invoice_id: 'none' }, 'e')).status, 404);
	const alone = await s.post('/v1/credit-notes', invoice('C3'), 'f');
	assert.equal(alone.status, 201);
	assert.deepEqual((await s.audit()).ledger.EUR, { invoices: '119.00', credit_notes: '238.00', net: '-119.00',
		payments: '0', credits: '0' });
	assert.equal((await s.post(`/v1/credit-notes/${alone.body.id}/void`)).body.status, 'void');
	assert.equal((await s.audit()).ledger.EUR.net, '0.00');
});

test('payments and credits, with the same rules', async () => {
	for (const [path, made, verb, undone] of [['/v1/payments', 'paid', 'refund', 'refunded'],
		['/v1/credits', 'credited', 'reverse', 'reversed']]) {
		const r = await s.post(path, payment('1'), path);
		assert.deepEqual([r.status, r.body.status, r.body.amount], [201, made, '119.00']);
		assert.equal((await s.post(path, payment('1'), path)).headers['idempotent-replayed'], 'true');
		assert.equal((await s.post(path, payment('1'), path + '2')).status, 409);
		assert.equal((await s.post(path, payment('2', { amount: '0' }), path + '3')).status, 422);
		for (let i = 0; i < 2; i++) {
			const u = await s.post(`${path}/${r.body.id}/${verb}`);
			assert.deepEqual([u.status, u.body.status], [200, undone]);
		}
		assert.equal((await s.post(path, payment('1'), path + '4')).status, 201);
	}
	const a = await s.audit();
	assert.deepEqual(a.numbers, [{ seller: 'DE1', number: '1', posted: 0, voided: 0, credit_notes: 0,
		credit_notes_voided: 0, paid: 2, refunded: 1, credited: 2, reversed: 1, drafts: 0, overwritten: 0 }]);
	assert.equal(a.ledger.EUR.payments, '119.00');
});

test('a batch has a status per item', async () => {
	const items = { invoices: [invoice('1'), invoice('1'), invoice('2', { total: '1' }), invoice('3')] };
	const r = await s.post('/v1/invoices:batch', items, 'k');
	assert.equal(r.status, 207);
	assert.deepEqual(r.body.items.map((i) => i.status), [201, 409, 422, 201]);
	assert.equal((await s.post('/v1/invoices:batch', items, 'k')).headers['idempotent-replayed'], 'true');
	const own = [{ ...invoice('4'), idempotency_key: 'x' }];
	assert.equal((await s.post('/v1/invoices:batch', own)).body.items[0].status, 201);
	assert.equal((await s.post('/v1/invoices:batch', own)).body.items[0].replayed, true);
	assert.deepEqual((await s.audit()).numbers.map((n) => n.posted), [1, 1, 1]);
});

test('an operation is pending, then a success or a failure', async () => {
	await s.faults({ modes: { async_ms: 150 }, rules: [{ number: '^2$', action: 'fail_async', error: 'closed_period' }] });
	const results = [];
	for (const body of [invoice('1'), invoice('2'), invoice('3', { total: '1' })]) {
		const r = await s.post('/v1/async/invoices', body, body.number);
		assert.deepEqual([r.status, r.body.status], [202, 'pending']);
		assert.equal((await s.get(`/v1/operations/${r.body.operation}`)).body.status, 'pending');
		results.push(r.body.operation);
	}
	await new Promise((r) => setTimeout(r, 400));
	const done = await Promise.all(results.map((id) => s.get(`/v1/operations/${id}`)));
	assert.deepEqual(done.map((d) => d.body.status), ['success', 'failed', 'failed']);
	assert.equal(done[0].body.result.number, '1');
	assert.equal(done[1].body.error.error, 'closed_period');
	assert.equal(done[2].body.error.error, 'validation');
});

test('tokens: client credentials, wrong ones, lifetime, required', async () => {
	const form = { 'content-type': 'application/x-www-form-urlencoded' };
	const grant = 'grant_type=client_credentials';
	const basic = (t) => ({ ...form, authorization: 'Basic ' + Buffer.from(t).toString('base64') });
	assert.equal((await s.send('POST', '/oauth/token', grant, basic('client:wrong'))).status, 401);
	assert.equal((await s.send('POST', '/oauth/token', 'x=1', basic('client:secret'))).status, 400);
	assert.equal((await s.send('POST', '/oauth/token', `${grant}&client_id=client&client_secret=secret`, form)).status, 200);
	const t = await s.send('POST', '/oauth/token', grant, basic('client:secret'));
	assert.deepEqual([t.body.token_type, t.body.expires_in], ['bearer', 1800]);
	const bearer = (token) => ({ authorization: `Bearer ${token}` });
	assert.equal((await s.post('/v1/invoices', invoice('1'), 'a', bearer(t.body.access_token))).status, 201);
	assert.equal((await s.post('/v1/invoices', invoice('2'), 'b', bearer('nonsense'))).status, 401);
	await s.faults({ modes: { auth: 'required', token_ttl_s: 1 } });
	assert.equal((await s.post('/v1/invoices', invoice('2'), 'b')).status, 401);
	const short = await s.send('POST', '/oauth/token', grant, basic('client:secret'));
	assert.equal((await s.post('/v1/invoices', invoice('2'), 'c', bearer(short.body.access_token))).status, 201);
	await new Promise((r) => setTimeout(r, 1050));
	assert.equal((await s.post('/v1/invoices', invoice('3'), 'd', bearer(short.body.access_token))).status, 401);
	await s.faults([{ action: 'expire_tokens', nth: 1 }]);
	assert.equal((await s.post('/v1/invoices', invoice('3'), 'e', bearer(t.body.access_token))).status, 401);
});

test('the audit has every request, and no secret', async () => {
	await s.post('/v1/invoices', invoice('1'), 'a');
	await s.post('/v1/invoices', invoice('1'), 'a');
	await s.post('/v1/invoices', invoice('1', { total: '2' }), 'b', { authorization: 'Basic c2VjcmV0OnNlY3JldA==' });
	const a = await s.audit();
	assert.deepEqual(a.requests.map((r) => [r.seq, r.method, r.path, r.key, r.number, r.seller, r.attempt, r.status, r.effect, r.replay]), [
		[1, 'POST', '/v1/invoices', 'a', '1', 'DE1', 1, 201, true, false],
		[2, 'POST', '/v1/invoices', 'a', '1', 'DE1', 2, 201, false, true],
		[3, 'POST', '/v1/invoices', 'b', '1', 'DE1', 1, 422, false, false]]);
	assert.ok(a.requests.every((r) => r.ended_at >= r.at));
	assert.deepEqual(a.keys, [{ key: 'a', requests: 2, effects: 1 }, { key: 'b', requests: 1, effects: 0 }]);
	assert.ok(!JSON.stringify(a).includes('c2VjcmV0'));
});

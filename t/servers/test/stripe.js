'use strict';
// The shape of Stripe.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, basic, bearer } = require('./lib/client.js');

const s = shared(test);
const API = '/stripe/v1/invoices';
const head = bearer('sk_test_secret');
const post = (path, form, key, more = {}) => s.form(path, form, { ...head, ...(key ? { 'idempotency-key': key } : {}), ...more });
const draft = (number, key = `k${number}`) => post(API, { customer: 'cus_1', currency: 'eur', 'metadata[number]': number }, key);
const search = (q) => s.send('GET', `${API}/search?query=${encodeURIComponent(q)}`, undefined, head);
const row = async (number) => (await s.audit()).numbers.find((n) => n.number === number);

test('a draft, its lines, finalized, void', async () => {
	const { body: made } = await draft('1');
	assert.deepEqual([made.status, made.total, made.metadata.number], ['draft', 0, '1']);
	assert.equal((await row('1')).posted, 0);
	await post(`${API}/${made.id}/add_lines`, { 'lines[0][amount]': '10000', 'lines[0][description]': 'a', 'lines[1][amount]': '1000' }, 'l');
	const item = await post('/stripe/v1/invoiceitems', { customer: 'cus_1', invoice: made.id, amount: '900', currency: 'eur' }, 'i');
	assert.deepEqual([item.status, item.body.object], [200, 'invoiceitem']);
	const open = await post(`${API}/${made.id}/finalize`, {}, 'f');
	assert.deepEqual([open.body.status, open.body.total, open.body.amount_due], ['open', 11900, 11900]);
	assert.equal((await s.audit()).ledger.EUR.net, '119.00');
	assert.deepEqual((await post(`${API}/${made.id}/finalize`, {}, 'f')).body, open.body);
	assert.equal((await post(`${API}/${made.id}/finalize`, {}, 'g')).status, 400);
	assert.equal((await post(`${API}/${made.id}/add_lines`, { 'lines[0][amount]': '1' }, 'm')).body.error.code, 'invoice_not_editable');
	assert.equal((await post(`${API}/${made.id}/void`, {}, 'v')).body.status, 'void');
	const again = await post(`${API}/${made.id}/void`, {}, 'w');
	assert.deepEqual([again.status, /isn't open/.test(again.body.error.message)], [400, true]);
	assert.deepEqual([(await row('1')).posted, (await row('1')).voided], [1, 1]);
});

test('currencies without and with three digits', async () => {
	for (const [currency, amount, total] of [['jpy', '1500', '1500'], ['kwd', '1500', '1.500']]) {
		const { body } = await post(API, { customer: 'c', currency, 'metadata[number]': currency });
		await post(`${API}/${body.id}/add_lines`, { 'lines[0][amount]': amount });
		assert.equal((await post(`${API}/${body.id}/finalize`, {})).body.total, 1500);
		assert.equal((await s.audit()).ledger[currency.toUpperCase()].net, total);
	}
	const { body } = await draft('1');
	assert.equal((await post(`${API}/${body.id}/add_lines`, { 'lines[0][amount]': '10.00' })).status, 400);
});

test('the key: replays, is compared, at most 255; nothing else keeps a number from being there twice', async () => {
	const one = await draft('1', 'k');
	const two = await draft('1', 'k');
	assert.deepEqual([two.body, two.headers['idempotent-replayed']], [one.body, 'true']);
	const other = await draft('2', 'k');
	assert.deepEqual([other.status, other.body.error.type], [400, 'idempotency_error']);
	assert.equal((await draft('3', 'x'.repeat(256))).status, 400);
	assert.equal((await draft('1', 'another')).status, 200);
	assert.equal((await row('1')).drafts, 2);
});

test('a 500 is stored under the key and comes again', async () => {
	await s.faults([{ path: API, number: '^1$', times: 1, action: 'status', status: 500, effect: true }, { number: '^2$', times: 1, action: 'status', status: 503 }]);
	assert.equal((await draft('1', 'a')).status, 500);
	for (let i = 0; i < 2; i++) {
		const r = await draft('1', 'a');
		assert.deepEqual([r.status, r.headers['stripe-should-retry'], r.headers['idempotent-replayed']], [500, 'false', 'true']);
	}
	assert.equal((await search("metadata['number']:'1'")).body.data.length, 1);
	assert.equal((await draft('2', 'b')).status, 503);
	assert.equal((await draft('2', 'b')).status, 200);
	assert.equal((await post(API, { currency: 'eur' }, 'c')).body.error.param, 'customer');
	assert.equal((await post(API, { currency: 'eur', customer: 'x' }, 'c')).status, 200, 'a refusal is not stored');
});

test('search, with its lag', async () => {
	const { body } = await draft('1');
	assert.deepEqual((await search("metadata['number']:'1' AND -status:'void'")).body.data.map((d) => d.id), [body.id]);
	assert.deepEqual((await search("metadata['number']:'2'")).body.data, []);
	assert.equal((await search("metadata['number']:'1' AND status:'open'")).body.data.length, 0);
	assert.equal((await search('what?')).status, 400);
	await s.faults({ modes: { search_lag_ms: 60000 } });
	assert.deepEqual((await search("metadata['number']:'1'")).body.data, []);
	assert.equal((await s.send('GET', `${API}/${body.id}`, undefined, head)).body.id, body.id);
});

test('key as bearer or user, form only, limits', async () => {
	assert.equal((await post(API, { customer: 'c' }, 'a', basic('sk_test_secret:'))).status, 200);
	assert.equal((await post(API, { customer: 'c' }, 'b', bearer('sk_test_wrong'))).body.error.message, 'Invalid API Key provided');
	assert.match((await s.post(API, { customer: 'c' }, 'c', head)).body.error.message, /x-www-form-urlencoded/);
	await s.faults({ modes: { limits: { concurrency: 1 } }, rules: [{ action: 'delay', ms: 150 }] });
	const two = await Promise.all([draft('1'), draft('2')]);
	const r = two.find((x) => x.status === 429);
	assert.deepEqual([r.headers['stripe-should-retry'], r.body.error.code], ['true', 'rate_limit']);
});

test('in flight: 409, to be tried again', async () => {
	await s.faults([{ attempt: 1, action: 'delay', ms: 200 }]);
	const first = draft('1', 'k');
	await new Promise((r) => setTimeout(r, 60));
	const second = await draft('1', 'k');
	assert.deepEqual([second.status, second.headers['stripe-should-retry']], [409, 'true']);
	assert.equal((await first).status, 200);
});

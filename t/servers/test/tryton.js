'use strict';
// The shape of Tryton's JSON-RPC.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, basic } = require('./lib/client.js');

const s = shared(test);
const raw = (body, more = {}) => s.send('POST', '/tryton/books/', body, { ...basic('client:secret'), ...more });
const call = (method, ...params) => raw({ method: `model.account.invoice.${method}`, params: [...params, { company: 1 }] });
const values = (number, more = {}) => ({ type: 'out', number, party: 2, invoice_address: 2, account: 5, journal: 1, currency: 1,
	lines: [['create', [{ type: 'line', quantity: '1', unit_price: '99.99', account: 6 }]]],
	taxes: [['create', [{ manual: true, base: '99.99', amount: { __class__: 'Decimal', decimal: '19.00' } }]]], ...more });
const find = (number) => call('search_read', [['number', '=', number], ['type', '=', 'out'], ['state', '!=', 'cancelled']], 0, 2, null, ['state', 'total_amount', 'move.post_number']);
const row = async (number) => (await s.audit()).numbers.find((n) => n.number === number);

test('create, post, found with typed decimals, cancel: the last three again are null', async () => {
	const r = await call('create', [values('R-1')]);
	const [id] = r.body;
	assert.deepEqual([r.status, r.text], [200, `[${id}]`]);
	assert.deepEqual([(await row('R-1')).posted, (await row('R-1')).drafts], [0, 1]);
	for (let i = 0; i < 2; i++) assert.deepEqual([(await call('post', [id])).text], ['null']);
	assert.equal((await row('R-1')).posted, 1);
	const [found] = (await find('R-1')).body;
	assert.deepEqual([found.id, found.state, found.total_amount, typeof found['move.'].post_number], [id, 'posted', { __class__: 'Decimal', decimal: '118.99' }, 'string']);
	assert.equal((await s.audit()).ledger.EUR.net, '118.99');
	for (let i = 0; i < 2; i++) assert.equal((await call('cancel', [id])).text, 'null');
	assert.deepEqual((await find('R-1')).body, []);
	assert.equal((await call('post', [id])).text, 'null');
	assert.deepEqual([(await row('R-1')).posted, (await row('R-1')).voided, (await row('R-1')).seller], [1, 1, '1']);
	assert.equal((await call('create', [values('R-1')])).status, 200);
	assert.equal((await call('search_count', [['number', '=', 'R-1']])).body, 2);
});

test('a known number hits the index: 500 in HTML', async () => {
	await call('create', [values('1')]);
	const r = await call('create', [values('1')]);
	assert.deepEqual([r.status, r.body], [500, undefined]);
	assert.match(r.text, /constraint &#34;account_invoice_once&#34;/);
	await s.faults({ modes: { duplicate: 'allow' } });
	assert.equal((await call('create', [values('1')])).status, 200);
});

test('with an id everything is 200', async () => {
	const body = (number, more) => ({ id: 7, method: 'model.account.invoice.create', params: [[values(number, more)], { company: 1 }] });
	const r = await raw(body('1'));
	assert.deepEqual([r.status, r.body.id, r.body.result.length], [200, 7, 1]);
	const bad = await raw(body('2', { party: undefined }));
	assert.deepEqual([bad.status, bad.body.error[0]], [200, 'UserError']);
	const twice = await raw(body('1'));
	assert.deepEqual([twice.status, twice.body.error[1]], [200, '']);
	assert.match(twice.body.error[0], /account_invoice_once/);
});

test('what is refused, and how', async () => {
	const line = (price) => ({ lines: [['create', [{ quantity: '1', unit_price: price }]]] });
	assert.equal((await call('create', [values('1', line(99.99))])).status, 400, 'a JSON number');
	assert.equal((await call('create', [values('1', line('1.00001'))])).status, 400);
	assert.equal((await call('create', [values('1', { currency: undefined })])).status, 400);
	assert.equal((await call('post', [99])).status, 400);
	assert.equal((await call('delete', [1])).status, 403);
	assert.equal((await raw({ method: 'model.nothing.create', params: [{ company: 1 }] })).status, 500);
	assert.equal((await raw({ method: 'model.account.invoice.post', params: [[1], {}] })).status, 400);
	assert.equal((await raw({ method: 'model.account.invoice.post', params: [[1]] })).status, 500);
	assert.equal((await raw('{"method":')).status, 500);
	assert.equal((await s.send('POST', '/tryton/books', {}, basic('client:secret'))).status, 308);
	assert.equal((await raw('{}', { 'content-type': 'text/plain' })).status, 400);
	assert.equal((await raw({ method: 'common.server.version', params: [] }, { authorization: '' })).body, '6.0.29');
});

test('after six wrong passwords the right one is refused too', async () => {
	for (let i = 0; i < 6; i++) assert.equal((await raw({ method: 'x', params: [] }, basic('client:wrong'))).status, 401);
	assert.equal((await call('search_count', [])).status, 429);
	await s.post('/_reset');
	assert.equal((await call('search_count', [])).status, 200);
});

test('faults by method and number', async () => {
	await s.faults([{ path: '/invoice.create$/', number: '^1$', attempt: 1, action: 'drop_after' }, { path: '/invoice.post$/', action: 'status', status: 503, times: 1 },
		{ path: '/search_read$/', times: 1, action: 'garbage_json' }]);
	assert.equal((await call('create', [values('1')])).error, 'ECONNRESET');
	assert.equal((await find('1')).body, undefined);
	const [{ id }] = (await find('1')).body;
	const r = await call('post', [id]);
	assert.deepEqual([r.status, r.headers['content-type']], [503, 'text/html; charset=utf-8']);
	assert.equal((await call('post', [id])).text, 'null');
	assert.equal((await row('1')).posted, 1);
});

'use strict';
// The shape of Odoo's JSON-2.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, bearer } = require('./lib/client.js');

const s = shared(test);
const call = (method, body, more = {}) => s.send('POST', `/odoo/json/2/account.move/${method}`, body, { ...bearer('secret'), ...more });
const values = (number, more = {}) => ({ move_type: 'out_invoice', name: number, partner_id: 7, currency_id: 1,
	invoice_line_ids: [[0, 0, { quantity: 2, price_unit: 50, tax_ids: [[6, 0, [19]]] }]], ...more });
const create = (...all) => call('create', { vals_list: all });
const row = async (number) => (await s.audit()).numbers.find((n) => n.number === number);

test('a draft, posted, found', async () => {
	const r = await create(values('1'));
	const [id] = r.body;
	assert.deepEqual([r.status, Number.isInteger(id)], [200, true]);
	assert.deepEqual([(await row('1')).posted, (await row('1')).drafts], [0, 1]);
	assert.deepEqual((await call('action_post', { ids: [id] })).body, false);
	assert.deepEqual([(await row('1')).posted, (await row('1')).seller], [1, 'odoo']);
	const found = await call('search_read', { domain: [['name', '=', '1'], ['state', '!=', 'cancel']], fields: ['state', 'amount_total'], limit: 2 });
	assert.deepEqual(found.body, [{ id, state: 'posted', amount_total: 119 }]);
	assert.deepEqual((await call('search_read', { domain: ['|', ['name', '=', 'x'], ['name', 'ilike', 'y']] })).body, []);
	const again = await call('action_post', { ids: [id] });
	assert.deepEqual([again.status, again.body.name], [422, 'odoo.exceptions.UserError']);
	assert.match(again.body.message, /must be in draft/);
});

test('there is no idempotency; a posted name is refused when it is posted', async () => {
	const ids = [];
	for (let i = 0; i < 3; i++) ids.push((await s.send('POST', '/odoo/json/2/account.move/create', { vals_list: values('1') }, { ...bearer('secret'), 'idempotency-key': 'k' })).body[0]);
	assert.equal(new Set(ids).size, 3);
	assert.equal((await call('action_post', { ids: [ids[0]] })).status, 200);
	const r = await call('action_post', { ids: [ids[1]] });
	assert.deepEqual([r.status, r.body.name], [422, 'odoo.exceptions.ValidationError']);
	assert.match(r.body.message, /unique sequence number/);
	await s.faults({ modes: { duplicate: '400' } });
	const index = await call('action_post', { ids: [ids[1]] });
	assert.deepEqual([index.status, /account_move_unique_name/.test(index.body.message)], [500, true]);
	assert.equal((await call('action_post', { ids: [ids[1], 999] })).status, 500);
	assert.deepEqual([(await row('1')).posted, (await row('1')).drafts], [1, 2]);
});

test('undo: cancelled, by way of draft; or a reversal', async () => {
	const [a, b] = (await create(values('1'), values('2'))).body;
	await call('action_post', { ids: [a, b] });
	await call('button_draft', { ids: [a] });
	assert.equal((await call('button_draft', { ids: [a] })).status, 422);
	await call('action_post', { ids: [a] });
	assert.equal((await call('button_cancel', { ids: [a] })).status, 200);
	const again = await call('button_cancel', { ids: [a] });
	assert.deepEqual([again.status, again.body.message], [422, 'Only draft journal entries can be cancelled.']);
	assert.deepEqual([(await row('1')).posted, (await row('1')).voided], [1, 1]);
	const wizard = (method, body) => s.send('POST', `/odoo/json/2/account.move.reversal/${method}`, body, bearer('secret'));
	const [w] = (await wizard('create', { vals_list: [{ move_ids: [[6, 0, [b]]], reason: 'undo' }] })).body;
	const reversed = await wizard('reverse_moves', { ids: [w] });
	assert.deepEqual([reversed.status, Number.isInteger(reversed.body.res_id)], [200, true]);
	assert.equal((await wizard('reverse_moves', { ids: [w] })).status, 422);
	const { credit_notes, posted } = await row('R2');
	assert.deepEqual([credit_notes, posted], [1, 0]);
	assert.equal((await s.audit()).ledger.EUR.net, '0.00');
	assert.equal((await call('search_read', { domain: [['id', '=', b]], fields: ['payment_state'] })).body[0].payment_state, 'reversed');
});

test('errors have a name and a message', async () => {
	assert.equal((await call('create', { vals_list: [values('1', { partner_id: undefined })] })).status, 422);
	assert.equal((await call('create', {})).status, 422);
	assert.equal((await call('unlink', { ids: [1] })).body.name, 'werkzeug.exceptions.NotFound');
	assert.equal((await call('read', { ids: [1] }, bearer('wrong'))).body.message, 'Invalid apikey');
	assert.equal((await call('action_post', { ids: [5] })).body.name, 'odoo.exceptions.MissingError');
	assert.equal((await call('search_read', { fields: ['nothing'], domain: [] })).status, 200);
	await create(values('1'));
	assert.equal((await call('search_read', { fields: ['nothing'], domain: [] })).body.name, 'builtins.ValueError');
});

test('faults by method and number; the request is lost after its effect', async () => {
	await s.faults([{ path: '/action_post$/', number: '^1$', attempt: 1, action: 'drop_after' }, { path: '/create$/', number: '^1$', attempt: 1, action: 'drop_after' }]);
	assert.equal((await create(values('1'))).error, 'ECONNRESET');
	const [{ id }] = (await call('search_read', { domain: [['name', '=', '1']], fields: ['id'] })).body;
	assert.equal((await call('action_post', { ids: [id] })).error, 'ECONNRESET');
	assert.equal((await call('action_post', { ids: [id] })).status, 422);
	assert.equal((await row('1')).posted, 1);
	assert.deepEqual((await s.audit()).requests.map((r) => r.number), ['1', '1', '1', '1']);
});

'use strict';
// The shape of Xero.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, basic, bearer } = require('./lib/client.js');

const s = shared(test);
const API = '/xero/api.xro/2.0/Invoices';
let head;

test.beforeEach(async () => {
	const t = await s.form('/xero/connect/token', { grant_type: 'client_credentials' }, basic('client:secret'));
	assert.deepEqual([t.status, t.body.expires_in], [200, 1800]);
	head = { ...bearer(t.body.access_token), 'xero-tenant-id': 'tenant', accept: 'application/json' };
});

const invoice = (number, more = {}) => ({ Type: 'ACCREC', Contact: { Name: 'B' }, InvoiceNumber: number, CurrencyCode: 'EUR', Status: 'AUTHORISED',
	LineItems: [{ Description: 'a', Quantity: 2, UnitAmount: 50, TaxAmount: 19 }], ...more });
const send = (method, path, body, key, more = {}) => s.send(method, path, body, { ...head, ...(key ? { 'idempotency-key': key } : {}), ...more });
const put = (body, key, query = '') => send('PUT', API + query, { Invoices: [].concat(body) }, key);
const row = async (number) => (await s.audit()).numbers.find((n) => n.number === number);

test('PUT creates, the key replays, a known number is refused', async () => {
	const r = await put(invoice('1'), 'k');
	const [made] = r.body.Invoices;
	assert.deepEqual([r.status, made.Status, made.Total, made.TotalTax, made.HasErrors], [200, 'AUTHORISED', 119, 19, false]);
	assert.match(made.InvoiceID, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
	assert.deepEqual((await put(invoice('1'), 'k')).body, r.body);
	assert.equal((await put(invoice('2'), 'k')).status, 400);
	const again = await put(invoice('1'), 'other');
	assert.deepEqual([again.status, again.body.Type, again.body.Elements[0].ValidationErrors[0].Message],
		[400, 'ValidationException', 'Invoice # must be unique.']);
	assert.equal((await put(invoice('3'), 'x'.repeat(129))).status, 400);
	const { posted, voided, seller } = await row('1');
	assert.deepEqual([posted, voided, seller], [1, 0, 'tenant']);
	assert.equal((await s.audit()).ledger.EUR.net, '119.00');
});

test('POST with a known number overwrites: the trap', async () => {
	await send('POST', API, invoice('1'), 'a');
	const r = await send('POST', API, invoice('1', { LineItems: [{ Quantity: 1, UnitAmount: '7.5' }] }), 'b');
	assert.deepEqual([r.status, r.body.Invoices[0].Total], [200, 7.5]);
	const { posted, overwritten } = await row('1');
	assert.deepEqual([posted, overwritten], [1, 1]);
});

test('summarizeErrors=false: 200, and the element says it', async () => {
	const r = await put([invoice('1'), invoice('2', { Contact: undefined }), invoice('1')], 'k', '?summarizeErrors=false');
	assert.equal(r.status, 200);
	assert.deepEqual(r.body.Invoices.map((i) => i.HasErrors), [false, true, true]);
	assert.deepEqual((await s.audit()).numbers.map((n) => n.number), ['1']);
	const whole = await put([invoice('3'), invoice('4', { LineItems: [] })], 'l');
	assert.deepEqual([whole.status, whole.body.Elements.length], [400, 1]);
	assert.equal(await row('3'), undefined);
	const two = await put([invoice('5'), invoice('6')], 'm');
	assert.equal(new Set(two.body.Invoices.map((i) => i.InvoiceID)).size, 2);
});

test('look-up by number and status, void, void again', async () => {
	const [{ InvoiceID: id }] = (await put(invoice('1'), 'k')).body.Invoices;
	assert.equal((await send('GET', `${API}?InvoiceNumbers=1,2`)).body.Invoices[0].InvoiceID, id);
	assert.deepEqual((await send('GET', `${API}?InvoiceNumbers=2`)).body.Invoices, []);
	assert.equal((await send('GET', `${API}/${id}`)).body.Invoices[0].InvoiceNumber, '1');
	const v = await send('POST', `${API}/${id}`, { Status: 'VOIDED' }, 'v');
	assert.deepEqual([v.status, v.body.Invoices[0].Status], [200, 'VOIDED']);
	const again = await send('POST', `${API}/${id}`, { Status: 'VOIDED' }, 'w');
	assert.equal(again.status, 400);
	assert.ok(again.text.includes('VOIDED') && again.text.includes('not of valid status'));
	assert.equal((await send('GET', `${API}?InvoiceNumbers=1&Statuses=AUTHORISED`)).body.Invoices.length, 0);
	assert.equal((await send('GET', `${API}?InvoiceNumbers=1`)).body.Invoices.length, 1);
	const { posted, voided } = await row('1');
	assert.deepEqual([posted, voided], [1, 1]);
	assert.equal((await put(invoice('1'), 'z')).status, 200);
});

test('a draft is no booking, and amounts are as LineAmountTypes says', async () => {
	await put(invoice('1', { Status: undefined }), 'a');
	assert.deepEqual([(await row('1')).posted, (await row('1')).drafts], [0, 1]);
	const gross = await put(invoice('2', { LineAmountTypes: 'Inclusive', LineItems: [{ LineAmount: '119.00', TaxAmount: '19.00' }] }), 'b');
	assert.equal(gross.body.Invoices[0].Total, 119);
});

test('tenant, token and Accept', async () => {
	assert.equal((await send('PUT', API, invoice('1'), 'a', { 'xero-tenant-id': '' })).status, 403);
	assert.equal((await send('PUT', API, invoice('1'), 'a', { authorization: 'Bearer x' })).status, 401);
	assert.equal((await s.send('PUT', API, invoice('1'))).status, 401);
	const xml = await send('PUT', API, invoice('1'), 'a', { accept: '*/*' });
	assert.equal(xml.headers['content-type'], 'text/xml; charset=utf-8');
	assert.equal(xml.body, undefined);
	assert.equal((await s.form('/xero/connect/token', { grant_type: 'client_credentials', client_id: 'client', client_secret: 'secret' })).status, 401);
});

test('limits name the problem, and faults have the shape', async () => {
	await s.faults({ modes: { limits: { per_day: 2 } }, rules: [{ path: API, number: '^2$', action: '429', retry_after: 5 }] });
	const t = await put(invoice('2'), 'a');
	assert.deepEqual([t.status, t.headers['retry-after'], t.headers['x-rate-limit-problem']], [429, '5', 'minute']);
	await put(invoice('1'), 'b');
	const day = await put(invoice('3'), 'c');
	assert.deepEqual([day.status, day.headers['x-rate-limit-problem']], [429, 'day']);
	assert.ok(Number(day.headers['retry-after']) > 80000);
	await s.faults([{ path: API, action: '200_with_error' }, { action: 'status' }]);
	const hidden = await put(invoice('4'), 'd');
	assert.deepEqual([hidden.status, hidden.body.Invoices[0].HasErrors], [200, true]);
	assert.equal(await row('4'), undefined);
});

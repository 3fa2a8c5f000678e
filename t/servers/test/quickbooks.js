'use strict';
// The shape of QuickBooks Online.
const test = require('node:test');
const assert = require('node:assert/strict');
const { shared, basic, bearer } = require('./lib/client.js');

const s = shared(test);
const API = '/quickbooks/v3/company/4620/invoice';
let head;
let refresh;

const grant = () => s.form('/quickbooks/oauth2/v1/tokens/bearer', { grant_type: 'refresh_token', refresh_token: refresh }, basic('client:secret'));

test.beforeEach(async () => {
	refresh = (await s.post('/_consent', {})).body.refresh_token;
	const { body } = await grant();
	head = { ...bearer(body.access_token), accept: 'application/json' };
});

const invoice = (number, more = {}) => ({ DocNumber: number, CustomerRef: { value: '7' }, CurrencyRef: { value: 'EUR' },
	Line: [{ Amount: 100, DetailType: 'SalesItemLineDetail' }, { Amount: 100, DetailType: 'SubTotalLineDetail' }], TxnTaxDetail: { TotalTax: '19.00' }, ...more });
const post = (body, key, query = '') => s.send('POST', `${API}?requestid=${key}${query}`, body, head);
const query = (text) => s.send('GET', `/quickbooks/v3/company/4620/query?query=${encodeURIComponent(text)}`, undefined, head);
const row = async (number) => (await s.audit()).numbers.find((n) => n.number === number);

test('a requestid replays, whatever the body; a known number is a Fault', async () => {
	const r = await post(invoice('1'), 'k');
	assert.deepEqual([r.status, r.body.Invoice.TotalAmt, r.body.Invoice.SyncToken], [200, 119, '0']);
	assert.deepEqual((await post(invoice('2'), 'k')).body, r.body);
	const again = await post(invoice('1'), 'other');
	assert.deepEqual([again.status, again.body.Fault.Error[0].code], [400, '6140']);
	assert.ok(again.body.Fault.Error[0].Detail.includes(`TxnId=${r.body.Invoice.Id}`));
	assert.equal((await post(invoice('1'), 'third', '&include=allowduplicatedocnum')).status, 200);
	assert.equal((await post(invoice('3'), 'x'.repeat(51))).status, 400);
	assert.deepEqual([(await row('1')).posted, (await row('1')).seller, await row('2')], [2, '4620', undefined]);
});

test('what is missing or wrong is a Fault', async () => {
	assert.equal((await post(invoice('1', { CustomerRef: undefined }), 'a')).body.Fault.Error[0].code, '2020');
	assert.equal((await post(invoice('1', { Line: [] }), 'b')).body.Fault.Error[0].code, '2020');
	assert.equal((await post(invoice('1', { Line: [{ Amount: 'x' }] }), 'c')).body.Fault.Error[0].code, '2040');
});

test('the query finds by number, and nothing is an empty answer', async () => {
	const { body: { Invoice: { Id } } } = await post(invoice("R'1"), 'k');
	const r = await query("select * from Invoice where DocNumber = 'R\\'1'");
	assert.deepEqual(r.body.QueryResponse.Invoice.map((i) => i.Id), [Id]);
	assert.equal(r.body.QueryResponse.maxResults, 1);
	assert.deepEqual((await query("select * from Invoice where DocNumber = 'none'")).body.QueryResponse, {});
	assert.equal((await query("select Id from Invoice where DocNumber in ('a', 'R\\'1') and TotalAmt > '100'")).body.QueryResponse.Invoice.length, 1);
	assert.equal((await query('delete everything')).body.Fault.Error[0].code, '4000');
	assert.equal((await query("select * from Invoice where Nothing = '1'")).body.Fault.Error[0].code, '4001');
	assert.equal((await s.audit()).requests.filter((x) => x.number === "R'1").length, 2);
});

test('void with the SyncToken; a stale one is refused; the number stays with 0', async () => {
	const { body: { Invoice: { Id } } } = await post(invoice('1'), 'k');
	const gone = (token, key) => post({ Id, SyncToken: token }, key, '&operation=void');
	const v = await gone('0', 'v');
	assert.deepEqual([v.status, v.body.Invoice.TotalAmt, v.body.Invoice.PrivateNote, v.body.Invoice.SyncToken], [200, 0, 'Voided', '1']);
	assert.deepEqual((await gone('0', 'v')).body, v.body);
	assert.equal((await gone('0', 'w')).body.Fault.Error[0].code, '5010');
	assert.equal((await gone('1', 'x')).status, 200);
	assert.equal((await query("select * from Invoice where DocNumber = '1'")).body.QueryResponse.Invoice[0].TotalAmt, 0);
	assert.deepEqual([(await row('1')).posted, (await row('1')).voided], [1, 1]);
	assert.ok((await s.audit()).requests.some((r) => r.what === `${API}?operation=void` && r.number === '1'));
});

test('tokens rotate; client credentials are no grant here', async () => {
	assert.equal((await grant()).status, 400);
	assert.equal((await s.form('/quickbooks/oauth2/v1/tokens/bearer', { grant_type: 'client_credentials' }, basic('client:secret'))).status, 400);
	assert.equal((await s.send('POST', API, invoice('1'), { accept: 'application/json' })).body.fault.error[0].code, '3200');
});

test('too many: 429 without a header; a fault after the effect; rules by operation', async () => {
	await s.faults({ modes: { limits: { per_minute: 1 } } });
	await post(invoice('1'), 'a');
	const r = await post(invoice('2'), 'b');
	assert.deepEqual([r.status, r.headers['retry-after'], r.body.fault.error[0].code], [429, undefined, '3001']);
	await s.faults([{ path: '/operation=void/', action: 'status', status: 503 }, { number: '^3$', attempt: 1, action: 'drop_after' }]);
	assert.equal((await post(invoice('3'), 'c')).error, 'ECONNRESET');
	const made = await post(invoice('3'), 'c');
	assert.equal(made.status, 200);
	assert.equal((await row('3')).posted, 1);
	const v = await post({ Id: made.body.Invoice.Id, SyncToken: '0' }, 'v', '&operation=void');
	assert.deepEqual([v.status, v.body.Fault.type], [503, 'SystemFault']);
});

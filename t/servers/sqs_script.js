'use strict';
// A server of SQS that does with each queue what the test says. It checks no signature.
//
//   sqs_script.js --port N
//
//   POST /_queues {NAME: {...}}   what is said replaces what was said before:
//     messages   so many in each answer to ReceiveMessage (0: an empty one, at once)
//     bytes      of each body, a JSON string (10)
//     fresh      other messages each time; else the same ones
//     answers    so many answers have messages, the others are empty (all)
//     md5        'wrong': not from the first answer on, but in all behind it
//     sent       SentTimestamp of each
//     receipt    bytes of each ReceiptHandle
//     attributes so many of each
//     receive, delete, extend   'hang': no answer; 'fail': status 500 with the code "Trouble"; else a good one
//   GET /_queues   {NAME: {receive, delete, extend: {requests, open, most}}}: how many there were, how many hang now,
//                  how many did at once

const crypto = require('node:crypto');
const http = require('node:http');
const { parseArgs } = require('node:util');

const { values: opt } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const kinds = { ReceiveMessage: 'receive', DeleteMessageBatch: 'delete', ChangeMessageVisibilityBatch: 'extend' };
const queues = new Map();

function queue(name) {
	if (!queues.has(name)) {
		const counts = Object.fromEntries(Object.values(kinds).map((k) => [k, { requests: 0, open: 0, most: 0 }]));
		queues.set(name, { script: {}, counts, said: 0, next: 0 });
	}
	return queues.get(name);
}

const md5 = (text) => crypto.createHash('md5').update(text).digest('hex');

function message(name, q, n) {
	const { bytes = 10, sent = Date.now(), receipt = 0, attributes = 0 } = q.script;
	const id = `${name}-${n}`;
	const body = JSON.stringify('x'.repeat(Math.max(bytes - 2, 0)));
	return { MessageId: id, ReceiptHandle: `receipt ${id}`.padEnd(receipt, 'r'), Body: body,
		MD5OfBody: q.script.md5 === 'wrong' && q.said > 1 ? md5('') : md5(body),
		MessageAttributes: Object.fromEntries(Array.from({ length: attributes }, (_, i) => [`a${i}`, { DataType: 'String', StringValue: 'v' }])),
		Attributes: { SentTimestamp: String(sent), ApproximateReceiveCount: '1',
			...(name.endsWith('.fifo') && { MessageGroupId: 'g', MessageDeduplicationId: id }) } };
}

// The same answer is made once: it may be large.
function receive(name, q) {
	const { messages = 0, answers = Infinity, fresh = false } = q.script;
	if (messages === 0 || ++q.said > answers) return '{}';
	if (!fresh && q.cached !== undefined && q.said > 2) return q.cached;
	const first = q.next;
	if (fresh) q.next += messages;
	q.cached = JSON.stringify({ Messages: Array.from({ length: messages }, (_, i) => message(name, q, first + i)) });
	return q.cached;
}

function answer(kind, name, q, body) {
	if (kind === 'receive') return receive(name, q);
	return JSON.stringify({ Successful: body.Entries.map((e) => ({ Id: e.Id })), Failed: [] });
}

function serve(req, res, text) {
	if (req.url === '/_queues') {
		if (req.method === 'POST') {
			for (const [name, script] of Object.entries(JSON.parse(text))) Object.assign(queue(name), { script, said: 0, cached: undefined });
		}
		res.end(JSON.stringify(Object.fromEntries([...queues].map(([name, q]) => [name, q.counts]))));
		return;
	}
	const body = JSON.parse(text);
	const name = body.QueueUrl.split('/').pop();
	const q = queue(name);
	const kind = kinds[req.headers['x-amz-target'].split('.')[1]];
	const count = q.counts[kind];
	count.requests++;
	count.open++;
	count.most = Math.max(count.most, count.open);
	res.on('close', () => count.open--);
	if (q.script[kind] === 'hang') return;
	const fails = q.script[kind] === 'fail';
	res.writeHead(fails ? 500 : 200, { 'content-type': 'application/x-amz-json-1.0' });
	res.end(fails ? JSON.stringify({ __type: 'com.amazonaws.sqs#Trouble', message: 'trouble' }) : answer(kind, name, q, body));
}

const server = http.createServer((req, res) => {
	const chunks = [];
	req.on('data', (c) => chunks.push(c));
	req.on('error', () => {});
	req.on('end', () => serve(req, res, Buffer.concat(chunks).toString('utf8')));
});
server.requestTimeout = 0;
server.listen(Number(opt.port), '127.0.0.1', () => console.log(server.address().port));

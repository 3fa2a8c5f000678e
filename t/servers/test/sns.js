'use strict';
// fauxqs and the independent subscriber: what is published arrives once.
const test = require('node:test');
const assert = require('node:assert/strict');
const path = require('node:path');
const { spawn, execFileSync } = require('node:child_process');
const { once } = require('node:events');

const file = (name) => path.join(__dirname, '..', name);

test('a topic, its queue, and the message in it', async (t) => {
	const child = spawn(process.execPath, [file('fauxqs.js')], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.after(() => child.kill());
	const [line] = await once(child.stdout, 'data');
	const endpoint = `http://127.0.0.1:${Number(String(line))}`;
	const aws = (...args) => execFileSync(process.execPath, [file('aws.js'), '--endpoint', endpoint, ...args], { encoding: 'utf8' });
	const { topic_arn, queue_url } = JSON.parse(aws('setup', 'invoices', 'accounting'));
	const res = await fetch(endpoint, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' },
		body: new URLSearchParams({ Action: 'Publish', Version: '2010-03-31', TopicArn: topic_arn, Message: '{"a":"ü"}',
			'MessageAttributes.entry.1.Name': 'saga-message-id', 'MessageAttributes.entry.1.Value.DataType': 'String',
			'MessageAttributes.entry.1.Value.StringValue': '42' }) });
	assert.equal(res.status, 200);
	const [message, ...none] = aws('receive', queue_url, '--wait', '1').trim().split('\n').map((l) => JSON.parse(l));
	assert.deepEqual([message.body, message.attributes, message.received, none.length], ['{"a":"ü"}', { 'saga-message-id': '42' }, 1, 0]);
	assert.equal(aws('receive', queue_url, '--wait', '0'), '');
});

#!/usr/bin/env node
'use strict';
// SNS and SQS through the AWS SDK: a subscriber that shares nothing with the publisher.
//
//   aws.js --endpoint URL [--region NAME] setup TOPIC QUEUE     topic, queue, raw subscription;
//                                          prints {"topic_arn", "queue_url"}; *.fifo makes FIFO ones
//   aws.js --endpoint URL receive QUEUE_URL [--wait SECONDS] [--keep]
//                                          every message as one line of JSON, until none comes for
//                                          SECONDS (default 1); received ones are deleted
//   aws.js --endpoint URL queue NAME       a queue with a dead-letter queue NAME-dead behind it after
//                                          5 receives; prints {"queue_url", "dead_letter_url"}
//   aws.js --endpoint URL send QUEUE_URL FILE...
//                                          each file is a message; prints how many were taken
//   aws.js --endpoint URL depth QUEUE_URL  how many messages wait or are with a receiver
//
// Credentials come from the environment; without any, "test" is used, which fauxqs accepts.

const fs = require('node:fs');
const { parseArgs } = require('node:util');
// The SDK announces which releases of Node it will drop one day; that is no news for a reader.
process.removeAllListeners('warning');
const { SNSClient, CreateTopicCommand, SubscribeCommand } = require('@aws-sdk/client-sns');
const { SQSClient, CreateQueueCommand, GetQueueAttributesCommand, ReceiveMessageCommand,
	DeleteMessageBatchCommand, SendMessageBatchCommand } = require('@aws-sdk/client-sqs');

function clients({ endpoint, region }) {
	const config = { endpoint, region, useQueueUrlAsEndpoint: false };
	if (process.env.AWS_ACCESS_KEY_ID === undefined) {
		config.credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
	}
	return { sns: new SNSClient(config), sqs: new SQSClient(config) };
}

async function setup({ sns, sqs }, topic, queue) {
	const fifo = (name) => name.endsWith('.fifo');
	const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: topic,
		Attributes: fifo(topic) ? { FifoTopic: 'true' } : undefined }));
	const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: queue,
		Attributes: { VisibilityTimeout: '300', ...(fifo(queue) ? { FifoQueue: 'true' } : {}) } }));
	const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
	await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: Attributes.QueueArn,
		Attributes: { RawMessageDelivery: 'true' } }));
	console.log(JSON.stringify({ topic_arn: TopicArn, queue_url: QueueUrl }));
}

async function queue({ sqs }, name) {
	const dead = await sqs.send(new CreateQueueCommand({ QueueName: `${name}-dead` }));
	const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: dead.QueueUrl, AttributeNames: ['QueueArn'] }));
	const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: { VisibilityTimeout: '30',
		RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes.QueueArn, maxReceiveCount: 5 }) } }));
	console.log(JSON.stringify({ queue_url: QueueUrl, dead_letter_url: dead.QueueUrl }));
}

// Ten a request at most, and no more bytes than a request may have.
async function send({ sqs }, QueueUrl, files) {
	let taken = 0;
	let batch = [];
	let bytes = 0;
	const flush = async () => {
		if (batch.length === 0) return;
		const { Successful = [], Failed = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries: batch }));
		for (const f of Failed) console.error(`${files[Number(f.Id)]}: ${f.Code} ${f.Message ?? ''}`);
		taken += Successful.length;
		batch = [];
		bytes = 0;
	};
	for (const [i, name] of files.entries()) {
		const MessageBody = fs.readFileSync(name, 'utf8');
		const size = Buffer.byteLength(MessageBody);
		if (batch.length === 10 || bytes + size > 256 * 1024) await flush();
		batch.push({ Id: String(i), MessageBody });
		bytes += size;
	}
	await flush();
	console.log(taken);
}

async function depth({ sqs }, QueueUrl) {
	const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl,
		AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] }));
	console.log(Object.values(Attributes).reduce((n, v) => n + Number(v), 0));
}

async function receive({ sqs }, QueueUrl, wait, keep) {
	for (;;) {
		const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10,
			WaitTimeSeconds: wait, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'] }));
		if (Messages.length === 0) return;
		for (const m of Messages) {
			console.log(JSON.stringify({ id: m.MessageId, body: m.Body,
				attributes: Object.fromEntries(Object.entries(m.MessageAttributes ?? {}).map(([k, v]) => [k, v.StringValue])),
				group: m.Attributes?.MessageGroupId, received: Number(m.Attributes?.ApproximateReceiveCount) }));
		}
		if (!keep) {
			await sqs.send(new DeleteMessageBatchCommand({ QueueUrl,
				Entries: Messages.map((m, i) => ({ Id: String(i), ReceiptHandle: m.ReceiptHandle })) }));
		}
	}
}

async function main() {
	const { values, positionals: [command, ...args] } = parseArgs({ allowPositionals: true, options: {
		endpoint: { type: 'string' },
		region: { type: 'string', default: 'us-east-1' },
		wait: { type: 'string', default: '1' },
		keep: { type: 'boolean', default: false },
	} });
	if (values.endpoint === undefined) throw new Error('--endpoint is required');
	if (command === 'setup' && args.length === 2) await setup(clients(values), ...args);
	else if (command === 'receive' && args.length === 1) await receive(clients(values), args[0], Number(values.wait), values.keep);
	else if (command === 'queue' && args.length === 1) await queue(clients(values), args[0]);
	else if (command === 'depth' && args.length === 1) await depth(clients(values), args[0]);
	else if (command === 'send' && args.length > 1) await send(clients(values), args[0], args.slice(1));
	else throw new Error('usage: aws.js --endpoint URL setup TOPIC QUEUE | receive QUEUE_URL | queue NAME | send QUEUE_URL FILE... | depth QUEUE_URL');
}

main().catch((e) => {
	console.error(e.message);
	process.exit(1);
});

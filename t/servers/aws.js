#!/usr/bin/env node
'use strict';
// SNS and SQS through the AWS SDK: a subscriber that shares nothing with the publisher.
//
//   aws.js --endpoint URL [--region NAME] setup TOPIC QUEUE     topic, queue, raw subscription;
//                                          prints {"topic_arn", "queue_url"}; *.fifo makes FIFO ones;
//                                          --envelope: not raw
//   aws.js --endpoint URL receive QUEUE_URL [--wait SECONDS] [--keep]
//                                          every message as one line of JSON, until none comes for
//                                          SECONDS (default 1); received ones are deleted
//   aws.js --endpoint URL queue QUEUE [--visibility SECONDS]     a queue; prints its URL
//   aws.js --endpoint URL send QUEUE_URL   each line of standard input is a message; prints their ids
//
// Credentials come from the environment; without any, "test" is used, which fauxqs accepts.

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

async function setup({ sns, sqs }, topic, queue, raw) {
	const fifo = (name) => name.endsWith('.fifo');
	const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: topic,
		Attributes: fifo(topic) ? { FifoTopic: 'true' } : undefined }));
	const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: queue,
		Attributes: { VisibilityTimeout: '300', ...(fifo(queue) ? { FifoQueue: 'true' } : {}) } }));
	const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
	await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: Attributes.QueueArn,
		Attributes: { RawMessageDelivery: String(raw) } }));
	console.log(JSON.stringify({ topic_arn: TopicArn, queue_url: QueueUrl }));
}

async function queue({ sqs }, QueueName, visibility) {
	const Attributes = { VisibilityTimeout: visibility };
	if (QueueName.endsWith('.fifo')) Attributes.FifoQueue = 'true';
	console.log((await sqs.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl);
}

// A line is the body, or an entry of SendMessageBatch as JSON when it begins with {"MessageBody".
async function send({ sqs }, QueueUrl) {
	const lines = require('node:fs').readFileSync(0, 'utf8').split('\n').filter((l) => l !== '');
	for (let at = 0; at < lines.length; at += 10) {
		const { Successful = [], Failed = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl,
			Entries: lines.slice(at, at + 10).map((line, i) => ({ Id: String(i),
				...(line.startsWith('{"MessageBody"') ? JSON.parse(line) : { MessageBody: line }) })) }));
		if (Failed.length > 0) throw new Error(JSON.stringify(Failed));
		Successful.sort((a, b) => Number(a.Id) - Number(b.Id)).forEach((e) => console.log(e.MessageId));
	}
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
		envelope: { type: 'boolean', default: false },
		visibility: { type: 'string', default: '30' },
	} });
	if (values.endpoint === undefined) throw new Error('--endpoint is required');
	if (command === 'setup' && args.length === 2) await setup(clients(values), ...args, !values.envelope);
	else if (command === 'receive' && args.length === 1) await receive(clients(values), args[0], Number(values.wait), values.keep);
	else if (command === 'queue' && args.length === 1) await queue(clients(values), args[0], values.visibility);
	else if (command === 'send' && args.length === 1) await send(clients(values), args[0]);
	else throw new Error('usage: aws.js --endpoint URL setup TOPIC QUEUE | queue QUEUE | send, receive QUEUE_URL');
}

main().catch((e) => {
	console.error(e.message);
	process.exit(1);
});

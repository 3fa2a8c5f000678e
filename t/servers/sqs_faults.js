'use strict';
// What sns_proxy.js does with requests of SQS (JSON 1.0). A fault may name a "target", the action
// that it is for. Beyond those of SNS:
//   hold        neither forwarded nor answered
//   bad_md5     ReceiveMessage: {body}: bodies with this in them are not those of their checksums
//   twice       ReceiveMessage: every message is in the answer twice

const PREFIX = 'AmazonSQS.';

const isSqs = (req) => (req.headers['x-amz-target'] ?? '').startsWith(PREFIX);

// The action, the whole request, and what the entries of a batch (or the one message) say.
function read(req, text) {
	const body = JSON.parse(text);
	const list = body.Entries ?? (body.MessageBody === undefined ? [] : [body]);
	return {
		action: req.headers['x-amz-target'].slice(PREFIX.length), text, body, isBatch: body.Entries !== undefined,
		entries: list.map((e) => ({ id: e.Id ?? null, message: e.MessageBody ?? e.ReceiptHandle ?? '' })),
	};
}

const error = (code, message) => JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message });

function spoilMessages(fault, answer) {
	const json = JSON.parse(answer.text);
	const messages = json.Messages ?? [];
	if (fault.action === 'twice') json.Messages = messages.concat(messages);
	if (fault.action === 'bad_md5') {
		for (const m of messages) if (fault.body === undefined || m.Body.includes(fault.body)) m.Body += ' ';
	}
	return JSON.stringify(json);
}

// Entries that match fail here and are not forwarded.
async function failEntries(request, fault, forward) {
	const fails = (e) => request.entries.find((x) => x.id === e.Id).message.includes(fault.match ?? '');
	const rest = request.body.Entries.filter((e) => !fails(e));
	const answer = rest.length > 0 ? JSON.parse((await forward(JSON.stringify({ ...request.body, Entries: rest }))).text) : {};
	answer.Failed = request.body.Entries.filter(fails)
		.map((e) => ({ Id: e.Id, Code: fault.code, Message: 'failed here', SenderFault: fault.sender_fault }));
	return JSON.stringify(answer);
}

function omitEntries(request, fault, answer) {
	const json = JSON.parse(answer.text);
	const gone = new Set(request.entries.filter((e) => e.message.includes(fault.match)).map((e) => e.id));
	json.Successful = (json.Successful ?? []).filter((e) => !gone.has(e.Id));
	return JSON.stringify(json);
}

async function answer(request, code, fault, req, res, forward) {
	const send = (status, text, type = 'application/x-amz-json-1.0') => {
		res.writeHead(status, { 'content-type': type });
		res.end(text);
	};
	if (code !== null) return send(403, error(code, code === 'SignatureDoesNotMatch' ? 'wrong signature' : `refused: ${code}`));
	if (fault.action === 'hold') return undefined;
	if (fault.action === 'refuse') return send(fault.status, error(fault.code, `refused: ${fault.code}`));
	if (fault.action === 'fail_entry') {
		return request.isBatch ? send(200, await failEntries(request, fault, forward)) : send(400, error(fault.code, 'failed here'));
	}
	const got = await forward(request.text);
	if (fault.action === 'html') return send(200, '<!DOCTYPE html><html><body>Gateway</body></html>', 'text/html');
	if (fault.action === 'drop_after') return req.socket.destroy();
	if (fault.action === 'truncate') return send(200, got.text.slice(0, got.text.length / 2));
	if (fault.action === 'omit_entry' && request.isBatch) return send(200, omitEntries(request, fault, got));
	if (fault.action === 'omit_entry') return send(200, '{}');
	if (request.action === 'ReceiveMessage' && got.status === 200) return send(200, spoilMessages(fault, got));
	return send(got.status, got.text);
}

module.exports = { isSqs, read, answer };

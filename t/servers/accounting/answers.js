'use strict';
// Sending an answer, whole or spoilt by a rule of the fault plan. Each resolves when the response
// or its connection is over.

function ended(res) {
	return new Promise((resolve) => {
		res.once('close', resolve);
		if (res.destroyed || res.closed) resolve();
	});
}

// A body that is a text already, or none, is left alone.
function textOf(body) {
	return body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
}

function send(res, status, body, headers) {
	const text = textOf(body);
	res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers });
	res.end(text);
	return ended(res);
}

function drop(res, reset) {
	const socket = res.socket;
	if (socket !== null) {
		if (reset) socket.resetAndDestroy();
		else socket.destroy();
	}
	return Promise.resolve();
}

function retryAfter(rule) {
	const s = rule.retry_after;
	if (s === undefined) return {};
	return { 'retry-after': rule.date ? new Date(Date.now() + s * 1000).toUTCString() : String(s) };
}

// The head promises all of it, the connection ends in the middle.
async function half(res, status, body, headers) {
	const text = Buffer.from(textOf(body));
	res.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length, ...headers });
	await new Promise((resolve) => res.write(text.subarray(0, text.length >> 1), resolve));
	return drop(res);
}

function drained(res) {
	return new Promise((resolve) => {
		const go = () => {
			res.off('drain', go);
			res.off('close', go);
			resolve();
		};
		res.on('drain', go);
		res.on('close', go);
	});
}

async function huge(res, status, body, headers, bytes) {
	// white space after the document is a part of it
	const text = textOf(body);
	const chunk = Buffer.alloc(65536, ' ');
	res.writeHead(status, { 'content-type': 'application/json', ...headers });
	res.write(text);
	for (let left = bytes; left > 0 && !res.destroyed; left -= chunk.length) {
		if (!res.write(chunk.subarray(0, Math.min(left, chunk.length)))) {
			await drained(res);
		}
	}
	res.end();
	return ended(res);
}

async function drip(res, status, body, headers, ms, bytes) {
	const text = Buffer.from(textOf(body));
	res.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length, ...headers });
	for (let i = 0; i < text.length && !res.destroyed; i += bytes) {
		res.write(text.subarray(i, i + bytes));
		await new Promise((resolve) => setTimeout(resolve, ms));
	}
	res.end();
	return ended(res);
}

// The answer to a request that a rule ends; answer is what the server would have said. Returns the
// status that went out, null for none.
async function spoil(rule, res, answer, shape) {
	const { status, body, headers } = answer;
	switch (rule.action) {
		case 'status':
		case '429': {
			const s = rule.action === '429' ? 429 : rule.status ?? 500;
			const fault = shape.fault(s);
			await send(res, s, rule.body ?? fault.body, { ...fault.headers, ...retryAfter(rule), ...rule.headers });
			return s;
		}
		case '200_with_error': {
			const s = rule.status ?? 200;
			await send(res, s, rule.body ?? shape.hiddenError(), rule.headers);
			return s;
		}
		case 'redirect': {
			const s = rule.status ?? 307;
			await send(res, s, { error: 'moved' }, { location: rule.location ?? '/elsewhere', ...rule.headers });
			return s;
		}
		case 'drop_before':
		case 'drop_after':
		case 'down_until':
			await drop(res, rule.reset);
			return null;
		case 'half_response':
			await half(res, status, body, headers);
			return status;
		case 'garbage_json':
			await send(res, status, rule.body ?? textOf(body).slice(0, -1) + ',,', headers);
			return status;
		case 'huge_body':
			await huge(res, status, body, headers, rule.bytes ?? 10 * 1024 * 1024);
			return status;
		case 'slow_drip':
			await drip(res, status, body, headers, rule.ms ?? 100, rule.bytes ?? 1);
			return status;
		default:
			throw new Error(`no answer for action "${rule.action}"`);
	}
}

module.exports = { send, spoil };

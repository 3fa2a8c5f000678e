'use strict';
// Answers below HTTP: large ones, late ones, none.
const test = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

test('large, late and no answers', async (t) => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'raw-'));
	const child = spawn(process.execPath, [path.join(__dirname, '..', 'raw.js'), '--log', path.join(dir, 'log')]);
	t.after(() => { child.kill(); fs.rmSync(dir, { recursive: true }); });
	const port = Number(await new Promise((resolve) => { child.stdout.once('data', resolve); }));
	const get = (target, options) => fetch(`http://127.0.0.1:${port}${target}`, options);

	for (const n of [5, 1000, 1001]) {
		const text = await (await get(`/ones/${n}`)).text();
		assert.equal(text.length, n);
		assert.ok(JSON.parse(text).every((x) => x === 1));
	}
	assert.equal(await (await get('/letters/7')).text(), 'aaaaaaa');
	assert.equal((await get('/after/20/status/418')).status, 418);
	await assert.rejects(get('/hang/on', { signal: AbortSignal.timeout(100) }));
	const seen = fs.readFileSync(path.join(dir, 'log'), 'utf8').trim().split('\n').map((l) => JSON.parse(l).target);
	assert.deepEqual(seen, ['/ones/5', '/ones/1000', '/ones/1001', '/letters/7', '/after/20/status/418', '/hang/on']);
});

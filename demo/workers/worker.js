#!/usr/bin/env node
// worker.js ACTIVITY: takes tasks over SQL, does them side by side, says that it is alive; ends by SIGTERM. The server is
// that of PGHOST, PGDATABASE, PGUSER; WORKER_NAME, WORKER_TASKS (at once: 4), WORKER_HEARTBEAT (seconds: 5).
'use strict';
const { Client } = require('pg');
const { setTimeout: sleep } = require('node:timers/promises');
const name = process.env.WORKER_NAME || `${require('node:os').hostname()}-${process.pid}`;
const places = Number(process.env.WORKER_TASKS || 4);
const running = new Map(); // token -> what is being done
let stopping = false;

// Put your own work here. What it returns is the output of the state; what it throws is its error.
async function work(task) {
  await sleep((task.seconds || 0) * 1000);
  if ('fail' in task) throw new RangeError(task.fail);
  return { worker: name, result: (task.number || 0) * 2 };
}

// One connection, made again whenever it is lost. Each statement is a transaction of its own.
class Server {
  async call(of, ...values) {
    for (let wait = 100; this === answering || !stopping; wait = Math.min(2 * wait, 10000)) {
      try {
        const client = await this.connection();
        return (await client.query(`SELECT * FROM ${of}(${values.map((_, i) => `$${i + 1}`)})`, values)).rows[0];
      } catch (error) {
        if (error.code === '57014' && this === taking) return null; // the wait was cancelled
        if (/^(?!08|53|57P|EPIPE)[0-9A-Z]{5}$/.test(error.code)) throw error; // but for a server that goes
        console.error(`${name}: connecting again: ${error.message || error.code}`);
        this.client = null;
        await sleep(wait);
      }
    }
  }

  connection() { // a promise, so that two calls do not connect twice
    if (!this.client) {
      const client = new Client({ application_name: name }).on('error', () => { this.client = null; });
      this.client = client.connect().then(() => { this.pid = client.processID; return client; });
    }
    return this.client;
  }
}
const [taking, answering] = [new Server(), new Server()];

// An answer or a heartbeat. One that comes too late is refused: somebody else has the task, or nobody wants it.
const say = (what, ...values) => answering.call(`saga.send_task_${what}`, ...values)
  .catch((error) => console.error(`${name}: ${what}: ${error.message}`));

async function run(token, task) {
  const beats = setInterval(() => say('heartbeat', token), Number(process.env.WORKER_HEARTBEAT || 5) * 1000);
  const answer = await work(task).then((output) => ['success', token, JSON.stringify(output)],
    (error) => ['failure', token, error.name, error.message]);
  clearInterval(beats);
  await say(...answer);
  running.delete(token);
}

process.on('SIGTERM', () => {
  stopping = true;
  // ends the wait: a task that was not handed out yet stays where it is; again, as it may be just about to begin
  setInterval(() => answering.call('pg_cancel_backend', taking.pid || 0).catch(() => {}), 100);
});

(async () => {
  while (!stopping) {
    const row = running.size < places ? await taking.call('saga.get_activity_task', process.argv[2], name) : await Promise.race(running.values());
    if (row) running.set(row.task_token, run(row.task_token, row.input));
  }
  await Promise.all(running.values());
  process.exit(0);
})().catch((error) => { console.error(`${name}: ${error.message}`); process.exit(1); });

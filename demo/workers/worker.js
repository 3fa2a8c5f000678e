#!/usr/bin/env node
// A worker of an activity: takes tasks over SQL, does them side by side, says that it is alive.
//
//   worker.js ACTIVITY        the server is that of libpq's variables (PGHOST, PGDATABASE, PGUSER ...)
//   WORKER_NAME, WORKER_TASKS (at once: 4), WORKER_HEARTBEAT (seconds: 5)
//
// SIGTERM: takes no more, finishes what it has, and ends. Needs the npm package pg alone.
'use strict';
const { Client } = require('pg');
const os = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');

const activity = process.argv[2];
const name = process.env.WORKER_NAME || `${os.hostname()}-${process.pid}`;
const places = Number(process.env.WORKER_TASKS || 4);
const heartbeat = Number(process.env.WORKER_HEARTBEAT || 5) * 1000;
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
  async call(statement, values) {
    for (let attempt = 0; !(this === taking && stopping); attempt++) {
      try {
        return (await (await this.connection()).query(statement, values)).rows[0];
      } catch (error) {
        // class 57 is a server that goes, but 57014 is a statement that was cancelled
        const lost = !error.code || !/^[0-9A-Z]{5}$/.test(error.code) || /^(08|57P|53)/.test(error.code);
        if (!lost) throw error;
        console.error(`${name}: connecting again: ${error.message || error.code}`);
        this.client = null;
        await sleep(Math.min(100 * 2 ** attempt, 10000));
      }
    }
  }

  // a promise, so that two calls do not connect twice
  connection() {
    if (!this.client) {
      const client = new Client({ application_name: name });
      client.on('error', () => { this.client = null; });
      this.client = client.connect().then(() => { this.pid = client.processID; return client; });
    }
    return this.client;
  }
}
const taking = new Server();
const answering = new Server();

// An answer or a heartbeat. One that comes too late is refused: somebody else has the task, or nobody wants it.
async function say(name_of, ...values) {
  const places_of = values.map((_, i) => `$${i + 1}`).join(', ');
  await answering.call(`SELECT saga.send_task_${name_of}(${places_of})`, values)
    .catch((error) => console.error(`${name}: ${name_of}: ${error.message}`));
}

async function doTask(token, task) {
  const beats = setInterval(() => say('heartbeat', token), heartbeat);
  const answer = await work(task).then((output) => ['success', token, JSON.stringify(output)],
    (error) => ['failure', token, error.name, error.message]);
  clearInterval(beats);
  await say(...answer);
  running.delete(token);
}

process.on('SIGTERM', () => {
  stopping = true;
  // ends the wait: a task that was not handed out yet stays where it is; again, as it may be just about to begin
  setInterval(() => answering.call('SELECT pg_cancel_backend($1)', [taking.pid || 0]).catch(() => {}), 100);
});

(async () => {
  while (!stopping) {
    if (running.size >= places) {
      await Promise.race(running.values());
      continue;
    }
    const row = await taking.call('SELECT task_token, input FROM saga.get_activity_task($1, $2)', [activity, name])
      .catch((error) => { if (error.code !== '57014') throw error; });
    if (row) running.set(row.task_token, doTask(row.task_token, row.input));
  }
  await Promise.all(running.values());
  process.exit(0);
})().catch((error) => { console.error(`${name}: ${error.message}`); process.exit(1); });

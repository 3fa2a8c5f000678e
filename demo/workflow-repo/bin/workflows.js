#!/usr/bin/env node
// Workflows in files: lint, test, plan, apply, rollback. See the Makefile.
//
// A file workflows/NAME.asl.yaml or NAME.asl.json is the workflow NAME. JSON is read by the reader of YAML, which knows
// the line of each part of it. All the rest is asked of the server, by psql and the variables that it knows (PGHOST ...).
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const YAML = require('yaml');

const psql = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=default', '-v', 'SHOW_CONTEXT=never'];
const say = (...words) => console.log(...words);
const quote = (text) => `'${text.replace(/'/g, "''")}'`;

class Stop extends Error {}

// What a person does about it is in psql's own words.
function run(args, input) {
	const done = spawnSync(process.env.PSQL || 'psql', [...psql, ...args], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
	if (done.error)
		throw new Stop(`psql: ${done.error.message}`);
	return done;
}

// The rows of a query.
function rows(query) {
	const done = run(['-A', '-t'], `SET standard_conforming_strings = on; SELECT coalesce(json_agg(r), '[]') FROM (${query}) r;`);
	if (done.status !== 0)
		throw new Stop(done.stderr.trim());
	return JSON.parse(done.stdout);
}

// ---------- files ----------

// "/States/A~1B/Next" as names.
const names = (pointer) => pointer.split('/').slice(1).map((name) => name.replace(/~1/g, '/').replace(/~0/g, '~'));

// The line and column where a part of the file begins: its key, or as near to it as there is something.
function position(file, pointer) {
	let node = file.document.contents;
	let at = node && node.range ? node.range[0] : 0;
	for (const name of names(pointer)) {
		let next;
		if (YAML.isAlias(node))
			node = node.resolve(file.document);
		if (YAML.isMap(node)) {
			const pair = node.items.find((item) => String(YAML.isScalar(item.key) ? item.key.value : item.key) === name);
			if (pair) {
				at = pair.key.range[0];
				next = pair.value;
			}
		} else if (YAML.isSeq(node)) {
			next = node.items[Number(name)];
			if (next && next.range)
				at = next.range[0];
		}
		if (!next)
			break;
		node = next;
	}
	const { line, col } = file.lines.linePos(at);
	return `${file.name}:${line}:${col}`;
}

function read(name) {
	const lines = new YAML.LineCounter();
	const document = YAML.parseDocument(fs.readFileSync(name, 'utf8'), { lineCounter: lines, prettyErrors: false });
	const file = { name, workflow: path.basename(name).replace(/\.asl\.(ya?ml|json)$/, ''), document, lines, faults: [] };
	for (const fault of document.errors) {
		const { line, col } = lines.linePos(fault.pos[0]);
		file.faults.push(`${name}:${line}:${col}: error ${fault.code}: ${fault.message}`);
	}
	if (file.faults.length === 0)
		file.definition = JSON.stringify(document.toJS());
	return file;
}

function files() {
	const found = fs.readdirSync('workflows').filter((name) => /\.asl\.(ya?ml|json)$/.test(name)).sort().map((name) => read(`workflows/${name}`));
	found.forEach((file, i) => {
		const twin = found.slice(0, i).find((other) => other.workflow === file.workflow);
		if (twin)
			file.faults.push(`${file.name}:1:1: error: ${twin.name} is the workflow "${file.workflow}", too`);
	});
	return found;
}

// Those that can be handed to the server.
function readable() {
	const all = files();
	const faults = all.flatMap((file) => file.faults);
	if (faults.length > 0)
		throw new Stop(faults.join('\n'));
	return all;
}

const jsonb = (file) => `${quote(file.definition)}::jsonb`;

// ---------- commands ----------

const commands = {
	lint() {
		const all = files();
		let faults = 0;
		for (const file of all) {
			file.faults.forEach((fault) => say(fault));
			faults += file.faults.length;
			if (file.faults.length > 0)
				continue;
			for (const d of rows(`SELECT * FROM saga.validate(${jsonb(file)})`)) {
				say(`${position(file, d.location)}: ${d.severity.toLowerCase()} ${d.code} at ${d.location}: ${d.message}`);
				faults += d.severity === 'ERROR';
			}
		}
		say(`${all.length} workflows, ${faults} faults`);
		return faults === 0;
	},

	test() {
		const setup = 'SET standard_conforming_strings = on; BEGIN; CREATE TEMP TABLE definitions (name text PRIMARY KEY, body jsonb);\n'
			+ readable().map((file) => `INSERT INTO definitions VALUES (${quote(file.workflow)}, ${jsonb(file)});\n`).join('');
		let failed = 0;
		for (const name of fs.readdirSync('tests').filter((n) => n.endsWith('.sql')).sort()) {
			// the session ends without a COMMIT
			const done = run(['-o', '/dev/null', '-f', '-', '-f', path.join(__dirname, 'helpers.sql'), '-f', `tests/${name}`], setup);
			say(`${done.status === 0 ? 'ok' : 'FAILED'}  tests/${name}`);
			if (done.status !== 0) {
				failed++;
				say(done.stderr.trimEnd().replace(/^/gm, '    '));
			}
		}
		return failed === 0;
	},

	plan() {
		for (const file of readable()) {
			const [{ known }] = rows(`SELECT saga.workflow_version(${quote(file.workflow)}) AS known`);
			const [applied] = rows(`SELECT * FROM saga.apply_workflow(${quote(file.workflow)}, ${jsonb(file)}, dry_run => true)`);
			say(applied.changed ? `${file.workflow}: version ${applied.version} would be made` : `${file.workflow}: nothing to do, version ${applied.version} is it`);
			if (applied.changed && known !== null)
				rows(`SELECT * FROM saga.diff_workflow(${quote(file.workflow)}, ${jsonb(file)})`).forEach((d) =>
					say(`  ${d.change} ${d.location || '/'}${d.members ? ` in ${d.members.join(', ')}` : ''}`
						+ (d.executions > 0 ? `; executions there: ${d.executions}` : '')));
			applied.diagnostics.forEach((d) => say(`  ${position(file, d.location)}: ${d.code} at ${d.location}: ${d.message}${d.hint ? `\n    ${d.hint}` : ''}`));
		}
		return true;
	},

	// All or none of them; what a definition asks for has to be there.
	apply() {
		const all = readable();
		const each = all.map((file) => `SELECT format('%s: %s', ${quote(file.workflow)}, CASE WHEN changed THEN 'made version ' || version ELSE 'nothing to do' END)`
			+ ` FROM saga.apply_workflow(${quote(file.workflow)}, ${jsonb(file)}, strict => true);\n`);
		const done = run(['-A', '-t'], `SET standard_conforming_strings = on; BEGIN;\n${each.join('')}COMMIT;\n`);
		if (done.status !== 0)
			throw new Stop(`nothing was applied\n${done.stderr.trim()}`);
		process.stdout.write(done.stdout);
		return true;
	},

	rollback(workflow) {
		if (!workflow)
			throw new Stop('say which: make rollback WORKFLOW=order');
		const [{ version }] = rows(`SELECT saga.rollback_workflow(${quote(workflow)}) AS version`);
		say(`${workflow}: made version ${version}, as it was before the newest`);
		return true;
	},
};

const [command, ...args] = process.argv.slice(2);
try {
	if (!Object.hasOwn(commands, command || ''))
		throw new Stop(`usage: workflows.js ${Object.keys(commands).join('|')}`);
	process.exitCode = commands[command](...args) ? 0 : 1;
} catch (error) {
	if (!(error instanceof Stop))
		throw error;
	console.error(error.message);
	process.exitCode = 1;
}

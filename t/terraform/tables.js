#!/usr/bin/env node
'use strict';
// The tables of inputs, outputs and modules in terraform/README.md, in terraform-docs' format, between its
// markers. Without arguments: exit 1 when they are not what the files say; --write: writes them.
const fs = require('fs'), path = require('path');

const ROOT = path.join(__dirname, '../../terraform');
const README = path.join(ROOT, 'README.md');
const read = (f) => fs.readFileSync(path.join(ROOT, f), 'utf8');

// As terraform fmt leaves them: a block begins and ends at the margin.
const blocks = (text, kind) =>
	[...text.matchAll(new RegExp(`^${kind} "(\\w+)" \\{\\n([\\s\\S]*?)^\\}`, 'gm'))].map(([, name, body]) => ({ name, body }));

// The value of an argument, with the lines that follow while brackets are open.
function argument(body, name) {
	const at = new RegExp(`^  ${name} += `, 'm').exec(body);
	if (!at) return null;
	let depth = 0, value = '';
	for (const line of body.slice(at.index + at[0].length).split('\n')) {
		value += (value && '\n') + line;
		depth += (line.match(/[([{]/g) || []).length - (line.match(/[)\]}]/g) || []).length;
		if (depth <= 0) break;
	}
	return value;
}
const text = (v) => JSON.parse(v).replace(/\|/g, '\\|');
const code = (v) => '`' + v.replace(/\s+/g, ' ') + '`';

function tables() {
	const rows = [];
	const table = (title, head, lines) => rows.push(`## ${title}`, '', `| ${head.join(' | ')} |`, `|${head.map(() => '---').join('|')}|`, ...lines, '');
	const provider = /aws = \{\s+source += "(.*)"\s+version = "(.*)"/.exec(read('versions.tf'));
	table('Requirements', ['Name', 'Version'], [
		`| terraform | ${/required_version = "(.*)"/.exec(read('versions.tf'))[1]} |`, `| aws (${provider[1]}) | ${provider[2]} |`]);
	table('Modules', ['Name', 'Source'], [...read('main.tf').matchAll(/^module "(\w+)" \{\n  source = "(.*)"/gm)].map(([, n, s]) => `| ${n} | ${s} |`));
	table('Inputs', ['Name', 'Description', 'Type', 'Default', 'Required'], blocks(read('variables.tf'), 'variable').map(({ name, body }) => {
		const value = argument(body, 'default');
		return `| ${name} | ${text(argument(body, 'description'))} | ${code(argument(body, 'type'))} | ${value === null ? 'n/a' : code(value)} | ${value === null ? 'yes' : 'no'} |`;
	}));
	table('Outputs', ['Name', 'Description'], blocks(read('outputs.tf'), 'output').map(({ name, body }) => `| ${name} | ${text(argument(body, 'description'))} |`));
	return rows.join('\n').trimEnd();
}

const now = fs.readFileSync(README, 'utf8');
const parts = /^([\s\S]*<!-- BEGIN_TF_DOCS -->\n)[\s\S]*(\n<!-- END_TF_DOCS -->[\s\S]*)$/.exec(now);
if (!parts) throw new Error('terraform/README.md has no place for the tables');
const then = parts[1] + tables() + parts[2];
if (process.argv[2] === '--write') {
	fs.writeFileSync(README, then);
} else if (now !== then) {
	console.error('the tables of terraform/README.md are not those of its variables and outputs: t/terraform/tables.js --write');
	process.exit(1);
}

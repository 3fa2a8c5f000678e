#!/usr/bin/env node
'use strict';
// fauxqs (SNS and SQS in memory) on 127.0.0.1. Its own launcher listens on every address.
//
//   fauxqs.js --port N (0: any) [--port-file FILE] [--region NAME]
//
// Prints its port on one line when it listens.

const fs = require('node:fs');
const { parseArgs } = require('node:util');

async function main() {
	const { values } = parseArgs({ options: {
		port: { type: 'string', default: '0' },
		'port-file': { type: 'string' },
		region: { type: 'string', default: 'us-east-1' },
	} });
	const { buildApp } = await import('fauxqs');
	const app = buildApp({ logger: false, defaultRegion: values.region });
	const address = await app.listen({ port: Number(values.port), host: '127.0.0.1' });
	const { port } = new URL(address);
	if (values['port-file'] !== undefined) {
		fs.writeFileSync(values['port-file'] + '.new', `${port}\n`);
		fs.renameSync(values['port-file'] + '.new', values['port-file']);
	}
	console.log(port);
	for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
}

main().catch((e) => {
	console.error(e.message);
	process.exit(1);
});

// The audits of graphql-http against the endpoint URL, in TAP's words.
//
//     node graphql_audit.mjs URL

import { createRequire } from 'node:module';

const require = createRequire(process.env.NODE_PATH + '/');
const { auditServer } = require('graphql-http');

const results = await auditServer({ url: process.argv[2], fetchFn: fetch });

for (const r of results) {
  console.log(`${r.status} ${r.id} ${r.name}${r.reason ? ': ' + r.reason : ''}`);
}

// A GraphQL backend that tells what it was asked: graphql-js over HTTP.
//
//     node graphql_backend.mjs PORT

import { createRequire } from 'node:module';
import http from 'node:http';

const require = createRequire(process.env.NODE_PATH + '/');
const { buildSchema, graphql } = require('graphql');

const schema = buildSchema(`
  type User { id: ID! name: String tags: [String!] n: Int }
  type Query { user(id: ID!, tags: [String!], n: Int): User  secret: String }
`);

const rootValue = {
  user: a => a.id === 'nobody' ? null
    : { id: a.id, name: 'Ada', tags: a.tags, n: a.n },
  secret: () => { throw new Error('told'); },
};

http.createServer((q, s) => {
  const parts = [];
  q.on('data', d => parts.push(d));
  q.on('end', async () => {
    let body;
    try {
      const { query, variables } = JSON.parse(Buffer.concat(parts));
      body = await graphql({ schema, rootValue, source: query,
        variableValues: variables });
    } catch (e) {
      body = { errors: [{ message: e.message }] };
    }
    s.setHeader('Content-Type', 'application/json');
    s.end(JSON.stringify(body));
  });
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));

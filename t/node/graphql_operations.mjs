// Random operations, executed by graphql-js and by nginx over one backend.
//
//     node graphql_operations.mjs SCHEMA NGINX_PORT BACKEND_PORT SEED COUNT
//
// The backend is in this process: what it answers follows from the URL.  The
// resolvers read @rest as the contract has it, one request for each object.
// "data" is compared byte for byte, errors by path and code.  Where null has
// gone up it is open which of several errors below is told: one of them has to
// be told by both.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import http from 'node:http';

const require = createRequire(process.env.NODE_PATH + '/');
const { buildSchema, execute, parse, validate, GraphQLError, getNamedType,
        isListType, isNonNullType, isObjectType, isAbstractType, isLeafType,
        isEnumType, valueFromASTUntyped } = require('graphql');

const [schemaFile, nginxPort, backendPort, seed0, count] =
  [process.argv[2], ...process.argv.slice(3).map(Number)];

const directives = `
  directive @rest(get: String, post: String, select: String, nullOn: [String!],
    default: String, batch: Batch, body: String) on FIELD_DEFINITION
  directive @json(path: String, value: Any) on FIELD_DEFINITION | ENUM_VALUE
    | INPUT_FIELD_DEFINITION
  directive @discriminate(by: String!, map: [Mapped!]) on INTERFACE | UNION
  scalar Any
  input Batch { key: String! by: String! size: Int }
  input Mapped { value: String! type: String! }
`;

// mulberry32
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const hash = text => [...text].reduce(
  (h, c) => Math.imul(h ^ c.charCodeAt(0), 16777619) >>> 0, 2166136261);


// ---- the backend: values of which some do not fit their types

function value(r, good, odd) {
  const n = r();
  return n < 0.84 ? good() : odd[Math.floor((n - 0.84) / 0.16 * odd.length)];
}

function product(r, id) {
  const p = { id, kind: value(r, () => ['book', 'film'][id % 2], ['odd', null]),
    name: value(r, () => 'p' + id, [null, 7, true, ['x']]),
    pages: value(r, () => id * 3, ['12', 1.5, null, '', 3e9, true]),
    minutes: value(r, () => id + 0.5, ['7.5', 'x', null, false]),
    maker_id: value(r, () => id % 3, [null]),
    extra: { a: [1, 'x', null], b: id } };
  if (r() < 0.1) delete p.name;
  return p;
}

function order(r, id) {
  return { id: value(r, () => id, [null, 'o' + id, 1.5]),
    status: value(r, () => ['paid', 9, 'SHIPPED'][id % 3], ['none', null, 1]),
    total: value(r, () => id * 1.25, [null, '3.5', [], 'x']),
    product_id: value(r, () => id % 5, [null]),
    lines: value(r, () => [{ n: id, matrix: [[id, 2], [3]] },
      { n: id + 1, matrix: [[null], null] }], [null, {}, [null], [7]]) };
}

function answer(url) {
  const r = generator(hash(url.pathname + url.search));
  const at = url.pathname.split('/');
  if (r() < 0.06) return [[500, 503, 403, 401][Math.floor(r() * 4)], '{}'];
  if (r() < 0.02) return [200, '{"a":'];
  if (at[1] === 'users') {
    const id = Number(at[2]);
    return id > 8 ? [404, '{}'] : [200, JSON.stringify({ id,
      full_name: value(r, () => 'u' + id, [null, 5]),
      address: value(r, () => ({ city: 'c' + id }), [null, 'x', {}]),
      active: value(r, () => id % 2 === 0, [0, 1, 'true', null]),
      boss_id: value(r, () => id % 4, [null]), more: { deep: { x: id } } })];
  }
  if (at[1] === 'orders') {
    const n = Number(url.searchParams.get('limit') ?? 3);
    const user = Number(url.searchParams.get('user'));
    return [200, JSON.stringify({ items: value(r, () => Array.from(
      { length: n }, (_, i) => order(r, user * 7 + i)), [null, 'x', [null]]) })];
  }
  if (at[1] === 'products') {
    const ids = (url.searchParams.get('ids') ?? '').split(',');
    return [200, JSON.stringify(ids.filter(i => i !== '').map(
      i => product(generator(hash('product' + i)), Number(i))))];
  }
  if (at[1] === 'product') {
    const id = Number(at[2]);
    return [200, JSON.stringify(product(generator(hash('product' + id)), id))];
  }
  if (at[1] === 'reviews') {
    const out = {};
    for (const i of url.searchParams.getAll('product')) {
      const q = generator(hash('review' + i));
      out[i] = value(q, () => [{ stars: Number(i) + 1 }, { stars: value(q,
        () => 4, [null, 'x']) }], [[], null]);
    }
    return [200, JSON.stringify(out)];
  }
  if (at[1] === 'search') {
    return [200, JSON.stringify(Array.from({ length: 4 }, (_, i) =>
      i === 3 ? { kind: 'user', id: i, full_name: 'x' } : product(r, i + 1)))];
  }
  return [404, '{}'];
}

const steady = url => /^\/(products|reviews)/.test(url.pathname);

// a batch may fail for some and not for all: these do not fail at random
function reply(url) {
  if (!steady(url)) return answer(url);
  for (let i = 0; ; i++) {
    const [status, body] = answer(url);
    if (status === 200 && body !== '{"a":') return [status, body];
    url = new URL(url + (url.search ? '&' : '?') + 'again');
    if (i > 50) return [status, body];
  }
}

const backend = http.createServer((q, s) => {
  q.resume();
  q.on('end', () => {
    const [status, body] = reply(new URL('http://b' + q.url));
    s.writeHead(status, { 'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body) });
    s.end(body);
  });
});

await new Promise(done => backend.listen(backendPort, '127.0.0.1', done));


// ---- the reference

const sdl = readFileSync(schemaFile, 'utf8');
const schema = buildSchema(directives + sdl, { assumeValidSDL: true });

const applied = (node, name) => {
  const d = node?.directives?.find(x => x.name.value === name);
  return d && Object.fromEntries((d.arguments ?? []).map(
    a => [a.name.value, valueFromASTUntyped(a.value)]));
};

const error = code => new GraphQLError(code, { extensions: { code } });

const at = (value, path) => path.split('.').reduce(
  (v, k) => v !== null && typeof v === 'object' ? v[k] : undefined, value);

for (const type of Object.values(schema.getTypeMap())) {
  if (isEnumType(type) && !type.name.startsWith('__')) {
    for (const v of type.getValues()) {
      const json = applied(v.astNode, 'json');
      if (json) v.value = json.value;
    }
    const values = new Map(type.getValues().map(v => [v.value, v.name]));
    type.serialize = v => {
      if (!values.has(v)) throw error('INVALID_VALUE');
      return values.get(v);
    };
  }
  if (isAbstractType(type)) {
    const d = applied(type.astNode, 'discriminate');
    type.resolveType = v => d.map
      ? d.map.find(m => m.value === String(at(v, d.by)))?.type : at(v, d.by);
  }
  if (!isObjectType(type) || type.name.startsWith('__')) continue;
  for (const field of Object.values(type.getFields())) {
    const rest = applied(field.astNode, 'rest');
    const path = applied(field.astNode, 'json')?.path ?? field.name;
    field.resolve = rest
      ? (parent, args) => fetched(rest, parent, args, field.type)
      : parent => checked(at(parent, path), field.type);
  }
}

// errors in the place of what graphql-js would take for an object
function checked(v, type) {
  if (isNonNullType(type)) return checked(v, type.ofType);
  if (v === null || v === undefined) return v;
  if (isListType(type)) {
    return Array.isArray(v) ? v.map(x => checked(x, type.ofType))
                            : error('INVALID_VALUE');
  }
  if (isLeafType(type)) {
    return Array.isArray(v) && type.name !== 'Any' && type.name !== 'Json'
      ? error('INVALID_VALUE') : v;
  }
  if (typeof v !== 'object' || Array.isArray(v)) return error('INVALID_VALUE');
  if (isAbstractType(type)) {
    const name = type.resolveType(v);
    const found = name && schema.getType(name);
    if (!found || !schema.isSubType(type, found)) return error('UNKNOWN_TYPE');
  }
  return v;
}

function render(rest, parent, args, key) {
  const [path, query] = (rest.get ?? rest.post).replace(/^\/b/, '').split('?');
  const ref = text => {
    const [, root, rest] = /^(\w+)\.?(.*)$/.exec(text);
    return root === 'keys' ? key : root === 'args' ? at(args, rest)
      : at(parent, rest);
  };
  const plain = v => {
    if (v === null || v === undefined || typeof v === 'object') {
      throw error('FETCH_FAILED');
    }
    return String(v);
  };
  let url = path.replace(/\$\{([^}]*)\}/g, (_, t) => {
    const v = plain(ref(t));
    if (v === '' || v === '.' || v === '..' || /[\/\\;]/.test(v)) {
      throw error('FETCH_FAILED');
    }
    return encodeURIComponent(v);
  });
  const pairs = (query ?? '').split('&').flatMap(pair => {
    const m = /^([^=]*)=\$\{([^}*]*)(\*?)\}$/.exec(pair);
    if (!m) return pair === '' ? [] : [pair];
    const v = ref(m[2]);
    if (v === null || v === undefined) return [];
    const list = (Array.isArray(v) ? v : [v]).filter(x => x !== null)
      .map(x => encodeURIComponent(plain(x)));
    if (list.length === 0 && Array.isArray(v)) return [];
    return m[3] ? list.map(x => `${m[1]}=${x}`) : [`${m[1]}=${list.join(',')}`];
  });
  if (pairs.length) url += '?' + pairs.join('&');
  return url;
}

async function fetched(rest, parent, args, type) {
  const list = isListType(isNonNullType(type) ? type.ofType : type);
  let key;
  if (rest.batch) {
    key = at(parent, rest.batch.key);
    if (key === null || key === undefined) return list ? [] : null;
  }
  const url = render(rest, parent, args, key);
  const [status, body] = reply(new URL('http://b' + url));
  let v;
  if (status !== 200) {
    if (rest.nullOn?.includes(String(status))) return null;
    if (rest.default === undefined) {
      throw error(status === 401 ? 'UNAUTHENTICATED'
        : status === 403 ? 'FORBIDDEN' : 'FETCH_FAILED');
    }
    v = JSON.parse(rest.default);
    return checked(v, type);
  }
  try {
    v = JSON.parse(body);
  } catch {
    if (rest.default === undefined) throw error('FETCH_FAILED');
    return checked(JSON.parse(rest.default), type);
  }
  if (rest.select) v = at(v, rest.select) ?? null;
  if (rest.batch) {
    const found = Array.isArray(v)
      ? v.filter(x => String(at(x, rest.batch.by)) === String(key))
      : [v[String(key)]].flat().filter(x => x !== null && x !== undefined);
    v = list ? found : found[0] ?? null;
  }
  return checked(v, type);
}


// ---- operations

function operation(r) {
  const fragments = [];
  const vars = { $yes: 'true', $no: 'false' };
  const pick = list => list[Math.floor(r() * list.length)];
  let aliases = 0;

  const args = field => {
    const out = [];
    for (const a of field.args) {
      if (!isNonNullType(a.type) && r() < 0.4) continue;
      const named = getNamedType(a.type).name;
      const one = () => named === 'Int' ? String(Math.floor(r() * 4))
        : named === 'ID' ? pick(['1', '"2"', '3', '"4"', '5', '9', '"../x"'])
        : named === 'Boolean' ? pick(['true', 'false'])
        : JSON.stringify(pick(['a', 'b c', 'x&y=1', '']));
      const list = isListType(isNonNullType(a.type) ? a.type.ofType : a.type);
      out.push(`${a.name}: ${list ? '[' + [one(), one()].join(', ') + ']'
        : one()}`);
    }
    return out.length ? `(${out.join(', ')})` : '';
  };

  const condition = () => r() < 0.9 ? ''
    : ` @${pick(['skip', 'include'])}(if: ${pick(Object.keys(vars))})`;

  const set = (type, depth) => {
    const parts = [];
    const fields = isObjectType(type) || type.getFields
      ? Object.values(type.getFields()) : [];
    const n = 1 + Math.floor(r() * 4);
    for (let i = 0; i < n; i++) {
      if (r() < 0.1 || fields.length === 0) parts.push('__typename');
      if (fields.length === 0) continue;
      const field = pick(fields);
      const named = getNamedType(field.type);
      if (!isLeafType(named) && depth === 0) continue;
      const a = args(field);
      const alias = a || r() < 0.1 ? `a${++aliases}: ` : '';
      if (aliases > 45) continue;
      parts.push(`${alias}${field.name}${a}${condition()}`
        + (isLeafType(named) ? '' : ' ' + set(named, depth - 1)));
    }
    if (isAbstractType(type)) {
      for (const possible of schema.getPossibleTypes(type)) {
        if (r() < 0.6) {
          parts.push(`... on ${possible.name}${condition()} `
            + aliased(set(possible, depth ? depth - 1 : 0), possible.name));
        }
      }
    }
    if (r() < 0.15 && fields.length) {
      const name = 'F' + fragments.length;
      fragments.push('');
      fragments[name.slice(1)] =
        `fragment ${name} on ${type.name} ${set(type, depth ? depth - 1 : 0)}`;
      parts.push(`...${name}`);
    }
    return `{ ${parts.join(' ') || '__typename'} }`;
  };

  const aliased = text => text;
  const body = set(schema.getQueryType(), 4);
  return `query Q($yes: Boolean!, $no: Boolean!) ${body}\n`
    + fragments.join('\n');
}

function known(data, path) {
  // the longest beginning of the path that is there, where null begins
  let v = data;
  for (let i = 0; i < path.length; i++) {
    if (v === null || v === undefined) return path.slice(0, i).join('.');
    v = v[path[i]];
  }
  return path.join('.');
}

function grouped(result) {
  const groups = new Map();
  for (const e of result.errors ?? []) {
    const path = e.path ?? [];
    const code = e.extensions?.code
      ?? (/^Cannot return null for non-null/.test(e.message) ? 'NULL_VALUE'
          : 'INVALID_VALUE');
    const place = known(result.data, path);
    if (!groups.has(place)) groups.set(place, new Set());
    groups.get(place).add(path.join('.') + ' ' + code);
  }
  return groups;
}

function different(a, b) {
  const one = grouped(a);
  const two = grouped(b);
  for (const place of new Set([...one.keys(), ...two.keys()])) {
    const x = one.get(place) ?? new Set();
    const y = two.get(place) ?? new Set();
    const codes = set => new Set([...set].filter(
      e => e.split(' ')[0] !== place).map(e => e.split(' ')[1]));
    if (![...x].some(e => y.has(e))
        && ![...codes(x)].some(c => codes(y).has(c))) {
      return `at "${place}": ${[...x].join(', ')} / ${[...y].join(', ')}`;
    }
  }
  return null;
}

let valid = 0, wrong = 0, withErrors = 0;

for (let i = 0; i < count; i++) {
  const r = generator(seed0 * 100003 + i);
  const query = operation(r);
  const variables = { yes: true, no: false };
  let document;
  try { document = parse(query); } catch (e) { console.log(query, e.message); }
  const problems = validate(schema, document).filter(
    e => !/is never used/.test(e.message));
  if (problems.length) continue;

  const response = await fetch(`http://127.0.0.1:${nginxPort}/graphql`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: query.replace(/query Q\([^)]*\)/,
      'query Q(' + ['yes', 'no'].filter(v => query.split('$' + v).length > 2)
        .map(v => `$${v}: Boolean!`).join(', ') + ')').replace('Q()', 'Q'),
      variables }) });
  const text = await response.text();
  const ours = JSON.parse(text);

  if (ours.errors?.some(e => /LIMIT_EXCEEDED/.test(e.extensions?.code))) {
    continue;
  }

  const theirs = JSON.parse(JSON.stringify(
    await execute({ schema, document, variableValues: variables })));
  const expected = JSON.stringify(theirs.data);
  const data = /(?:^\{|,)"data":(.*)\}$/s.exec(text)?.[1];
  const errors = data === expected ? different(theirs, ours) : 'data';

  valid++;
  if (theirs.errors) withErrors++;

  if (errors) {
    wrong++;
    if (wrong <= 5) {
      console.log(`# operation ${i}: ${errors}\n# ${query}\n`
        + `# graphql-js: ${JSON.stringify(theirs).slice(0, 3000)}\n`
        + `# nginx: ${text.slice(0, 3000)}`);
    }
  }
}

console.log(`valid ${valid} wrong ${wrong} with_errors ${withErrors}`);
backend.close();
backend.closeAllConnections();

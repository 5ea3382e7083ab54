// The service of t/data/grpc/items.proto, by grpc-js.
//
//     node grpc_backend.mjs PORT DIR [KEY CERT]
//
// Prints "ready", and a line for each call that a client cancelled.

import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.NODE_PATH + '/');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [port, dir, key, cert] = process.argv.slice(2);

const definition = loader.loadSync('items.proto', {
  includeDirs: [dir], keepCase: true, longs: String, defaults: true,
});

const { Items } = grpc.loadPackageDefinition(definition).t.v1;

// google.rpc.Status by hand: code, message, one Any of RetryInfo or others

function varint(n) {
  const out = [];
  while (n >= 128) { out.push(n % 128 + 128); n = Math.floor(n / 128); }
  return Buffer.from([...out, n]);
}

function field(n, data) {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data);
  return Buffer.concat([varint(n * 8 + 2), varint(bytes.length), bytes]);
}

function number(n, value) {
  return Buffer.concat([varint(n * 8), varint(value)]);
}

function any(type, value) {
  return field(3, Buffer.concat([
    field(1, 'type.googleapis.com/' + type), field(2, value)]));
}

const details = {
  retry: any('google.rpc.RetryInfo',
    field(1, Buffer.concat([number(1, 2), number(2, 500000000)]))),
  bad: any('google.rpc.BadRequest',
    field(1, Buffer.concat([field(1, 'item.name'), field(2, 'too long')]))),
  debug: any('google.rpc.DebugInfo', field(2, 'secret stack')),
  unknown: any('t.v1.Nothing', Buffer.from([8, 1])),
  item: any('t.v1.Item', field(1, 'i1')),
};

function failure(call, code, text, names) {
  const metadata = new grpc.Metadata();
  if (names) {
    metadata.set('grpc-status-details-bin', Buffer.concat([
      number(1, code), field(2, text || ''),
      ...names.split(',').map(n => details[n])]));
  }
  metadata.set('x-trailing', 'secret');
  return { code, details: text, metadata };
}

const item = (id, more) => ({
  id, name: 'n' + id, kind: 'KIND_BOOK', price_cents: '9007199254740993',
  tags: ['a', 'b'], part: { name: 'p', n: 1 },
  created: { seconds: '1700000000', nanos: 0 }, stock: { x: 1 }, ...more,
});

const handlers = {
  Get(call, done) {
    const q = call.request;
    if (q.id === 'none') {
      return done(failure(call, 5, 'no item "none"'));
    }
    done(null, item(q.id || q.name || q.part.name, q.fields.length
      ? { tags: q.fields } : q.part ? { part: q.part } : {}));
  },
  Create(call, done) {
    done(null, { ...call.request.item,
      tags: [String(call.request.dry_run)] });
  },
  Update(call, done) { done(null, call.request.item); },
  Delete(call, done) { done(null, {}); },
  Purge(call, done) { done(null, {}); },
  List(call, done) {
    const items = [];
    for (let i = 0; i < call.request.n; i++) items.push(item(String(i)));
    done(null, { items, next: 'x' });
  },
  Cancel(call, done) { done(null, item(call.request.id, { name: 'gone' })); },
  Fail(call, done) {
    const q = call.request;
    if (q.header_first) call.sendMetadata(new grpc.Metadata());
    const f = failure(call, q.code, q.text, q.details);
    if (q.message_first) {
      return done(null, item('1'), undefined);
    }
    done(f);
  },
  Watch(call) {
    const q = call.request;
    let i = 0;
    const wait = ms => new Promise(r => setTimeout(r, ms));
    let gone = false;
    call.on('cancelled', () => { gone = true; console.log('cancelled'); });
    (async () => {
      if (q.first_ms) await wait(q.first_ms);
      while (i < q.n && !gone) {
        if (q.fail_after && i === q.fail_after) {
          await wait(50);
          return call.emit('error', failure(call, q.code, 'failed'));
        }
        const more = q.size ? { blob: Buffer.alloc(q.size, 97) } : {};
        i++;
        if (!call.write(item(String(i), more))) {
          await new Promise(r => {
            call.once('drain', r);
            call.once('cancelled', r);
          });
        }
        if (q.every_ms) await wait(q.every_ms);
      }
      if (gone) return;
      if (q.fail_after && i === q.fail_after) {
        await wait(50);
        return call.emit('error', failure(call, q.code, 'failed'));
      }
      call.end();
    })();
  },
  Sum(call, done) {
    let sum = 0n, count = 0;
    call.on('data', m => { sum += BigInt(m.n); count++; });
    call.on('end', () => done(null, { total: String(sum), count }));
  },
  Chat(call) {
    call.on('cancelled', () => console.log('cancelled'));
    call.on('data', m => {
      if (m.id === 'fail') {
        return call.emit('error', failure(call, 9, 'as told'));
      }
      if (m.id === 'silent') return call.emit('error', failure(call, 9, ''));
      if (m.id === 'bye') return call.end();
      call.write({ ...m, name: 'got ' + m.name });
    });
    call.on('end', () => call.end());
  },
  Page(call, done) {
    done(null, { content_type: 'text/html; charset=utf-8',
      data: Buffer.from(`<p>${call.request.id}</p>`) });
  },
  Download(call) {
    for (let i = 0; i < call.request.n; i++) {
      call.write({ content_type: 'text/plain',
        data: Buffer.from(`line ${i}\n`) });
    }
    if (!call.request.code) return call.end();
    // an error would overtake what was written
    setTimeout(() => call.emit('error',
      failure(call, call.request.code, 'failed')), 50);
  },
  Upload(call, done) {
    done(null, { total: String(call.request.data.length),
      count: call.request.content_type.length });
  },
  Echo(call, done) {
    const left = call.getDeadline();
    const metadata = {};
    for (const [name, value] of Object.entries(call.metadata.getMap())) {
      metadata[name] = String(value);
    }
    const initial = new grpc.Metadata();
    initial.set('x-initial', 'yes');
    initial.set('etag', '"e1"');
    call.sendMetadata(initial);
    const timer = setTimeout(() => done(null, {
      text: call.request.text, method: call.getPath(), metadata,
      deadline_ms: Number.isFinite(+left) ? +left - Date.now() : 0,
    }), call.request.wait_ms);
    call.on('cancelled', () => {
      clearTimeout(timer);
      console.log('cancelled');
    });
  },
};

handlers.Plain = handlers.Echo;
handlers.Talk = handlers.Chat;

const server = new grpc.Server();
server.addService(Items.service, handlers);

const credentials = key
  ? grpc.ServerCredentials.createSsl(null, [{
    private_key: fs.readFileSync(key), cert_chain: fs.readFileSync(cert) }])
  : grpc.ServerCredentials.createInsecure();

server.bindAsync(`127.0.0.1:${port}`, credentials, e => {
  if (e) throw e;
  console.log('ready');
});

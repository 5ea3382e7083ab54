// The backend of the gRPC demo, by the npm packages @grpc/grpc-js and
// @grpc/proto-loader:
//
//     node shop.mjs [PORT] [DIRECTORY OF google/api]

import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire((process.env.NODE_PATH || process.cwd()) + '/');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const here = path.dirname(fileURLToPath(import.meta.url));
const [port = '50051', imports = path.join(here, '../../t/data/grpc')]
  = process.argv.slice(2);

const { Catalog, Orders, Users, Carts, Chat } = grpc.loadPackageDefinition(
  loader.loadSync('shop.proto', { includeDirs: [here, imports],
    longs: String })).shop.v1;

const items = new Map([
  ['1', { id: '1', name: 'Pen', priceCents: '199', tags: ['paper'] }],
  ['2', { id: '2', name: 'Ink', priceCents: '499', tags: ['paper', 'blue'] }],
  ['3', { id: '3', name: 'Lamp', priceCents: '4999', tags: [] }],
]);

const missing = (what, id) => ({
  code: grpc.status.NOT_FOUND, details: `no ${what} "${id}"`,
});

const server = new grpc.Server();

server.addService(Catalog.service, {
  GetItem(call, done) {
    const item = items.get(call.request.id);
    done(item ? null : missing('item', call.request.id), item);
  },
  ListItems(call, done) {
    const { tag } = call.request;
    done(null, { items: [...items.values()]
      .filter(i => !tag || i.tags.includes(tag)) });
  },
  WatchPrices(call) {
    let left = call.request.count || 10;
    const timer = setInterval(() => {
      const item = items.get(String(left % 3 + 1));
      call.write({ ...item, priceCents: String(100 + left) });
      if (--left === 0) {
        clearInterval(timer);
        call.end();
      }
    }, 500);
    call.on('cancelled', () => clearInterval(timer));
  },
});

server.addService(Orders.service, {
  CreateOrder(call, done) {
    const { order } = call.request;
    done(items.has(order.itemId) ? null : missing('item', order.itemId),
      { ...order, id: String(Date.now()) });
  },
});

server.addService(Users.service, {
  GetUser(call, done) { done(null, { id: call.request.id, name: 'Ada' }); },
});

server.addService(Carts.service, {
  Get(call, done) { done(null, { itemIds: ['1', '2'] }); },
});

server.addService(Chat.service, {
  Talk(call) {
    call.on('data', m => call.write({ text: `you said: ${m.text}` }));
    call.on('end', () => call.end());
  },
});

server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(),
  e => {
    if (e) throw e;
    console.log(`ready on port ${port}`);
  });

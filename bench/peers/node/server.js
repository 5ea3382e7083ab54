'use strict';

// a backend for a frontend as one would write it: fastify, pools of undici

const fastify = require('fastify')({ logger: false });
const { Pool } = require('undici');
const CircuitBreaker = require('opossum');
const Redis = require('ioredis');

const options = {
    connections: 256, pipelining: 1, headersTimeout: 500, bodyTimeout: 500,
    connect: { timeout: 250 }, keepAliveTimeout: 300000,
};

const pool = port => new Pool('http://127.0.0.1:' + port, options);

const P = {
    users: pool(22101), orders: pool(22102), recs: pool(22103),
    parts: pool(22104), su: pool(22111), so: pool(22112), sr: pool(22113),
    hang: pool(22121), syn: pool(22122), dead: pool(22129),
};


async function get(from, path) {
    const { statusCode, body } = await from.request({ path, method: 'GET' });

    if (statusCode !== 200) {
        await body.dump();
        throw new Error('status ' + statusCode);
    }

    return body.json();
}

const soft = promise => promise.catch(() => null);

const three = (users, orders, recs) => Promise.all([
    soft(get(users, '/users/42')),
    soft(get(orders, '/orders/42')),
    soft(get(recs, '/recommendations/42')),
]);

async function user(users, orders, recs) {
    const [u, o, r] = await three(users, orders, recs);

    return { user: u, recent_orders: o && o.items.slice(0, 5),
             recommendations: r && r.products };
}

fastify.get('/api/user/:id', () => user(P.users, P.orders, P.recs));
fastify.get('/slow/user/:id', () => user(P.su, P.so, P.sr));
fastify.get('/dead/user/:id', () => user(P.users, P.orders, P.dead));
fastify.get('/syn/user/:id', () => user(P.users, P.orders, P.syn));
fastify.get('/hang/user/:id', () => user(P.users, P.orders, P.hang));

fastify.get('/passthru/user/:id', async () => {
    const [u, o, r] = await three(P.users, P.orders, P.recs);

    return { user: u, orders: o, recommendations: r };
});

fastify.get('/agg10', async () => {
    const parts = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(
        i => soft(get(P.parts, '/part' + i + '.json'))));
    const out = {};

    parts.forEach((part, i) => { out['p' + i] = part; });
    return out;
});

fastify.get('/shape', async () => {
    const all = await get(P.parts, '/shape.json');

    return all.map(e => ({ id: e.id, name: e.name, price: e.price }));
});


const l1 = new Map();

fastify.get('/l1', async (req, reply) => {
    let value = l1.get('k');

    if (!value) {
        const { body } = await P.parts.request({ path: '/cache.json',
                                                 method: 'GET' });
        value = Buffer.from(await body.arrayBuffer());
        l1.set('k', value);
    }

    reply.header('content-type', 'application/json');
    return reply.send(value);
});


let redis;

fastify.get('/l2/:k', async (req, reply) => {
    redis = redis || new Redis({ port: 22200, host: '127.0.0.1',
                                 maxRetriesPerRequest: 0 });
    const value = await redis.getBuffer('bench:' + req.params.k);

    reply.header('content-type', 'application/json');
    return reply.send(value);
});


const breaker = new CircuitBreaker(
    () => get(P.dead, '/recommendations/42'),
    { timeout: 500, errorThresholdPercentage: 50, volumeThreshold: 5,
      resetTimeout: 30000 });

breaker.fallback(
    () => ({ status: 'degraded', source: 'fallback', items: [] }));
fastify.get('/breaker', () => breaker.fire());


const ports = { users: 22101, orders: 22102, recommendations: 22103 };

fastify.register(require('@fastify/reply-from'),
                 { base: '', undici: { connections: 256, pipelining: 1 } });

fastify.get('/proxy/:what/:id', (req, reply) =>
    reply.from('/' + req.params.what + '/' + req.params.id, {
        getUpstream: () => 'http://127.0.0.1:' + ports[req.params.what],
    }));

fastify.listen({ port: 22000, host: '127.0.0.1', backlog: 4096 });

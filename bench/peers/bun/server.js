// the same backend for a frontend on Bun's own server and fetch

const at = port => 'http://127.0.0.1:' + port;


async function get(url, timeout) {
    const res = await fetch(url, timeout
        ? { signal: AbortSignal.timeout(timeout) } : undefined);

    if (res.status !== 200) {
        throw new Error('status ' + res.status);
    }

    return res.json();
}

const soft = promise => promise.catch(() => null);

const three = (users, orders, recs, timeout) => Promise.all([
    soft(get(at(users) + '/users/42')),
    soft(get(at(orders) + '/orders/42')),
    soft(get(at(recs) + '/recommendations/42', timeout)),
]);

async function user(users, orders, recs, timeout) {
    const [u, o, r] = await three(users, orders, recs, timeout);

    return Response.json({ user: u, recent_orders: o && o.items.slice(0, 5),
                           recommendations: r && r.products });
}

async function passthru() {
    const [u, o, r] = await three(22101, 22102, 22103);

    return Response.json({ user: u, orders: o, recommendations: r });
}

async function agg10() {
    const parts = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(
        i => soft(get(at(22104) + '/part' + i + '.json'))));
    const out = {};

    parts.forEach((part, i) => { out['p' + i] = part; });
    return Response.json(out);
}

async function shape() {
    const all = await get(at(22104) + '/shape.json');

    return Response.json(all.map(
        e => ({ id: e.id, name: e.name, price: e.price })));
}


let cached;

async function l1() {
    cached = cached
        || await (await fetch(at(22104) + '/cache.json')).arrayBuffer();

    return new Response(cached, {
        headers: { 'content-type': 'application/json' },
    });
}

const routes = {
    '/api/user/42': () => user(22101, 22102, 22103),
    '/slow/user/42': () => user(22111, 22112, 22113),
    '/dead/user/42': () => user(22101, 22102, 22129),
    '/syn/user/42': () => user(22101, 22102, 22122, 500),
    '/hang/user/42': () => user(22101, 22102, 22121, 500),
    '/passthru/user/42': passthru,
    '/agg10': agg10,
    '/shape': shape,
    '/l1': l1,
};

Bun.serve({
    port: 22000,
    hostname: '127.0.0.1',
    idleTimeout: 0,

    fetch(req) {
        const route = routes[req.url.slice(req.url.indexOf('/', 7))];

        return route ? route() : new Response('not found', { status: 404 });
    },
});

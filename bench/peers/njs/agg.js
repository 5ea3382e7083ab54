// parses and writes everything it answers

const TEN = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(i => '/_part/' + i);


function part(res) {
    return res.status == 200 ? JSON.parse(res.responseText) : null;
}

function send(r, value) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(value));
}

function all(r, uris) {
    return Promise.all(uris.map(uri => r.subrequest(uri)));
}

async function compose(r, users, orders, recs) {
    let p = await all(r, [users, orders, recs]);
    let o = part(p[1]), c = part(p[2]);

    send(r, {user: part(p[0]), recent_orders: o && o.items.slice(0, 5),
             recommendations: c && c.products});
}

async function user(r) {
    return compose(r, '/_users/42', '/_orders/42', '/_recommendations/42');
}

async function slow(r) {
    return compose(r, '/_slowusers/42', '/_sloworders/42',
                   '/_slowrecommendations/42');
}

async function dead(r) {
    return compose(r, '/_users/42', '/_orders/42', '/_dead/42');
}

async function syn(r) {
    return compose(r, '/_users/42', '/_orders/42', '/_syn/42');
}

async function hang(r) {
    return compose(r, '/_users/42', '/_orders/42', '/_hang/42');
}

async function passthru(r) {
    let p = await all(r, ['/_users/42', '/_orders/42',
                          '/_recommendations/42']);

    send(r, {user: part(p[0]), orders: part(p[1]),
             recommendations: part(p[2])});
}

async function agg10(r) {
    let p = await all(r, TEN);
    let out = {};

    p.forEach((res, i) => { out['p' + i] = part(res); });
    send(r, out);
}

async function shape(r) {
    let p = await r.subrequest('/_shape');

    send(r, JSON.parse(p.responseText).map(
        e => ({id: e.id, name: e.name, price: e.price})));
}

async function fanout(r) {
    let res = await r.subrequest('/_cart/42');
    let cart = part(res);
    let p = await all(r, cart.items.map(item => '/_product/' + item.sku));

    cart.items.forEach((item, i) => { item.product = part(p[i]); });
    send(r, {cart: cart});
}

async function graph(r) {
    let res = await r.subrequest('/_users/42');
    let user = part(res);

    res = await r.subrequest('/_recommendations/' + user.tier);

    send(r, {user: user, offers: part(res).products});
}

async function mem(r) {
    let p = await all(r, ['/_big', '/_big']);

    send(r, {a: part(p[0]), b: part(p[1])});
}

export default {user, slow, dead, hang, syn, passthru, agg10, shape, fanout,
                graph, mem};

// puts bodies together as strings, unread

const TEN = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(i => '/_part/' + i);


function body(res) {
    return res.status == 200 ? res.responseText : 'null';
}

function send(r, text) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, text);
}

function all(r, uris) {
    return Promise.all(uris.map(uri => r.subrequest(uri)));
}

async function three(r, users, orders, recs) {
    let p = await all(r, [users, orders, recs]);

    send(r, '{"user":' + body(p[0]) + ',"orders":' + body(p[1])
            + ',"recommendations":' + body(p[2]) + '}');
}

async function passthru(r) {
    return three(r, '/_users/42', '/_orders/42', '/_recommendations/42');
}

async function slowp(r) {
    return three(r, '/_slowusers/42', '/_sloworders/42',
                 '/_slowrecommendations/42');
}

async function agg10(r) {
    let p = await all(r, TEN);

    send(r, '{' + p.map((res, i) => '"p' + i + '":' + body(res)).join(',')
            + '}');
}

export default {passthru, slowp, agg10};

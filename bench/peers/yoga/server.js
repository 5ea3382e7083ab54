'use strict';

// GraphQL by graphql-yoga: its caches of parsed and validated documents are on
// by default, DataLoader makes the batch

const fs = require('fs');
const path = require('path');
const http = require('http');
const { createYoga, createSchema } = require('graphql-yoga');
const DataLoader = require('dataloader');
const { Pool } = require('undici');

const options = {
    connections: 256, pipelining: 1, headersTimeout: 500, bodyTimeout: 500,
    connect: { timeout: 250 }, keepAliveTimeout: 300000,
};

const pool = port => new Pool('http://127.0.0.1:' + port, options);

const P = {
    users: pool(22101), orders: pool(22102), recs: pool(22103),
    parts: pool(22104),
};

const schema = fs.readFileSync(path.join(__dirname, 'schema.graphql'), 'utf8');


async function get(from, path) {
    const { statusCode, body } = await from.request({ path, method: 'GET' });

    if (statusCode !== 200) {
        await body.dump();
        throw new Error('status ' + statusCode);
    }

    return body.json();
}


// one request for the products of all orders

async function products(skus) {
    const all = await get(P.parts,
                          '/catalog/?sku=' + skus.map(encodeURIComponent)
                                                 .join('&sku='));
    return new Map(all.map(product => [product.sku, product]));
}


const seg = encodeURIComponent;
const orders = async user => (await get(P.orders, '/orders/' + seg(user))).items;

const Query = {
    user: (_, args) => get(P.users, '/users/' + seg(args.id)),
    orders: (_, args) => orders(args.user),
    recent_orders: async (_, args) =>
        (await orders(args.user)).slice(0, args.first),
    recommendations: async (_, args) =>
        (await get(P.recs, '/recommendations/' + seg(args.user))).products,
};


async function load(skus) {
    const found = await products(skus);
    return skus.map(sku => found.get(sku) || null);
}


const yoga = createYoga({
    schema: createSchema({
        typeDefs: schema,
        resolvers: {
            Query,
            Order: { product: (order, _, context) =>
                context.product.load(order.sku) },
        },
    }),
    context: () => ({ product: new DataLoader(load) }),
    logging: false, graphiql: false, landingPage: false, maskedErrors: true,
});

http.createServer(yoga).listen({ port: 22000, host: '127.0.0.1',
                                 backlog: 4096 });

'use strict';

// a transcoder: fastify takes JSON, @bufbuild/protobuf maps it by the
// descriptor, @grpc/grpc-js calls

const fs = require('fs');
const fastify = require('fastify')();
const grpc = require('@grpc/grpc-js');
const { createFileRegistry, fromBinary, fromJson, toBinary, toJson }
    = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');

const registry = createFileRegistry(
    fromBinary(FileDescriptorSetSchema, fs.readFileSync(process.argv[2])));
const { Create, Watch } = Object.fromEntries(
    registry.getService('bench.v1.Shop').methods.map(m => [m.name, m]));

const client = port => new grpc.Client('127.0.0.1:' + port,
                                       grpc.credentials.createInsecure());
const shop = client(22141);
const prices = client(22142);

const path = method => '/bench.v1.Shop/' + method.name;
const write = method => bytes => Buffer.from(toBinary(method.input, bytes));
const read = method => bytes => fromBinary(method.output, bytes);

fastify.post('/v1/articles', (request, reply) => {
    const message = fromJson(Create.input, request.body);

    shop.makeUnaryRequest(path(Create), write(Create), read(Create), message,
                          (error, answer) => {
        if (error) {
            reply.code(502).send({ code: error.code });
            return;
        }

        reply.send(toJson(Create.output, answer));
    });
});

fastify.get('/v1/prices', (request, reply) => {
    const message = fromJson(Watch.input, request.query);
    const call = prices.makeServerStreamRequest(path(Watch), write(Watch),
                                                read(Watch), message);

    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson' });

    call.on('data', answer => {
        reply.raw.write(JSON.stringify(toJson(Watch.output, answer)) + '\n');
    });
    call.on('end', () => reply.raw.end());
    call.on('error', () => reply.raw.destroy());
});

fastify.listen({ port: 22000, host: '127.0.0.1', backlog: 4096 });

// A collector that decodes with what protobufjs has generated of the official
// opentelemetry-proto.  Writes its port, then a line of JSON for each batch:
// the message, and whether encoding it again gives as many bytes, which it
// does not with fields that the schema does not know.

'use strict';

const http = require('http');
const root = require('@opentelemetry/otlp-transformer/build/src/generated/root');

const trace = root.opentelemetry.proto.collector.trace.v1;
const Request = trace.ExportTraceServiceRequest;
const Response = trace.ExportTraceServiceResponse;

const server = http.createServer((request, response) => {
    const pieces = [];

    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
        const bytes = Buffer.concat(pieces);
        const line = { type: request.headers['content-type'] };

        try {
            const message = Request.decode(bytes);
            line.verify = Request.verify(message);
            line.same = Request.encode(message).finish().length
                === bytes.length;
            line.message = Request.toObject(message,
                                            { longs: String, bytes: String });
        } catch (error) {
            line.error = String(error);
        }

        process.stdout.write(JSON.stringify(line) + '\n');

        const partial = request.url.endsWith('partial')
            ? { partialSuccess: { rejectedSpans: 1, errorMessage: 'one' } }
            : {};
        response.setHeader('Content-Type', 'application/x-protobuf');
        response.end(Response.encode(Response.create(partial)).finish());
    });
});

server.listen(0, '127.0.0.1', () => {
    process.stdout.write(server.address().port + '\n');
});

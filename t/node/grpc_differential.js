'use strict';

// Random messages of the schema in t/data/grpc, through our codec and through
// @bufbuild/protobuf: wire to JSON, the JSON of either back to the wire, and
// JSON with one value replaced, which both take or refuse.
//
// Arguments: the tool, the descriptor, a seed, the number of rounds.

const { spawn } = require('child_process');
const fs = require('fs');
const readline = require('readline');

const pb = require('@bufbuild/protobuf');
const wkt = require('@bufbuild/protobuf/wkt');

const [tool, file, seedArg, roundsArg] = process.argv.slice(2);
const rounds = Number(roundsArg);
const set = fs.readFileSync(file);

const registry = pb.createFileRegistry(
    pb.fromBinary(wkt.FileDescriptorSetSchema, set));

const T = pb.ScalarType;


// a small generator, so that a seed gives the same messages everywhere

let state = Number(seedArg) >>> 0 || 1;

function random(n) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % n;
}

function pick(list) {
    return list[random(list.length)];
}


const child = spawn(tool, [], { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = readline.createInterface({ input: child.stdout });
const waiting = [];

lines.on('line', (line) => waiting.shift()(line));

function ask(line, bytes) {
    child.stdin.write(bytes === undefined ? `${line}\n`
        : `${line} ${bytes.length}\n`);

    if (bytes !== undefined) {
        child.stdin.write(bytes);
        child.stdin.write('\n');
    }

    return new Promise((resolve) => waiting.push(resolve));
}


// the wire

function varint(n) {
    let v = BigInt.asUintN(64, BigInt(n));
    const out = [];

    while (v > 127n) {
        out.push(Number(v & 127n) | 128);
        v >>= 7n;
    }

    out.push(Number(v));
    return Buffer.from(out);
}

function tag(number, wire) {
    return varint(number * 8 + wire);
}

function delimited(number, bytes) {
    return Buffer.concat([tag(number, 2), varint(bytes.length), bytes]);
}

const big = () => pick([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n),
    BigInt(random(1 << 30)), BigInt(random(1 << 30)) * 1234567891n]);
const small = () => pick([0, 1, -1, 2147483647, -2147483648, random(1000)]);

const texts = ['', 'a', 'text', 'a "quoted" \\ text\n', '\u0001\u001f',
    'grüße', '中文字符', '😁😁', 'x'.repeat(15), 'y'.repeat(16),
    'z'.repeat(130), 'é'.repeat(40), '</script>\u2028'];

function scalar(type) {
    const fixed = Buffer.alloc(8);

    switch (type) {
    case T.DOUBLE:
        fixed.writeDoubleLE(pick([0, 1, -1.5, 0.1, 1e300, 5e-324, 123.456,
            random(1000000) / 7, NaN, Infinity, -Infinity, 1e21, 1e-7]));
        return [1, fixed];
    case T.FLOAT:
        fixed.writeFloatLE(pick([0, 1, -1.5, random(100000) / 8, NaN,
            Infinity, -Infinity]));
        return [5, fixed.subarray(0, 4)];
    case T.FIXED64:
    case T.SFIXED64:
        fixed.writeBigUInt64LE(BigInt.asUintN(64, big()));
        return [1, fixed];
    case T.FIXED32:
    case T.SFIXED32:
        fixed.writeInt32LE(small());
        return [5, fixed.subarray(0, 4)];
    case T.STRING:
        return [2, Buffer.from(pick(texts))];
    case T.BYTES:
        return [2, Buffer.from(pick(texts)).subarray(0, random(20))];
    case T.BOOL:
        return [0, varint(random(2))];
    case T.INT64:
    case T.UINT64:
    case T.SINT64:
        return [0, varint(big())];
    case T.SINT32:
    case T.UINT32:
        return [0, varint(small() >>> 0)];
    default:
        return [0, varint(small())];
    }
}

function enumeration(desc) {
    if (desc.typeName === 'google.protobuf.NullValue') {
        return [0, varint(0)];
    }

    // unknown numbers of closed enums are a difference of their own

    return [0, varint(random(4) || !desc.open ? pick(desc.values).number
        : random(50))];
}

function put(number, [wire, bytes]) {
    return wire === 2 ? delimited(number, bytes)
        : Buffer.concat([tag(number, wire), bytes]);
}

function submessage(field, number, depth) {
    const bytes = message(field.message, depth + 1);

    return field.delimitedEncoding
        ? Buffer.concat([tag(number, 3), bytes, tag(number, 4)])
        : delimited(number, bytes);
}

function one(field, kind, number, depth) {
    if (kind === 'scalar') {
        return put(number, scalar(field.scalar));
    }

    return kind === 'enum' ? put(number, enumeration(field.enum))
        : submessage(field, number, depth);
}

function encode(field, depth) {
    const number = field.number;

    if (field.fieldKind === 'map') {
        const parts = [put(1, scalar(field.mapKey)),
            one(field, field.mapKind, 2, depth)];

        // entries may lack either, or have them the other way round

        if (random(8) === 0) {
            parts.reverse();
        }

        if (random(12) === 0 && field.mapKind === 'scalar') {
            parts.splice(random(2), 1);
        }

        return delimited(number, Buffer.concat(parts));
    }

    if (field.fieldKind !== 'list') {
        return one(field, field.fieldKind, number, depth);
    }

    const packable = field.listKind === 'enum' || (field.listKind === 'scalar'
        && field.scalar !== T.STRING && field.scalar !== T.BYTES);

    if (packable && random(3)) {
        const parts = [];

        for (let n = random(5); n > 0; n--) {
            parts.push((field.listKind === 'enum' ? enumeration(field.enum)
                : scalar(field.scalar))[1]);
        }

        return delimited(number, Buffer.concat(parts));
    }

    const parts = [];

    for (let n = random(3) + 1; n > 0; n--) {
        parts.push(one(field, field.listKind, number, depth));
    }

    return Buffer.concat(parts);
}

const inAny = ['test.kinds.Kinds', 'test.kinds.Kinds.Inner', 'test.old.Old',
    'google.protobuf.Duration', 'google.protobuf.Struct',
    'google.protobuf.Value', 'google.protobuf.Int64Value'];

function known(name, depth) {
    const seconds = () => BigInt(random(1 << 30)) - BigInt(random(1 << 30));

    switch (name) {
    case 'google.protobuf.Timestamp':
        return Buffer.concat([put(1, [0, varint(seconds() * 40n)]),
            put(2, [0, varint(pick([0, 1, 1000, 1000000, 999999999]))])]);

    case 'google.protobuf.Duration': {
        const sign = random(2) ? 1n : -1n;
        return Buffer.concat([
            put(1, [0, varint(sign * BigInt(random(1 << 30)))]),
            put(2, [0, varint(sign * pick([0n, 1n, 5000n, 999999999n]))])]);
    }

    case 'google.protobuf.FieldMask':
        return Buffer.concat(Array.from({ length: random(3) }, () =>
            delimited(1, Buffer.from(pick(['foo', 'foo_bar.baz', 'a_b'])))));

    case 'google.protobuf.Value': {
        const finite = Buffer.alloc(8);
        finite.writeDoubleLE(pick([0, 1, -2.5, 1e100]));

        switch (random(depth > 4 ? 4 : 6)) {
        case 0: return put(1, [0, varint(0)]);
        case 1: return put(2, [1, finite]);
        case 2: return put(3, scalar(T.STRING));
        case 3: return put(4, [0, varint(random(2))]);
        case 4: return delimited(5, message(
            registry.getMessage('google.protobuf.Struct'), depth + 1));
        default: return delimited(6, message(
            registry.getMessage('google.protobuf.ListValue'), depth + 1));
        }
    }

    case 'google.protobuf.Any': {
        const type = pick(depth > 3 ? inAny.slice(3, 4) : inAny);
        return Buffer.concat([
            delimited(1, Buffer.from(`type.googleapis.com/${type}`)),
            delimited(2, message(registry.getMessage(type), depth + 2))]);
    }
    }

    return null;
}

function message(desc, depth) {
    const bytes = known(desc.typeName, depth);

    if (bytes) {
        return bytes;
    }

    const parts = [];
    let n = random(depth > 3 ? 2 : 7);

    if (depth === 0) {
        n += 6;
    }

    for (; n > 0 && desc.fields.length; n--) {
        const field = pick(desc.fields);

        if (depth > 5 && field.message) {
            continue;
        }

        parts.push(encode(field, depth));

        if (random(20) === 0) {
            parts.push(put(700 + random(5), scalar(pick([T.INT32, T.STRING]))));
        }
    }

    return Buffer.concat(parts);
}


// comparing

function canonical(value) {
    return JSON.stringify(value, (key, v) => v && typeof v === 'object'
        && !Array.isArray(v)
        ? Object.fromEntries(Object.entries(v).sort(([a], [b]) =>
            a < b ? -1 : 1)) : v);
}

function attempt(f) {
    try {
        return { value: f() };
    } catch (error) {
        return { error };
    }
}

const failures = {};
const counts = {};

function check(name, good, ...why) {
    counts[name] = (counts[name] || 0) + 1;

    if (!good) {
        failures[name] = (failures[name] || 0) + 1;

        if (failures[name] < 4) {
            console.log(`# ${name}: ${why.join(' | ').slice(0, 1500)}`);
        }
    }
}


// JSON with one value replaced

const values = [null, true, false, 0, 1, -1, 1.5, 1e10, 4294967296, '', 'x',
    '1', '-1', 'RED', 'NaN', '1s', '2024-01-01T00:00:00Z', 'AQI=', [], {},
    [1], ['a'], [null], { a: 1 }, { 1: 1 }];

function mutate(root) {
    const places = [];
    const list = [root];

    while (list.length) {
        const at = list.pop();

        for (const key of Object.keys(at)) {
            places.push([at, key]);

            if (at[key] && typeof at[key] === 'object') {
                list.push(at[key]);
            }
        }
    }

    if (places.length) {
        const [at, key] = pick(places);
        at[key] = structuredClone(pick(values));
    }

    return root;
}


/*
 * Where the other is not as strict, or stricter, and we follow protobuf's own
 * implementations: see the list in t/grpc_differential.t.
 */

function differs(text, error, ours) {
    return /^error 2 .*not base64/.test(ours)
        || (/@type/.test(text) && (error || /^error/.test(ours)))
        || (error && /"wMask"|"rwMask"/.test(text));
}


async function run() {
    child.stdin.write(`set ${set.length}\n`);
    child.stdin.write(set);
    child.stdin.write('\n');

    check('load', await ask('load') === 'ok');

    for (let i = 0; i < rounds; i++) {
        const name = random(5) ? 'test.kinds.Kinds' : 'test.old.Old';
        const desc = registry.getMessage(name);
        const wire = message(desc, 0);
        const hex = wire.toString('hex');

        const theirs = attempt(() => pb.fromBinary(desc, wire));
        const json = theirs.error ? theirs
            : attempt(() => pb.toJson(desc, theirs.value, { registry }));
        const text = await ask(`to ${name} -`, wire);

        if (json.error) {
            check('both refuse', /^error/.test(text), json.error, text, hex);
            continue;
        }

        check('wire to JSON', text.startsWith('ok ')
            && canonical(JSON.parse(text.slice(3))) === canonical(json.value),
        text, canonical(json.value), hex);

        if (!text.startsWith('ok ')) {
            continue;
        }

        const back = attempt(() => pb.fromJson(desc, JSON.parse(text.slice(3)),
            { registry }));
        check('our JSON, their reader', back.value
            && canonical(pb.toJson(desc, back.value, { registry }))
               === canonical(json.value), back.error, text);

        const bytes = await ask(`from ${name} -`,
            Buffer.from(JSON.stringify(json.value)));
        const read = bytes.startsWith('ok ') && attempt(() =>
            pb.fromBinary(desc, Buffer.from(bytes.slice(3), 'hex')));
        check('their JSON, our reader', read && read.value
            && canonical(pb.toJson(desc, read.value, { registry }))
               === canonical(json.value), bytes, JSON.stringify(json.value));

        const changed = JSON.stringify(mutate(structuredClone(json.value)));
        const taken = attempt(() => pb.fromJson(desc, JSON.parse(changed),
            { registry }));
        const ours = await ask(`from ${name} -`, Buffer.from(changed));

        if (differs(changed, taken.error, ours)) {
            continue;
        }

        check('both take or refuse', !taken.error === ours.startsWith('ok'),
            taken.error, ours, changed);

        if (!taken.error && ours.startsWith('ok ')) {
            const same = attempt(() => pb.fromBinary(desc,
                Buffer.from(ours.slice(3), 'hex')));
            check('both take the same', same.value
                && canonical(pb.toJson(desc, same.value, { registry }))
                   === canonical(pb.toJson(desc, taken.value, { registry })),
            ours, changed);
        }
    }

    for (const name of Object.keys(counts)) {
        console.log(`${failures[name] ? 'not ' : ''}ok - ${name}`);
        console.log(`# ${name}: ${counts[name]}`);
    }

    child.stdin.end();
}

run().then(() => 0, (error) => {
    console.log(`not ok - ${error.stack}`);
    process.exit(1);
});

// What the pure half of graphql/ says about documents, against graphql-js:
// the errors of parsing and validation with their places and their order,
// introspection, the values of variables.
//
//     graphql_differential.js TOOL DATA SEED ROUNDS
//
// Prints lines of TAP without a plan.

'use strict';

const assert = require('assert');
const fs = require('fs');
const g = require('graphql');

const { Tool } = require('./graphql_tool.js');
const { Generator } = require('./graphql_generator.js');

const [path, data, seed, rounds] = process.argv.slice(2);
const tool = new Tool(path);

const ours = ['rest', 'json', 'discriminate', 'allow'];
const builtin = ['skip', 'include', 'deprecated', 'specifiedBy', 'oneOf'];
const scalars = ['Int', 'Float', 'String', 'Boolean', 'ID'];

// a rule beyond the specification
const rules = g.specifiedRules.filter(
    (rule) => rule.name !== 'MaxIntrospectionDepthRule');

const most = 20;


function tell(name, problems) {
    console.log(`${problems.length ? 'not ok' : 'ok'} - ${name}`);
    problems.slice(0, 5).forEach((text) => console.log(
        text.replace(/^/gm, '# ')));
}


function lines(errors) {
    return errors.map((error) => `${error.message} @ `
        + (error.locations || []).map((l) => `${l.line}:${l.column}`).join(' '));
}


function expected(schema, text) {
    try {
        return lines(g.validate(schema, g.parse(text), rules,
            { maxErrors: 1000 }));
    } catch (error) {
        return lines([error]);
    }
}


// where the two are meant to differ; of a long text we show the start
function aside(found, wanted) {

    // graphql-js checks these after validation
    const operations = /operation is not supported by the schema/;

    // graphql-js misses it where the object may not be null
    const oneOf = /must be non-nullable to be used for OneOf/;

    return found.filter((line) => !operations.test(line)
        && (!oneOf.test(line) || wanted.includes(line)))
        .map((line, i) => (/\.\.\.\.? @/.test(line) && wanted[i]
            && wanted[i].startsWith(line.replace(/\.\.\.\.? @[^]*/, ''))
            ? wanted[i] : line));
}


function difference(text, answer, wanted) {
    const before = lines(answer.errors);
    let found = aside(before, wanted);

    if (wanted.includes('Validation aborted. @ ')) {
        return null;
    }

    // conflicts in what spreads itself are told until the bound is reached
    if (wanted.some((line) => / within itself/.test(line))) {
        if (wanted.length > most) {
            return null;
        }

        [found, wanted] = [found, wanted].map((list) => list.filter(
            (line) => !/conflict because/.test(line)));
    }

    if (before.length === most) {
        wanted = wanted.slice(0, found.length);
    }

    if (JSON.stringify(found) === JSON.stringify(wanted)) {
        return null;
    }

    return `${JSON.stringify(text)}\nours:\n${found.join('\n')}\n`
        + `graphql-js:\n${wanted.join('\n')}`;
}


async function build(file) {
    const sdl = fs.readFileSync(`${data}/${file}`, 'utf8');
    const answer = await tool.schema(sdl);

    tell(`${file}: a schema`, lines(answer.errors));

    return g.buildASTSchema(g.visit(g.parse(sdl), {
        Directive: (node) => (ours.includes(node.name.value) ? null
            : undefined),
    }));
}


async function written(schema, file) {
    const problems = [];

    for (const text of fs.readFileSync(`${data}/${file}`, 'utf8')
        .split('\n====\n'))
    {
        const problem = difference(text, await tool.document(text),
            expected(schema, text));

        if (problem) {
            problems.push(problem);
        }
    }

    tell(`${file}: errors`, problems);
}


async function generated(schema, name, n, mistakes, mutations) {
    const generator = new Generator(schema, n + +seed, mistakes);
    const problems = [];
    const seen = { valid: 0, invalid: 0 };

    for (let i = 0; i < +rounds; i++) {
        let text = generator.document();

        if (generator.chance(mutations)) {
            text = generator.mutate(text);
        }

        const wanted = expected(schema, text);
        const problem = difference(text, await tool.document(text), wanted);

        seen[wanted.length ? 'invalid' : 'valid']++;

        if (problem) {
            problems.push(problem);
        }
    }

    tell(`${name}: ${rounds} documents, seed ${seed}`, problems);
    tell(`${name}: some valid, some not`,
        seen.valid && seen.invalid ? [] : [JSON.stringify(seen)]);
}


// without what each has to say in its own words
function plain(introspection) {
    const schema = JSON.parse(JSON.stringify(introspection)).__schema;

    schema.types = schema.types.filter((type) => !/^__/.test(type.name));
    schema.types.filter((type) => scalars.includes(type.name))
        .forEach((type) => { type.description = null; });
    schema.directives = schema.directives.filter(
        (directive) => !builtin.includes(directive.name));

    return JSON.stringify(schema, null, 1);
}


async function introspection(schema, name) {
    const options = {
        descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true,
        schemaDescription: true, inputValueDeprecation: true, oneOf: true,
        experimentalDirectiveDeprecation: false,
    };
    const answer = await tool.document(g.getIntrospectionQuery(options));
    const { data: found } = await tool.ask('introspect');
    const wanted = g.introspectionFromSchema(schema, options);
    const problems = lines(answer.errors);

    try {
        assert.strictEqual(plain(found), plain(wanted));
        assert.deepStrictEqual(
            found.__schema.types.map((type) => type.name),
            wanted.__schema.types.map((type) => type.name));
        assert.strictEqual(g.printSchema(g.buildClientSchema(found)),
            g.printSchema(schema));
    } catch (error) {
        problems.push(error.message);
    }

    tell(`${name}: introspection`, problems);
}


async function variables(schema, name) {
    const generator = new Generator(schema, +seed, 0.03);
    const types = ['Int', 'Float!', 'String', 'ID!', 'Boolean', '[Int!]!',
        '[[Float]]', 'Color', '[Color!]', 'Point', 'Point!', '[Point]', 'One',
        '[One!]', 'JSON', '[Date]'];
    const problems = [];

    for (let i = 0; i < +rounds; i++) {
        const type = generator.pick(types);
        const text = `query ($v: ${type}${generator.chance(0.2)
            ? generator.variableDefault(type) : ''}) `
            + '{ dog(filter: {a: $v}) { id } }';
        const json = generator.chance(0.1) ? '{}'
            : `{"v":${generator.json(g.typeFromAST(schema,
                g.parseType(type)), 0)}}`;

        if ((await tool.document(text)).errors.length) {
            continue;
        }

        const answer = await tool.variables(json);
        const [operation] = g.parse(text).definitions;
        const wanted = require('graphql/execution/values').getVariableValues(
            schema, operation.variableDefinitions, JSON.parse(json));

        if ((answer.errors || []).length !== (wanted.errors || []).length) {
            problems.push(`${text} ${json}\n`
                + `${JSON.stringify(answer)}\n`
                + `${JSON.stringify(wanted)}`);
            continue;
        }

        if (answer.values && 'v' in wanted.coerced) {
            try {
                assert.deepEqual(JSON.parse(JSON.stringify(answer.values[0])),
                    JSON.parse(JSON.stringify(wanted.coerced.v)));
            } catch (error) {
                problems.push(`${text} ${json}\n${error.message}`);
            }
        }
    }

    tell(`${name}: variables`, problems);
}


(async () => {
    const shop = await build('shop.graphql');

    await written(shop, 'documents.txt');
    await introspection(shop, 'shop');
    await generated(shop, 'shop', 1, 0.02, 0.1);

    const zoo = await build('zoo.graphql');

    await introspection(zoo, 'zoo');
    await generated(zoo, 'zoo, few mistakes', 2, 0.004, 0);
    await generated(zoo, 'zoo, more mistakes', 3, 0.02, 0);
    await generated(zoo, 'zoo, mutated', 4, 0.004, 1);
    await variables(zoo, 'zoo');

    tool.end();
})();

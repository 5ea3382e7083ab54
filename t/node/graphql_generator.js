// Random documents and variables for a schema, most of them nearly valid: at
// each turn there is a small chance of a mistake.

'use strict';

const g = require('graphql');


class Generator {
    constructor(schema, seed, mistakes) {
        this.schema = schema;
        this.seed = seed;
        this.mistakes = mistakes;
        this.types = Object.values(schema.getTypeMap())
            .filter((type) => !type.name.startsWith('__'));
    }

    random() {
        this.seed = (Math.imul(this.seed, 1103515245) + 12345) & 0x7fffffff;
        return (this.seed >> 8) / 0x800000;
    }

    below(n) {
        return Math.floor(this.random() * n);
    }

    chance(p) {
        return this.random() < p;
    }

    mistake(times = 1) {
        return this.chance(this.mistakes * times);
    }

    pick(list) {
        return list[this.below(list.length)];
    }

    some(n, make) {
        return Array.from({ length: this.below(n) }, make);
    }

    typeReference() {
        let type = this.chance(0.1) ? 'Nope' : this.pick(this.types).name;

        if (this.chance(0.3)) {
            type = `[${type}${this.chance(0.3) ? '!' : ''}]`;
        }

        return type + (this.chance(0.3) ? '!' : '');
    }

    // literals

    scalar(name) {
        if (this.mistake()) {
            return this.pick(['"s"', '1', '1.5', 'true', 'ENUM', '{a: 1}',
                '[1]', '$undefined', 'null', '"""block"""', '2147483648',
                '[]', '{}']);
        }

        switch (name) {
        case 'Int':
            return String(this.below(100) - 50);
        case 'Float':
            return this.pick(['1', '1.5', '-2e3', '0.0']);
        case 'Boolean':
            return this.pick(['true', 'false']);
        case 'ID':
            return this.pick(['1', '"x"', '"""b"""']);
        case 'String':
            return this.pick(['"a"', '"\\u00e9\\n"', '"""\n  x\n   y\n"""']);
        default:
            return this.pick(['1', '"d"', '{a: 1, b: [2, {c: X}]}',
                '[1, "a"]', 'true', '1e400']);
        }
    }

    value(type, depth, constant) {
        const nullable = g.isNonNullType(type) ? type.ofType : type;

        if (this.chance(0.08) ? nullable === type : this.mistake(0.5)) {
            return 'null';
        }

        if (!constant && this.chance(0.2)) {
            const name = `v${this.below(5)}`;

            if (!this.variables[name]) {
                this.variables[name] = this.chance(0.9) ? String(type)
                    : this.typeReference();
            }

            return `$${name}`;
        }

        if (g.isListType(nullable)) {
            return this.chance(0.3)
                ? this.value(nullable.ofType, depth + 1, constant)
                : '[' + this.some(3, () => this.value(nullable.ofType,
                    depth + 1, constant)).join(' ') + ']';
        }

        if (g.isEnumType(nullable)) {
            return this.mistake()
                ? this.pick(['REDD', '"RED"', 'red', '1', 'BLU'])
                : this.pick(nullable.getValues()).name;
        }

        if (g.isInputObjectType(nullable)) {
            return this.object(nullable, depth, constant);
        }

        const text = this.scalar(nullable.name);
        return constant ? text.replace(/\$\w+/, '1') : text;
    }

    object(type, depth, constant) {
        if (this.mistake()) {
            return this.scalar('Int').replace(/\$\w+/, '1');
        }

        let fields = Object.values(type.getFields());

        if (type.isOneOf && !this.mistake(2)) {
            fields = depth < 4 ? [this.pick(fields)] : [];
        } else {
            fields = fields.filter((field) => this.chance(
                g.isRequiredInputField(field) ? 1 - this.mistakes
                    : depth < 3 ? 0.3 : 0));
        }

        const parts = fields.map((field) => field.name + ': '
            + this.value(field.type, depth + 1, constant));

        if (this.mistake()) {
            parts.push('lable: 1');
        }

        if (this.mistake() && parts.length) {
            parts.push(parts[0]);
        }

        return `{${(this.chance(0.3) ? parts.reverse() : parts).join(', ')}}`;
    }

    args(definitions, constant) {
        const parts = definitions
            .filter((arg) => this.chance(g.isRequiredArgument(arg)
                ? 1 - this.mistakes : 0.3))
            .map((arg) => `${arg.name}: `
                + this.value(arg.type, 0, constant));

        if (this.mistake()) {
            parts.push(this.pick(['frist: 1', 'x: 2', 'colour: RED',
                'nam: "x"']));
        }

        if (this.mistake() && parts.length) {
            parts.push(parts[0]);
        }

        return parts.length ? `(${parts.join(', ')})` : '';
    }

    directives(location, constant) {
        const fitting = this.schema.getDirectives()
            .filter((d) => d.locations.includes(location));
        let text = '';

        while (this.chance(0.1) && fitting.length) {
            const d = this.pick(this.mistake() ? this.schema.getDirectives()
                : fitting);
            text += ` @${d.name}${this.args(d.args, constant)}`;
        }

        return this.mistake() ? `${text} @nope(a: 1)` : text;
    }

    // selections

    overlapping(type) {
        return this.types.filter((other) => g.isCompositeType(other)
            && (this.mistake() || g.doTypesOverlap(this.schema, type, other)));
    }

    set(type, depth) {
        const selections = [];

        for (let n = 1 + this.below(4); n > 0; n--) {
            selections.push(this.selection(type, depth));
        }

        return `{ ${selections.join(this.chance(0.3) ? '\n  ' : ' ')} }`;
    }

    selection(type, depth) {
        const turn = this.random();

        if (turn < 0.12 && depth < 6) {
            return this.inline(type, depth);
        }

        if (turn < 0.24) {
            const spread = this.spread(type);

            if (spread) {
                return spread;
            }
        }

        return this.field(type, depth);
    }

    inline(type, depth) {
        const directives = this.directives('INLINE_FRAGMENT');

        if (this.chance(0.2)) {
            return `...${directives} ${this.set(type, depth + 1)}`;
        }

        if (this.mistake()) {
            return `... on ${this.pick(['Nope', 'Dgo', 'Int', 'Point'])} `
                + this.set(type, depth + 1);
        }

        const on = this.pick(this.overlapping(type));
        return `... on ${on.name}${directives} ${this.set(on, depth + 1)}`;
    }

    spread(type) {
        if (this.mistake()) {
            return '...Nope';
        }

        const directives = this.directives('FRAGMENT_SPREAD');
        const overlapping = this.overlapping(type);
        const names = Object.keys(this.fragments);
        const known = names.filter(
            (name) => overlapping.includes(this.fragments[name])
                && (this.mistake() || this.fragmentDepth < names.indexOf(name)));

        if (known.length && this.chance(0.6)) {
            return `...${this.pick(known)}${directives}`;
        }

        if (names.length >= 6) {
            return '';
        }

        const name = `F${names.length}`;
        this.fragments[name] = this.pick(overlapping);
        this.unwritten.push(name);

        return `...${name}${directives}`;
    }

    field(type, depth) {
        const fields = type.getFields ? Object.values(type.getFields()) : [];

        if (this.chance(0.07) || !fields.length || depth > 5) {
            return `${this.chance(0.2) ? `a${this.below(3)}: ` : ''}__typename`
                + (this.mistake() ? ' { x }' : '');
        }

        if (type === this.schema.getQueryType() && this.chance(0.03)) {
            return this.pick(['__schema { types { name } }',
                '__type(name: "Dog") { fields { type { ofType { kind } } } }',
                '__type { name }']);
        }

        if (this.mistake()) {
            return this.pick(['nmae', 'id2', 'barks', 'vol: volume', 'meows',
                'frends { id }', 'id { x }', 'friends']);
        }

        const field = this.pick(fields);
        const named = g.getNamedType(field.type);
        let text = this.chance(0.15)
            ? this.pick(['a: ', 'b: ', 'c: ', 'id: ', 'name: ']) : '';

        text += field.name + this.args(field.args) + this.directives('FIELD');

        if (g.isCompositeType(named)) {
            return this.mistake() ? text
                : `${text} ${this.set(named, depth + 1)}`;
        }

        return this.mistake() ? `${text} { x }` : text;
    }

    // whole documents

    document() {
        const definitions = [];
        const operations = this.chance(0.85) ? 1 : 2;

        this.fragments = {};
        this.unwritten = [];

        for (let i = 0; i < operations; i++) {
            this.variables = {};
            this.fragmentDepth = -1;
            definitions.push(...this.operation(i, operations));
        }

        if (this.mistake()) {
            definitions.push('fragment Unused on Dog { id }');
        }

        return definitions.join(this.chance(0.5) ? '\n' : '\r\n');
    }

    operation(index, of) {
        const mutation = this.chance(0.15) && this.schema.getMutationType();
        const kind = mutation ? 'mutation' : 'query';
        const root = mutation || this.schema.getQueryType();
        const body = this.set(root, 0);
        const fragments = [];

        while (this.unwritten.length) {
            const name = this.unwritten.shift();
            const on = this.mistake() ? this.pick(['Nope', 'Point', 'Doog'])
                : this.fragments[name].name;

            this.fragmentDepth = Object.keys(this.fragments).indexOf(name);
            fragments.push(`fragment ${name} on ${on}`
                + `${this.directives('FRAGMENT_DEFINITION')} `
                + this.set(this.fragments[name], 2));
        }

        const variables = Object.keys(this.variables)
            .filter(() => !this.mistake())
            .map((name) => `$${name}: ${this.variables[name]}`
                + this.variableDefault(this.variables[name])
                + this.directives('VARIABLE_DEFINITION', true));

        if (this.mistake()) {
            variables.push('$unused: Int');
        }

        if (this.mistake() && variables.length) {
            variables.push(variables[0]);
        }

        const name = of > 1 ? (this.mistake() ? 'A' : `Q${index}`)
            : this.pick(['', 'Q']);
        const list = variables.length ? `(${variables.join(', ')})` : '';

        return [`${kind} ${name}${list}`
            + `${this.directives(kind.toUpperCase())} ${body}`, ...fragments];
    }

    variableDefault(reference) {
        const type = g.typeFromAST(this.schema, g.parseType(reference));

        return this.chance(0.15) && type && g.isInputType(type)
            ? ` = ${this.value(type, 0, true)}` : '';
    }

    // tokens that go, come, or are cut

    mutate(text) {
        const tokens = text.match(
            /"""[^]*?"""|"(?:\\.|[^"\\])*"|\.\.\.|\w+|\s+|[^]/g);
        const odd = ['{', '}', '(', ')', ':', '$', '@', '"', '...', '!', '[',
            ']', '=', '|', '&', '\u00e9', '"""', '0', '-', '.', 'on', '#',
            '\ufeff', '\u0000', '\u{1f600}', '1.5', 'true', '"\\u12"', '\\'];

        for (let n = 1 + this.below(2); n > 0; n--) {
            const i = this.below(tokens.length);

            switch (this.below(4)) {
            case 0:
                tokens.splice(i, 1);
                break;
            case 1:
                tokens.splice(i, 0, this.pick(odd));
                break;
            case 2:
                tokens[i] = this.pick(tokens);
                break;
            default:
                tokens[i] = (tokens[i] || '').slice(0, -1);
            }
        }

        return tokens.join('');
    }

    // JSON for a variable

    json(type, depth) {
        const nullable = g.isNonNullType(type) ? type.ofType : type;

        if (this.chance(0.08) ? nullable === type : this.mistake(0.5)) {
            return 'null';
        }

        if (this.mistake()) {
            return this.pick(['"s"', '1', '1.5', 'true', '{"a":1}', '[1]',
                '2147483648', '[]', '{}', '1.0', '1e2', '1e400',
                '"RED"', '12345678901234567890']);
        }

        if (g.isListType(nullable)) {
            return this.chance(0.2) ? this.json(nullable.ofType, depth + 1)
                : `[${this.some(3, () => this.json(nullable.ofType,
                    depth + 1)).join(',')}]`;
        }

        if (g.isEnumType(nullable)) {
            return JSON.stringify(this.pick(nullable.getValues()).name);
        }

        if (!g.isInputObjectType(nullable)) {
            return {
                Int: () => this.pick(['0', '5', '-7', '2147483647']),
                Float: () => this.pick(['0', '1.50', '-2e3']),
                Boolean: () => this.pick(['true', 'false']),
                ID: () => this.pick(['1', '"x"', '-3']),
                String: () => this.pick(['"a"', '"\\u00e9\\n"', '""']),
            }[nullable.name]?.() ?? this.pick(['1.50', '"d"', '{"a":[1]}']);
        }

        const parts = Object.values(nullable.getFields())
            .filter((field) => this.chance(g.isRequiredInputField(field)
                ? 1 - this.mistakes : depth < 3 ? 0.4 : 0))
            .slice(0, nullable.isOneOf && !this.mistake(2) ? 1 : 99)
            .map((field) => `"${field.name}":${this.json(field.type,
                depth + 1)}`);

        if (this.mistake()) {
            parts.push('"lable":1');
        }

        return `{${parts.join(',')}}`;
    }
}


module.exports = { Generator };

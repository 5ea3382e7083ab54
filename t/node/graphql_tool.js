// t/unit/graphql_tool.c as a process that is asked, one line of JSON each.

'use strict';

const { spawn } = require('child_process');
const readline = require('readline');


class Tool {
    constructor(path) {
        this.waiting = [];
        this.last = '';

        this.process = spawn(path, [], { stdio: ['pipe', 'pipe', 'inherit'] });
        this.process.stdin.on('error', () => {});

        readline.createInterface({ input: this.process.stdout })
            .on('line', (line) => this.waiting.shift()(line));

        this.process.on('exit', (code, signal) => {
            if (this.waiting.length) {
                console.log(`not ok - the tool died: ${code} ${signal}: `
                            + JSON.stringify(this.last));
                process.exit(1);
            }
        });
    }

    send(command, text) {
        const bytes = Buffer.from(text);

        this.last = text;
        this.process.stdin.write(command.replace('#', bytes.length) + '\n');
        this.process.stdin.write(bytes);
        this.process.stdin.write('\n');
    }

    answer() {
        return new Promise((resolve) => this.waiting.push(
            (line) => resolve(JSON.parse(line))));
    }

    ask(command, text) {
        if (text === undefined) {
            this.process.stdin.write(command + '\n');
        } else {
            this.send(command, text);
        }

        return this.answer();
    }

    schema(sdl) {
        this.send('source schema #', sdl);
        return this.ask('build');
    }

    document(text, introspection = 1) {
        return this.ask(`doc # ${introspection}`, text);
    }

    variables(values) {
        return this.ask('vars #', values);
    }

    end() {
        this.process.stdin.end();
    }
}


module.exports = { Tool };

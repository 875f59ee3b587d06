#!/usr/bin/env node
import type { Command, CommandIo } from './commands/command.ts';
import { EXIT } from './commands/command.ts';
import { demo } from './commands/demo.ts';
import { dev } from './commands/dev.ts';
import { policyValidateCommand } from './commands/policy-validate.ts';
import { serve } from './commands/serve.ts';
import { taskCommand } from './commands/task.ts';

const commands: readonly Command[] = [serve, dev, demo, policyValidateCommand, taskCommand];

const help = `remit: is this call within the remit of the task this workload was given?

usage: remit COMMAND [ARGUMENT ...]

${commands.map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}`).join('\n')}

  remit COMMAND --help   what a command takes, with examples
exit: 0 good, 1 the answer is no, 2 bad use or bad input`;

async function main(words: readonly string[], io: CommandIo): Promise<number> {
  const command = commands.find(({ name }) => name.split(' ').every((word, index) => words[index] === word));
  const rest = words.slice(command?.name.split(' ').length ?? 0);
  const asksHelp = rest.includes('--help') || rest.includes('-h');
  if (command === undefined) {
    const isHelp = words.length === 0 || asksHelp || words[0] === 'help';
    (isHelp ? io.out : io.err)(isHelp ? help : `remit: \`${words.join(' ')}\` is not a command\n\n${help}`);
    return words.length > 0 && isHelp ? EXIT.good : EXIT.bad;
  }
  if (asksHelp) {
    io.out(command.help);
    return EXIT.good;
  }
  return command.run(rest, io);
}

const ended = new Promise<string>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
});

process.exitCode = await main(process.argv.slice(2), {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  environment: process.env,
  runtimeVersion: process.versions.node,
  ended,
  onReload: (reload) => void process.on('SIGHUP', reload),
});

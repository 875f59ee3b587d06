import { run } from '../../src/commands/run.ts';
import { token } from '../../src/commands/token.ts';

/** `remit run` and `remit token` as a process for tests to signal and kill. */
const signals = ['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
const [name = '', ...words] = process.argv.slice(2);
const command = [run, token].find((known) => known.name === name);
process.exitCode = await command?.run(words, {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  environment: process.env,
  runtimeVersion: process.versions.node,
  ended: new Promise(() => undefined),
  onReload: () => undefined,
  onSignal: (heard) => {
    for (const signal of signals) process.on(signal, heard);
    return () => {
      for (const signal of signals) process.off(signal, heard);
    };
  },
});

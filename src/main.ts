#!/usr/bin/env node
import type { Interface } from 'node:readline';
import { EXIT } from './commands/command.ts';
import type { Command, CommandIo } from './commands/command.ts';
import { faultText } from './commands/fault-text.ts';
import { nodeProblem } from './config/required-node.ts';
import { remitVersion } from './config/version.ts';
import { allocatorToAdd, flagsToAdd, SERVING_ALLOCATOR, SERVING_FLAGS } from './runtime/v8-flags.ts';

/** A command and the words that name it. Its code is loaded only when it is called. */
interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
  /** Long-running: started with the V8 flags and allocator settings of a server, unless the operator has set them. */
  readonly isServer?: true;
}

const entries: readonly Entry[] = [
  {
    name: 'init',
    summary: 'write a folder to start with: configuration, Envoy, policies, SPIRE entries',
    load: async () => (await import('./commands/init.ts')).init,
  },
  {
    name: 'serve',
    summary: 'run the roles named in the configuration',
    load: async () => (await import('./commands/serve.ts')).serve,
    isServer: true,
  },
  {
    name: 'healthcheck',
    summary: 'ask a running Remit whether it is ready',
    load: async () => (await import('./commands/healthcheck.ts')).healthcheckCommand,
  },
  {
    name: 'run',
    summary: 'run a command under a task of its own',
    load: async () => (await import('./commands/run.ts')).run,
  },
  {
    name: 'token',
    summary: 'print one token for other tools',
    load: async () => (await import('./commands/token.ts')).token,
  },
  {
    name: 'intent check',
    summary: 'what the issuer would grant of an intent',
    load: async () => (await import('./commands/intent-check.ts')).intentCheck,
  },
  {
    name: 'intent new',
    summary: 'write an intent from a catalog, or from what a task used',
    load: async () => (await import('./commands/intent-new.ts')).intentNew,
  },
  {
    name: 'task',
    summary: 'list, show, suspend, resume or end tasks',
    load: async () => (await import('./commands/task.ts')).taskCommand,
  },
  {
    name: 'key',
    summary: 'list or revoke the signing keys of authorities on a PostgreSQL',
    load: async () => (await import('./commands/key.ts')).keyCommand,
  },
  {
    name: 'backup',
    summary: 'back up state file and ledgers to a new folder, while serving',
    load: async () => (await import('./commands/backup.ts')).backupCommand,
  },
  {
    name: 'restore',
    summary: 'restore a backup',
    load: async () => (await import('./commands/restore.ts')).restoreCommand,
  },
  {
    name: 'migrate',
    summary: 'make or update the tables of the state in a PostgreSQL',
    load: async () => (await import('./commands/migrate.ts')).migrateCommand,
  },
  {
    name: 'secrets',
    summary: 'list the long-lived secrets that agents sent',
    load: async () => (await import('./commands/secrets.ts')).secrets,
  },
  {
    name: 'fleet',
    summary: 'show an authority and the sidecars that follow it',
    load: async () => (await import('./commands/fleet.ts')).fleetCommand,
  },
  {
    name: 'doctor',
    summary: 'find why calls are not checked, or why none gets through',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
  {
    name: 'trace',
    summary: 'show the next matching check stage by stage',
    load: async () => (await import('./commands/trace.ts')).traceCommand,
  },
  {
    name: 'explain',
    summary: 'say in plain words why a call was denied',
    load: async () => (await import('./commands/explain.ts')).explainCommand,
  },
  {
    name: 'ledger evidence',
    summary: 'report what the ledger shows for the controls of a framework',
    load: async () => (await import('./commands/ledger-evidence.ts')).ledgerEvidenceCommand,
  },
  {
    name: 'ledger query',
    summary: 'find records by task, agent, decision, time or trace',
    load: async () => (await import('./commands/ledger-query.ts')).ledgerQueryCommand,
  },
  {
    name: 'ledger verify',
    summary: 'verify the ledger: which records are anchored, signed, bare or broken',
    load: async () => (await import('./commands/ledger-verify.ts')).ledgerVerifyCommand,
  },
  {
    name: 'ledger fetch',
    summary: 'copy the records of sidecars from an object store',
    load: async () => (await import('./commands/ledger-fetch.ts')).ledgerFetchCommand,
  },
  {
    name: 'ledger prove',
    summary: 'prove that one record is in the ledger',
    load: async () => (await import('./commands/ledger-prove.ts')).ledgerProveCommand,
  },
  {
    name: 'ledger check-proof',
    summary: 'check a proof without the ledger',
    load: async () => (await import('./commands/ledger-check-proof.ts')).ledgerCheckProofCommand,
  },
  {
    name: 'ledger export',
    summary: 'export records as JSON Lines or OTLP logs, to a file or a collector',
    load: async () => (await import('./commands/ledger-export.ts')).ledgerExportCommand,
  },
  {
    name: 'policy validate',
    summary: 'check policies, schema, entities and action catalog',
    load: async () => (await import('./commands/policy-validate.ts')).policyValidateCommand,
  },
  {
    name: 'policy test',
    summary: 'run the test cases of the policies',
    load: async () => (await import('./commands/policy-test.ts')).policyTestCommand,
  },
  {
    name: 'policy explain',
    summary: 'explain why a call is allowed or denied, and what would change that',
    load: async () => (await import('./commands/policy-explain.ts')).policyExplainCommand,
  },
  {
    name: 'policy lint',
    summary: 'find what is valid but probably a mistake',
    load: async () => (await import('./commands/policy-lint.ts')).policyLint,
  },
  {
    name: 'policy fmt',
    summary: "format policies in Cedar's own style",
    load: async () => (await import('./commands/policy-fmt.ts')).policyFmt,
  },
  {
    name: 'policy new',
    summary: 'write a permit for one action, from the types of its arguments',
    load: async () => (await import('./commands/policy-new.ts')).policyNew,
  },
  {
    name: 'policy schema',
    summary: 'print the schema that policies are checked against, for editors',
    load: async () => (await import('./commands/policy-schema.ts')).policySchema,
  },
  {
    name: 'policy bundle',
    summary: 'sign a policy folder, with a serial and an expiry',
    load: async () => (await import('./commands/policy-bundle.ts')).policyBundle,
  },
  {
    name: 'policy rollout',
    summary: 'show what policies on trial would have decided differently',
    load: async () => (await import('./commands/policy-rollout.ts')).policyRollout,
  },
  {
    name: 'policy diff',
    summary: 'show what another policy set decides differently, on records and cases',
    load: async () => (await import('./commands/policy-diff.ts')).policyDiff,
  },
  {
    name: 'policy eval',
    summary: 'answer plain Cedar requests with the engine of Remit',
    load: async () => (await import('./commands/policy-eval.ts')).policyEvalCommand,
  },
  {
    name: 'policy import',
    summary: 'make catalog entries from an OpenAPI, MCP tools or proto file',
    load: async () => (await import('./commands/policy-import.ts')).policyImport,
  },
  {
    name: 'inject',
    summary: 'add the Remit sidecar to Kubernetes workloads',
    load: async () => (await import('./commands/inject.ts')).injectCommand,
  },
  {
    name: 'dev',
    summary: 'start a throw-away trust domain with Envoy, to try things',
    load: async () => (await import('./commands/dev.ts')).dev,
  },
  {
    name: 'demo',
    summary: 'run one task through a real Envoy, step by step',
    load: async () => (await import('./commands/demo.ts')).demo,
  },
];

const help = `remit: is this call within the remit of the task this workload was given?

usage: remit COMMAND [ARGUMENT ...]

${entries.map(({ name, summary }) => `  ${name.padEnd(18)} ${summary}`).join('\n')}

  remit COMMAND --help   what a command takes, with examples
  remit --version        the version of this build
exit codes: 0 success, 1 the answer is no, 2 bad use or bad input; run exits as its command does; ledger verify and doctor have their own`;

async function main(words: readonly string[], io: CommandIo): Promise<number> {
  const entry = entries.find(({ name }) => name.split(' ').every((word, index) => words[index] === word));
  const rest = words.slice(entry?.name.split(' ').length ?? 0);
  // Arguments after `--` belong to another command.
  const end = rest.indexOf('--');
  const own = new Set(rest.slice(0, end === -1 ? rest.length : end));
  const asksHelp = own.has('--help') || own.has('-h');
  if (words[0] === '--version' || words[0] === 'version') {
    io.out(`remit ${remitVersion()}`);
    return EXIT.good;
  }
  if (entry === undefined) {
    const isHelp = words.length === 0 || asksHelp || words[0] === 'help';
    (isHelp ? io.out : io.err)(isHelp ? help : `remit: \`${words.join(' ')}\` is not a command\n\n${help}`);
    return words.length > 0 && isHelp ? EXIT.good : EXIT.bad;
  }
  // INVARIANT: before loading a command, whose imports may need a newer Node.
  const problem = nodeProblem(io.runtimeVersion);
  if (problem !== null) {
    io.err(`remit: ${problem}`);
    return EXIT.bad;
  }
  if (!asksHelp && entry.isServer) beginAnewToServe();
  try {
    const command = await entry.load();
    if (!asksHelp) return await command.run(rest, io);
    io.out(command.help);
    return EXIT.good;
  } catch (error) {
    for (const line of faultText(error, io.environment)) io.err(`remit ${entry.name}: ${line}`);
    return EXIT.bad;
  }
}

/**
 * Replaces this process by the same program with the flags of a server (`execve`): V8 and the allocator read most settings only at start.
 * If the system has no such call, or a parent uses an IPC channel that would be lost, the program continues without them.
 */
function beginAnewToServe(): void {
  const { execArgv, env, execPath, argv } = process;
  const added = flagsToAdd(SERVING_FLAGS, { execArgv, nodeOptions: env['NODE_OPTIONS'] });
  const allocator = allocatorToAdd(SERVING_ALLOCATOR, env);
  const isAsWanted = added.length === 0 && Object.keys(allocator).length === 0;
  if (isAsWanted || process.connected || typeof process.execve !== 'function') return;
  try {
    process.execve(execPath, [execPath, ...added, ...execArgv, ...argv.slice(1)], { ...env, ...allocator });
  } catch {
    // Nothing has happened yet, so continuing is safe.
  }
}

const passable = ['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

const ENDING = ['SIGINT', 'SIGTERM'] as const;

/** Calls back on the next SIGINT or SIGTERM, then stops listening. The returned function cancels it. */
function onNextEnd(heard: (signal: string) => void): () => void {
  const stop = (): void => {
    for (const signal of ENDING) process.off(signal, once);
  };
  const once = (signal: string): void => {
    stop();
    heard(signal);
  };
  for (const signal of ENDING) process.on(signal, once);
  return stop;
}

let ended: Promise<string> | null = null;

/**
 * The first SIGINT or SIGTERM, for a command that shuts down by itself. INVARIANT: nothing listens before a command asks, nor
 * after the first signal, so that a signal ends every other command at once, and a second signal ends one that hangs.
 */
const endedBySignal = (): Promise<string> => (ended ??= new Promise<string>((resolve) => void onNextEnd(resolve)));

let terminal: { readonly lines: AsyncIterator<string>; readonly interface: Interface } | null = null;

/** Asks on the terminal; `null` at the end of input (Ctrl-D, Ctrl-C). One reader for all questions, so that no line typed ahead is lost. */
async function askOnTerminal(question: string): Promise<string | null> {
  if (terminal === null) {
    const { createInterface } = await import('node:readline');
    const opened = createInterface({ input: process.stdin, output: process.stderr });
    terminal = { interface: opened, lines: opened[Symbol.asyncIterator]() };
  }
  terminal.interface.setPrompt(question);
  terminal.interface.prompt();
  const next = await terminal.lines.next();
  return next.done === true ? null : next.value;
}

// A failing output must not end a server, and a command with incomplete output must not report success. A reader that closed
// the pipe wanted no more.
let isOutputWhole = true;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => (isOutputWhole &&= error.code === 'EPIPE'));
}
process.on('exit', (code) => {
  if (code === EXIT.good && !isOutputWhole) process.exitCode = EXIT.no;
});

process.exitCode = await main(process.argv.slice(2), {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  stdout: process.stdout,
  stdin: () => process.stdin,
  ...(process.stderr.isTTY ? { progress: (line) => void process.stderr.write(`\r\x1b[K${line}`) } : {}),
  isTerminal: process.stderr.isTTY,
  ...(process.stdin.isTTY && process.stderr.isTTY ? { ask: askOnTerminal } : {}),
  environment: process.env,
  command: [process.execPath, ...process.execArgv, import.meta.filename],
  platform: process.platform,
  runtimeVersion: process.versions.node,
  ended: endedBySignal,
  onHurry: (hurry) => onNextEnd(hurry),
  onReload: (reload) => void process.on('SIGHUP', reload),
  onSignal: (heard) => {
    for (const signal of passable) process.on(signal, heard);
    return () => {
      for (const signal of passable) process.off(signal, heard);
    };
  },
});
(terminal as { readonly interface: Interface } | null)?.interface.close();

#!/usr/bin/env node
/** The `remit` command: parses its arguments and loads one command; alone in reading the process. */
import type { Interface } from 'node:readline';
import { EXIT } from './cli/command.ts';
import type { CommandIo } from './cli/command.ts';
import { commandTable } from './cli/command-table.ts';
import type { CommandEntry } from './cli/command-table.ts';
import { faultText } from './cli/fault-text.ts';
import { nodeProblem } from './core/config/required-node.ts';
import { yieldToOthers } from './core/runtime/system/thread-priority.ts';

const help = `remit: is this call within the remit of the task this workload was given?

usage: remit COMMAND [ARGUMENT ...]

${commandTable.map(({ name, summary }) => `  ${name.padEnd(18)} ${summary}`).join('\n')}

  remit COMMAND --help   what a command takes, with examples
  remit help TOPIC       a page of the guide, such as first-agent, reasons or RemitDown
  remit --version        the version of this build
exit codes: 0 success, 1 the answer is no, 2 bad use or bad input; run exits as its command does; ledger verify and doctor have their own`;

/** What a command line asks for. */
interface CommandLine {
  /** `undefined` if the command is not known, or none is named. */
  readonly entry: CommandEntry | undefined;
  /** The words after those of the command. */
  readonly rest: readonly string[];
  readonly asksHelp: boolean;
}

function askedBy(words: readonly string[]): CommandLine {
  const isHelpAlone = words.length === 1 && words[0] === 'help';
  const entry = isHelpAlone
    ? undefined
    : commandTable.find(({ name }) => name.split(' ').every((word, index) => words[index] === word));
  const rest = words.slice(entry?.name.split(' ').length ?? 0);
  // Arguments after `--` belong to another command.
  const end = rest.indexOf('--');
  const own = new Set(rest.slice(0, end === -1 ? rest.length : end));
  return { entry, rest, asksHelp: own.has('--help') || own.has('-h') };
}

async function main(words: readonly string[], asked: CommandLine, io: CommandIo): Promise<number> {
  const { entry, rest, asksHelp } = asked;
  if (words[0] === '--version' || words[0] === 'version') {
    const { remitVersion } = await import('./core/config/version.ts');
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
  if (!asksHelp && entry.isBesideServer) yieldToOthers();
  try {
    if (!asksHelp && entry.inThread !== undefined)
      return await (await import('./cli/thread/command-thread.ts')).runInThread(entry.inThread, rest, io);
    const command = await entry.load();
    if (!asksHelp) return await command.run(rest, io);
    io.out(command.help);
    return EXIT.good;
  } catch (error) {
    for (const line of faultText(error, io.environment)) io.err(`remit ${entry.name}: ${line}`);
    return EXIT.bad;
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
 * after the first signal, so that a signal ends every other command at once, and a second signal ends a command that hangs.
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

const words = process.argv.slice(2);
const asked = askedBy(words);

// A failing output must not end a server, and a command with incomplete output must not report success. A reader that closed
// the pipe wanted no more.
let isOutputWhole = true;
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => (isOutputWhole &&= error.code === 'EPIPE'));
}
process.on('exit', (code) => {
  if (code === EXIT.good && !isOutputWhole) process.exitCode = EXIT.no;
});

process.exitCode = await main(words, asked, {
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

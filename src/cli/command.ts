import { printable } from '../core/ledger/timeline-text.ts';
import type { LineSink } from '../core/telemetry/decision-log.ts';

/** What a command may use of the world outside. */
export interface CommandIo {
  /** Writes a line of data. */
  readonly out: (line: string) => void;
  /** Writes a line of messages: progress, warnings, errors. */
  readonly err: (line: string) => void;
  /** The data stream, for a command that writes much and must not wait for its reader. */
  readonly stdout: LineSink;
  /** Standard input, for a command that reads it; absent means empty. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  /** Replaces the line of progress, or clears it if empty; absent without a terminal. */
  readonly progress?: (line: string) => void;
  /** Whether messages go to a terminal; absent means no. */
  readonly isTerminal?: boolean;
  /** Asks on the terminal and returns the answered line; `null` at the end of input. Absent without a terminal. */
  readonly ask?: (question: string) => Promise<string | null>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The program and its first arguments that run this command line: Node.js, its options and the file of `remit`. */
  readonly command: readonly string[];
  /** The operating system, as `process.platform`; absent if it does not matter. */
  readonly platform?: NodeJS.Platform;
  /** Version of Node.js, such as `26.13.1`. */
  readonly runtimeVersion: string;
  /**
   * Resolves with the name of the first SIGINT or SIGTERM. A command that calls it must shut down then; otherwise those signals
   * end the process at once. Call it before opening what must be closed.
   */
  readonly ended: () => Promise<string>;
  /**
   * Calls back on the next SIGINT or SIGTERM after that of `ended`. The returned function cancels it. A further signal ends the
   * process.
   */
  readonly onHurry: (hurry: () => void) => () => void;
  /** Calls back on each SIGHUP. */
  readonly onReload: (reload: () => void) => void;
  /**
   * Calls back on each signal that can be passed on; none of them ends this process any more. The returned function stops that.
   */
  readonly onSignal: (heard: (signal: NodeJS.Signals) => void) => () => void;
}

/** Exit codes of all commands. */
export const EXIT = {
  /** Success: the answer is yes. */
  good: 0,
  /** Success, but the answer is no: a failed test, a denial, a broken chain, a finding. */
  no: 1,
  /** Invalid usage or input. */
  bad: 2,
} as const;

/** Prints a refusal, each line after the name of the command. Returns its exit code: that of bad use, if it has no other. */
export function refused(
  io: Pick<CommandIo, 'err'>,
  command: string,
  refusal: string | { readonly message: string; readonly exit: number },
): number {
  const { message, exit } = typeof refusal === 'string' ? { message: refusal, exit: EXIT.bad } : refusal;
  for (const line of message.split('\n')) io.err(`${command}: ${printable(line)}`);
  return exit;
}

/** One command of `remit`. */
export interface Command {
  /** Its words, such as `policy validate`. */
  readonly name: string;
  /** The output of `--help`: usage with examples, options with defaults, exit codes. */
  readonly help: string;
  /** Runs with the words after its name and returns the exit code. */
  readonly run: (args: readonly string[], io: CommandIo) => Promise<number>;
}

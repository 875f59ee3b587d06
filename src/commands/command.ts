import type { LineSink } from '../telemetry/decision-log.ts';

/** What a command may touch of the world outside its functions. */
export interface CommandIo {
  /** Writes a line of data. */
  readonly out: (line: string) => void;
  /** Writes a line of talk: progress, warnings, errors. */
  readonly err: (line: string) => void;
  /** Where data goes, for a command that writes much of it and must not wait for its reader. */
  readonly stdout: LineSink;
  /** Shows a line of progress in the place of the last one, none where it is empty; absent where nobody looks. */
  readonly progress?: (line: string) => void;
  /** Whether a person reads the talk on a terminal; absent, nobody does. */
  readonly isTerminal?: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Version of Node.js, such as `26.13.1`. */
  readonly runtimeVersion: string;
  /**
   * Settles with the name of the first SIGINT or SIGTERM. A command that calls it has to end by it; those signals end any other
   * command at once. Call it before what must be closed is opened.
   */
  readonly ended: () => Promise<string>;
  /** Calls back on the next SIGINT or SIGTERM, after the one of `ended`; the result takes that back. The one after it ends the process. */
  readonly onHurry: (hurry: () => void) => () => void;
  /** Calls back on each SIGHUP. */
  readonly onReload: (reload: () => void) => void;
  /** Calls back on each signal that can be passed on, none of which ends this process from then on; the result takes it back. */
  readonly onSignal: (heard: (signal: NodeJS.Signals) => void) => () => void;
}

/** Exit codes of every command. */
export const EXIT = {
  /** Done, and the answer is yes. */
  good: 0,
  /** Done, and the answer is no: a failed test, a denial, a broken chain, a finding. */
  no: 1,
  /** Bad use or bad input. */
  bad: 2,
} as const;

/** One command of `remit`. */
export interface Command {
  /** The words that call it, such as `policy validate`. */
  readonly name: string;
  /** What `--help` prints: usage with examples, options with their defaults, exit codes. */
  readonly help: string;
  /** Runs with the words after its name and gives the exit code. */
  readonly run: (args: readonly string[], io: CommandIo) => Promise<number>;
}

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

/** How a command ended. */
export type ChildEnd =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'not-started'; readonly code: 126 | 127; readonly problem: string };

/** A running command. */
export interface Child {
  /** `undefined` if it could not be started. */
  readonly pid: number | undefined;
  readonly send: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<ChildEnd>;
}

/**
 * Starts a command without a shell. It shares this process's stdin, stdout, stderr, session and process group, so it owns the
 * terminal as if started by hand: job control, Ctrl-C and window size reach it directly.
 */
export function startChild(
  [command = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string>>,
): Child {
  const { promise, resolve } = Promise.withResolvers<ChildEnd>();
  let child: ChildProcess;
  try {
    child = spawn(command, args, { stdio: 'inherit', env: { ...environment } });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      pid: undefined,
      send: () => undefined,
      ended: Promise.resolve(notStarted(command, code ?? 'bad argument')),
    };
  }
  child.once('error', (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) resolve(notStarted(command, error.code ?? 'unknown error'));
  });
  child.once('exit', (code, signal) =>
    resolve(signal === null ? { kind: 'exit', code: code ?? 0 } : { kind: 'signal', signal }),
  );
  return { pid: child.pid, send: (signal) => void child.kill(signal), ended: promise };
}

/** As in shells and `env`: 127 if the command does not exist, 126 if it cannot be run. */
const notStarted = (command: string, code: string): ChildEnd => ({
  kind: 'not-started',
  code: code === 'ENOENT' ? 127 : 126,
  problem: `\`${command}\` cannot be started: ${code === 'ENOENT' ? 'no such command' : code}`,
});

/** The equivalent exit code: that of the command, or 128 plus the number of the signal that ended it. */
export const childExitCode = (end: ChildEnd): number =>
  end.kind === 'signal' ? 128 + constants.signals[end.signal] : end.code;

/** The exit code after a signal. */
export const exitCodeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** The signals that are passed on to a command, and the terminal it belongs to. */
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';

/** What a signal to the wrapper means. */
interface SignalRule {
  /** Whether the terminal sends it to the whole foreground group, the command included. */
  readonly fromTerminal: boolean;
  /** Whether it ends the whole run, so that the task is cancelled even if the command then exits with 0. */
  readonly endsRun: boolean;
}

/** The forwarded signals. Many commands treat Ctrl-C as an ordinary key, so its meaning is up to the command. */
export const PASSED_ON: ReadonlyMap<string, SignalRule> = new Map([
  ['SIGINT', { fromTerminal: true, endsRun: false }],
  ['SIGQUIT', { fromTerminal: true, endsRun: false }],
  ['SIGWINCH', { fromTerminal: true, endsRun: false }],
  ['SIGTERM', { fromTerminal: false, endsRun: true }],
  ['SIGHUP', { fromTerminal: false, endsRun: true }],
  ['SIGUSR1', { fromTerminal: false, endsRun: false }],
  ['SIGUSR2', { fromTerminal: false, endsRun: false }],
]);

/**
 * Whether this process is in the foreground of a terminal. There Ctrl-C reaches the command directly, and forwarding it would
 * deliver it twice. Read each time, because a shell moves jobs.
 */
export function inForeground(): boolean {
  try {
    // After the program's name in parentheses: state, parent, group, session, terminal, foreground group.
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    return [0, 1, 2].some((descriptor) => isatty(descriptor));
  }
}

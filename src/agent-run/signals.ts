import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';

/** What a signal to the wrapper means to a run. */
interface SignalRule {
  /** The terminal sends it to everything in its foreground, the command included. */
  readonly fromTerminal: boolean;
  /** Whether it asks the whole run to end, so that the task is cancelled even where the command then exits with 0. */
  readonly endsRun: boolean;
}

/** The signals that are passed on. Ctrl-C is a key like any other to many commands, so what it means is theirs to say. */
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
 * Whether this process is in the foreground of a terminal: Ctrl-C there reaches the command without us, and a second copy
 * would be one too many. Read anew each time, since a shell moves jobs.
 */
export function inForeground(): boolean {
  try {
    // After the name of the program, which is in brackets: state, parent, group, session, terminal, foreground group.
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    return [0, 1, 2].some((descriptor) => isatty(descriptor));
  }
}

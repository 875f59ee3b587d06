import type { Ran } from './cluster.ts';

/** What waits for pods to start, and so for a machine that may do other work: a rollout, a hook of a chart, a pull. */
const WAITING =
  /\bhelm (?:install|upgrade|rollback|test)\b|\bkubectl\b.* (?:rollout status|wait|drain) |\bctr images? import\b/;
const WAITING_MS = 600_000;
const OTHER_MS = 180_000;
/** How much longer than its own limit a command gets, to say what it waited for. */
const AFTERWARDS_MS = 30_000;

const isWaiting = (command: readonly string[]): boolean => WAITING.test(`${command.join(' ')} `);

/** How long a command may take if nothing else is said: by what it does, and longer than the limit that it has itself (`--timeout=600s`). */
export function limitMsOf(command: readonly string[]): number {
  const own = Number(/--timeout[ =](\d+)s\b/.exec(command.join(' '))?.[1] ?? 0) * 1_000;
  return Math.max(isWaiting(command) ? WAITING_MS : OTHER_MS, own + AFTERWARDS_MS);
}

/** How many of the last warnings are told. */
const WARNINGS = 15;
const RUNNING = /^\S+ +\S+ +(?:(\d+)\/\1 +Running|\d+\/\d+ +Completed) /;

/** For the error of a command that waited in vain: the pods that are not ready, and the last warnings. Empty if it did not wait. */
export async function progressAfter(
  command: readonly string[],
  tried: (command: readonly string[]) => Promise<Ran>,
): Promise<string> {
  if (!isWaiting(command)) return '';
  const [pods, events] = await Promise.all([
    tried(['kubectl', 'get', 'pods', '-A', '--no-headers']),
    tried(['kubectl', 'get', 'events', '-A', '--field-selector=type=Warning', '--sort-by=.metadata.creationTimestamp']),
  ]);
  const waiting = pods.stdout.split('\n').filter((line) => line !== '' && !RUNNING.test(line));
  const warnings = events.stdout.trimEnd().split('\n').slice(-WARNINGS);
  return ['', 'not ready:', ...waiting, 'warnings:', ...warnings].join('\n');
}

import type { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import { digestOf, keyOf } from '../../authority/feed/serving.ts';
import { until } from '../../until.ts';

/** What a sidecar says about a task. Instants are of `performance.now`. */
export interface Watch {
  /** Whether a use would be allowed now. */
  readonly isAllowed: () => boolean;
  /** When a use would last have been allowed. */
  readonly lastAllowedMs: () => number;
  /** The longest time between two looks that would have allowed a use: the pause of the process, at least. */
  readonly longestDeniedMs: () => number;
  /** Looks that would have denied a use, since the first that allowed one. */
  readonly denied: () => number;
}

const LOOK_MS = 2;

/** Opens task number `n` at a sidecar, and looks at it all the time from then on, until `stop`. */
export async function watch(state: SidecarState, n: number): Promise<Watch & { readonly stop: () => void }> {
  const isAllowed = (): boolean => allows(state, n);
  // A loaded machine may miss the deadline of an open.
  const isOpen = async (): Promise<boolean> => {
    await state.states.open(keyOf(n), digestOf(n));
    return isAllowed();
  };
  await until(isOpen, { what: 'an open task' });
  let lastMs = 0;
  let deniedMs = 0;
  let denied = 0;
  const looking = setInterval(() => {
    // INVARIANT: the instant is read before the look, so that it is never later than what was seen.
    const nowMs = performance.now();
    if (isAllowed()) {
      if (lastMs > 0) deniedMs = Math.max(deniedMs, nowMs - lastMs);
      lastMs = nowMs;
    } else if (lastMs > 0) denied += 1;
  }, LOOK_MS);
  await until(() => lastMs > 0, { what: 'a use is allowed' });
  return {
    isAllowed,
    lastAllowedMs: () => lastMs,
    longestDeniedMs: () => deniedMs,
    denied: () => denied,
    stop: () => clearInterval(looking),
  };
}

/** Whether a sidecar would allow a use of task number `n` now. */
function allows({ states }: SidecarState, n: number): boolean {
  const use = states.of(keyOf(n), digestOf(n));
  return use !== undefined && 'task' in use && use.task.state === 'active' && use.issued !== undefined;
}

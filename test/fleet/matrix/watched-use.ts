/** Uses of one task at one sidecar, one after another. Instants are of `performance.now`, at which a use was sent. */
export interface WatchedUse {
  /** Whether the last use that was answered was allowed. */
  readonly isAllowed: () => boolean;
  /** When the last use was sent that was allowed. */
  readonly lastAllowedMs: () => number;
  /** The longest time between two uses that were allowed, from the answer of one to the sending of the next. */
  readonly longestDeniedMs: () => number;
  /** One use more at once. Resolves when it is answered. */
  readonly again: () => Promise<void>;
  /** How many uses were not allowed, by their answer. */
  readonly denied: () => Readonly<Record<string, number>>;
  /** Ends it once the present use is answered. */
  readonly stop: () => Promise<void>;
}

const PAUSE_MS = 25;

/** Calls without an end; a call that rejects counts as denied. */
export function watchUse(call: () => Promise<string>): WatchedUse {
  const stopping = new AbortController();
  const denied: Record<string, number> = {};
  let isAllowed = true;
  let lastSentMs = performance.now();
  let lastAnsweredMs = lastSentMs;
  let deniedMs = 0;
  const use = async (): Promise<void> => {
    // INVARIANT: read before the call: a use that was sent before an end may still be decided by what was true then.
    const sentMs = performance.now();
    const answer = await call().catch(() => 'no answer');
    isAllowed = answer === '200';
    if (isAllowed) {
      deniedMs = Math.max(deniedMs, sentMs - lastAnsweredMs);
      lastSentMs = Math.max(lastSentMs, sentMs);
      lastAnsweredMs = performance.now();
    } else denied[answer] = (denied[answer] ?? 0) + 1;
  };
  const using = (async () => {
    while (!stopping.signal.aborted) {
      await use();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  return {
    isAllowed: () => isAllowed,
    lastAllowedMs: () => lastSentMs,
    longestDeniedMs: () => deniedMs,
    again: use,
    denied: () => ({ ...denied }),
    stop: async () => {
      stopping.abort();
      await using;
    },
  };
}

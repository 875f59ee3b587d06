import { isExecution, recordMembersIn } from './index-builder.ts';

/** Most decisions that are kept in memory, some 100 bytes each. */
const MAX_EXECUTED = 1_000_000;

/** Thrown by a search for calls that were not executed, if more decisions are in no index than are kept. */
export class TooManyUnindexed extends Error {
  override readonly name = 'TooManyUnindexed';
}

/**
 * The decision ids of executed calls, from the outcomes among these leaves, which no index covers. Throws `TooManyUnindexed`.
 * @param max most decisions
 */
export function executedIn(leaves: Iterable<{ readonly bytes: Uint8Array }>, max = MAX_EXECUTED): ReadonlySet<string> {
  const executed = new Set<string>();
  for (const { bytes } of leaves) {
    const record = recordMembersIn(bytes) ?? {};
    const { decisionId } = record;
    if (typeof decisionId !== 'string' || !isExecution(record)) continue;
    executed.add(decisionId);
    if (executed.size > max)
      throw new TooManyUnindexed(
        `calls that were not executed are found among at most ${max} decisions without an index: run \`remit ledger index\` first`,
      );
  }
  return executed;
}

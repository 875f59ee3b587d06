import type { SettledUse } from '../settling.ts';
import { limitNames } from './limit-settlement.ts';
import { lendableOf, takenName, withLent } from './settlement.ts';

/** What a loan may have lent, and the key under which that is then stored. */
interface PossibleLoan {
  readonly lent: number;
  readonly name: string;
}

/**
 * The amounts that a loan may have lent, so that a sidecar that asks again learns what it got. Empty for a use with several
 * spends, which is no loan, and for a loan of this process, whose answers are not lost.
 */
export function possibleLoans(
  { decisionId, key, by, spends, ahead }: Pick<SettledUse, 'decisionId' | 'key' | 'by' | 'spends' | 'ahead'>,
  nowMs: number,
): readonly PossibleLoan[] {
  const [spend] = spends;
  if (by === undefined || ahead === undefined || spend === undefined || spends.length > 1) return [];
  return lendableOf(ahead[0] ?? 0).flatMap((lent) => {
    const got = { decisionId, by, spends: withLent(spends, [lent]) };
    const names = spend.kind === 'limit' ? limitNames(got, nowMs) : key === null ? [] : [takenName({ ...got, key })];
    return names.map((name) => ({ lent, name }));
  });
}

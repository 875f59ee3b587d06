import type { WitnessState } from './witness-visit.ts';

const FIRST_MS = 1_000;
const LONGEST_MS = 300_000;

/**
 * The pause after a visit to a witness, in milliseconds: `everyMs` after a cosignature, exponential back-off from 1 s to 5
 * minutes after failures, and 5 minutes after a contradiction. The last two are shortened at random by up to a half, so that many
 * ledgers do not ask at once.
 *
 * @param of.failures in a row, this one included
 * @param of.random 0 to 255
 */
export function pauseMs(
  kind: WitnessState['kind'],
  { failures, everyMs, random }: { readonly failures: number; readonly everyMs: number; readonly random: number },
): number {
  if (kind === 'cosigned') return everyMs;
  const longest =
    kind === 'contradicts' ? LONGEST_MS : Math.min(FIRST_MS * 2 ** Math.min(failures - 1, 20), LONGEST_MS);
  return longest - Math.floor((longest / 2) * (random / 255));
}

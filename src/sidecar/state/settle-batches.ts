import type { UseMessage } from '../../core/fleet/messages.ts';

/** Most uses of a request, and about so many bytes of what they carry: a message of more than 4 MiB is refused. */
const MAX_USES = 256;
const MAX_CARRIED_BYTES = 1_024 * 1_024;

/** Splits uses into requests within these bounds, in order. */
export function batchesOf<T extends { readonly use: Pick<UseMessage, 'record' | 'spends'> }>(
  waiting: readonly T[],
): readonly (readonly T[])[] {
  const batches: T[][] = [];
  let bytes = 0;
  for (const one of waiting) {
    const more = one.use.record.length + bytesOfSpends(one.use);
    const last = batches.at(-1);
    if (last === undefined || last.length === MAX_USES || bytes + more > MAX_CARRIED_BYTES) {
      batches.push([one]);
      bytes = more;
    } else {
      last.push(one);
      bytes += more;
    }
  }
  return batches;
}

/** An upper bound of the bytes of texts that name the counters of limits. */
const bytesOfSpends = ({ spends }: Pick<UseMessage, 'spends'>): number =>
  spends.reduce((sum, { who = '' }) => sum + 3 * who.length, 0);

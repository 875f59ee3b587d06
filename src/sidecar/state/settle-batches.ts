import type { UseMessage } from '../../core/fleet/messages.ts';

/** Most uses of a request, and bytes of their records: a message of more than 4 MiB is refused. */
const MAX_USES = 256;
const MAX_RECORD_BYTES = 1_024 * 1_024;

/** Uses in as few requests as may be, in order. */
export function batchesOf<T extends { readonly use: Pick<UseMessage, 'record'> }>(
  waiting: readonly T[],
): readonly (readonly T[])[] {
  const batches: T[][] = [];
  let bytes = 0;
  for (const one of waiting) {
    const more = one.use.record.length;
    const last = batches.at(-1);
    if (last === undefined || last.length === MAX_USES || bytes + more > MAX_RECORD_BYTES) {
      batches.push([one]);
      bytes = more;
    } else {
      last.push(one);
      bytes += more;
    }
  }
  return batches;
}

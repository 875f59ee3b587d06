import type { PackedLeaves } from '../ledger/log/written-leaves.ts';
import type { Records } from './messages.ts';
import { methodOf } from './service.ts';

/** A message of `Append` as a sidecar sends it. */
export interface SentRecords extends Omit<Records, 'leaves'> {
  readonly leaves: readonly PackedLeaves[];
}

const { requestSerialize } = methodOf('Append');

/** `leaves`, field 3, whose values have a length. */
const LEAVES_TAG = (3 << 3) | 2;
/** A tag, and the length of a leaf: at most 65,535 bytes. */
const MAX_HEAD_BYTES = 4;

/** The message on the wire: each leaf is copied once, without an object for it. */
export function sentBytes({ leaves, ...rest }: SentRecords): Buffer {
  const head = requestSerialize({ ...rest, leaves: [] });
  const most = leaves.reduce((sum, { bytes, ends }) => sum + bytes.length + ends.length * MAX_HEAD_BYTES, head.length);
  const message = Buffer.allocUnsafe(most);
  let at = head.copy(message);
  for (const { bytes: packed, ends } of leaves) {
    const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
    let start = 0;
    for (const end of ends) {
      message[at] = LEAVES_TAG;
      at = afterVarint(message, at + 1, end - start);
      at += bytes.copy(message, at, start, end);
      start = end;
    }
  }
  return message.subarray(0, at);
}

function afterVarint(into: Buffer, at: number, value: number): number {
  let [end, rest] = [at, value];
  for (; rest > 0x7f; rest >>>= 7) into[end++] = (rest & 0x7f) | 0x80;
  into[end] = rest;
  return end + 1;
}

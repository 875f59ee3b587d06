import type { PackedLeaves } from '../../core/ledger/log/written-leaves.ts';
import type { Records } from '../../core/fleet/messages.ts';
import { methodOf } from '../../core/fleet/service.ts';

/** A message of `Append` as a sidecar sends it. */
export interface SentRecords extends Omit<Records, 'leaves'> {
  /** `null` for none. */
  readonly leaves: PackedLeaves | null;
}

const { requestSerialize } = methodOf('Append');

/**
 * The message on the wire.
 *
 * @param room memory for it, if it is large enough. Default: new memory
 */
export function sentBytes({ leaves, ...rest }: SentRecords, room?: Buffer): Buffer {
  const head = requestSerialize({ ...rest, leaves: [] });
  if (leaves === null) return head;
  const length = head.length + leaves.bytes.length;
  const message = room !== undefined && length <= room.length ? room : Buffer.allocUnsafe(length);
  message.set(head);
  // Copies from shared memory at once; `set` would copy byte by byte.
  leaves.bytes.copy(message, head.length);
  return message.subarray(0, length);
}

import { eachField } from '../../../protobuf/fields.ts';
import type { WireField } from '../../../protobuf/fields.ts';
import type { ByteRange } from '../../../protobuf/reader.ts';
import { LENGTH_DELIMITED } from '../../../protobuf/wire-type.ts';
import { textOfBytes } from '../../arguments/bytes-text.ts';
import type { MessageShape } from './message-shape.ts';

/**
 * The fields of a message that are not arguments, by place such as `message/order/note`, for the record of a call: fields of the
 * message itself and of the messages on the path to an argument. A field that is not in the descriptor set is named by its
 * number. The values of a place are in order: text and bytes as `textOfBytes`, numbers as their bits in decimal. The message must
 * have passed `messageValues`. Linear time.
 */
export function otherFields(bytes: Uint8Array, shape: MessageShape): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  if (shape.takesOthers) collect(found, { bytes, range: { from: 0, to: bytes.length }, shape, place: 'message' });
  return found;
}

interface Within {
  readonly bytes: Uint8Array;
  readonly range: ByteRange;
  readonly shape: MessageShape;
  readonly place: string;
}

function collect(found: Map<string, string[]>, { bytes, range, shape, place }: Within): void {
  eachField(bytes, range, (field) => {
    const known = shape.fields.get(field.number);
    const own = `${place}/${known?.name ?? field.number}`;
    if (known?.isNamed !== true) {
      const values = found.get(own);
      if (values === undefined) found.set(own, [valueOf(bytes, field)]);
      else values.push(valueOf(bytes, field));
    } else if (known.inner !== null) collect(found, { bytes, range: field, shape: known.inner(), place: own });
    return null;
  });
}

const valueOf = (bytes: Uint8Array, { from, high, low, to, wireType }: WireField): string =>
  wireType === LENGTH_DELIMITED ? textOfBytes(bytes.subarray(from, to)) : String((BigInt(high) << 32n) | BigInt(low));

import { MAX_FRAME_BYTES } from './frame.ts';
import { staticFields } from './header-field.ts';

/** An encoded header block that fits in a single frame. */
export type HeaderBlock = Buffer & { readonly brand: 'HeaderBlock' };

/**
 * Encodes headers without the dynamic table, so that the same block can be sent on every connection. Names must be lower case; names
 * and values must be ASCII. Throws a RangeError if the block does not fit in a frame, which is a bug of the caller.
 *
 * @see RFC 7541 section 6
 */
export function headerBlock(headers: Readonly<Record<string, string>>): HeaderBlock {
  const parts = Object.entries(headers).flatMap(([name, value]) => {
    const known = staticFields.findIndex((field) => field.name === name && field.value === value);
    return known === -1 ? [Buffer.of(0), text(name), text(value)] : [Buffer.of(0x80 | (known + 1))];
  });
  const block = Buffer.concat(parts);
  if (block.length > MAX_FRAME_BYTES) throw new RangeError(`headers of ${block.length} bytes do not fit one frame`);
  return block as HeaderBlock;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([length(bytes.length), bytes]);
}

/** An integer with a 7-bit prefix. @see RFC 7541 section 5.1 */
function length(value: number): Buffer {
  if (value < 0x7f) return Buffer.of(value);
  const bytes = [0x7f];
  let rest = value - 0x7f;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.of(...bytes, rest);
}

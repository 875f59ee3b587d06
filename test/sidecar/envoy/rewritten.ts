/** Field numbers that contain messages, each with its own embedded ones. */
export interface Embedded {
  readonly [number: number]: Embedded;
}

/** A field of a message, as it is written. */
export interface RawField {
  readonly number: number;
  readonly bytes: Buffer;
}

/** The same message with its fields and those of embedded messages changed, innermost first. */
export function rewritten(
  message: Buffer,
  embedded: Embedded,
  change: (fields: readonly RawField[]) => readonly RawField[],
): Buffer {
  const fields = fieldsIn(message).map((field): RawField => {
    const inner = embedded[field.number];
    if (inner === undefined) return field;
    return delimitedField(field.number, rewritten(contentOf(field.bytes), inner, change));
  });
  return Buffer.concat(change(fields).map(({ bytes }) => bytes));
}

/** A length-delimited field. */
export const delimitedField = (number: number, content: Buffer): RawField => ({
  number,
  bytes: Buffer.concat([varint(number * 8 + 2), varint(content.length), content]),
});

/** A varint field. */
export const varintField = (number: number, value: number): RawField => ({
  number,
  bytes: Buffer.concat([varint(number * 8), varint(value)]),
});

/** A field of 4 or 8 bytes. */
export const fixedField = (number: number, bytes: Buffer): RawField => ({
  number,
  bytes: Buffer.concat([varint(number * 8 + (bytes.length === 4 ? 5 : 1)), bytes]),
});

function fieldsIn(message: Buffer): readonly RawField[] {
  const fields: RawField[] = [];
  let at = 0;
  while (at < message.length) {
    const from = at;
    const tag = varintAt(message, at);
    at = tag.end;
    const wireType = tag.value % 8;
    if (wireType === 0) at = varintAt(message, at).end;
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else {
      const length = varintAt(message, at);
      at = length.end + length.value;
    }
    fields.push({ number: Math.floor(tag.value / 8), bytes: message.subarray(from, at) });
  }
  return fields;
}

const contentOf = (field: Buffer): Buffer => field.subarray(varintAt(field, varintAt(field, 0).end).end);

/** A varint whose value is small or irrelevant. */
function varintAt(bytes: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = from; ; at += 1) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (at - from));
    if (byte < 0x80) return { value, end: at + 1 };
  }
}

const varint = (value: number): Buffer =>
  Buffer.from(value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))]);

/** Leaves that are written plainly, recognised without parsing them. */
import { MAX_LEAF_BYTES } from './leaf.ts';

/** Deepest nesting of a record that is scanned. */
const MAX_DEPTH = 8;
/** Most digits of a number: ECMAScript writes a decimal of up to 15 digits back as it was. */
const MAX_DIGITS = 15;
/** Most of them after the point: a number below 0.000001 is written with an exponent. */
const MAX_FRACTION = 6;

/**
 * Whether bytes are a leaf that `leafFrom` parses, with this number and link, and written plainly: printable ASCII without escapes, short
 * numbers. It scans the bytes once and allocates nothing; parsing costs ten times as much. `false` says nothing about the leaf.
 *
 * @param place.prev `''` for record 1, and only for it
 */
export function isPlainLeaf(
  bytes: Uint8Array,
  { prev, seq }: { readonly prev: string; readonly seq: number },
): boolean {
  if (bytes.length > MAX_LEAF_BYTES) return false;
  let at = afterText(bytes, 0, '{"boot":"');
  at = afterHex(bytes, at, 32);
  at = afterText(bytes, at, '","mono":');
  at = afterNumber(bytes, at);
  at = afterText(bytes, at, ',"prev":"');
  at = afterText(bytes, at, prev);
  at = afterText(bytes, at, '","record":');
  at = afterObject(bytes, at, MAX_DEPTH);
  at = afterText(bytes, at, `,"seq":${seq}}`);
  return at === bytes.length;
}

// Each of these returns the index after the item at an index, and `NOT` if that is something else, or the index is `NOT`.
const NOT = -1;

const [QUOTE, COMMA, COLON, POINT, ZERO, NINE] = [0x22, 0x2c, 0x3a, 0x2e, 0x30, 0x39];
const [OPEN_LIST, CLOSE_LIST, BACKSLASH, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x5c, 0x7b, 0x7d];

const isPlain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte <= 0x7e && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);

function afterText(bytes: Uint8Array, at: number, text: string): number {
  if (at === NOT) return NOT;
  for (let index = 0; index < text.length; index += 1) {
    if (bytes[at + index] !== text.charCodeAt(index)) return NOT;
  }
  return at + text.length;
}

function afterHex(bytes: Uint8Array, at: number, length: number): number {
  if (at === NOT) return NOT;
  for (let index = at; index < at + length; index += 1) {
    const byte = bytes[index] ?? 0;
    const isHex = (byte >= ZERO && byte <= NINE) || (byte >= 0x61 && byte <= 0x66);
    if (!isHex) return NOT;
  }
  return at + length;
}

function afterNumber(bytes: Uint8Array, at: number): number {
  if (at === NOT) return NOT;
  const whole = afterDigits(bytes, at);
  if (whole === at || (bytes[at] === ZERO && whole > at + 1)) return NOT;
  if (bytes[whole] !== POINT) return whole - at > MAX_DIGITS ? NOT : whole;
  const end = afterDigits(bytes, whole + 1);
  const fraction = end - whole - 1;
  const isShort = fraction >= 1 && fraction <= MAX_FRACTION && whole - at + fraction <= MAX_DIGITS;
  return isShort && bytes[end - 1] !== ZERO ? end : NOT;
}

function afterDigits(bytes: Uint8Array, at: number): number {
  let end = at;
  for (let byte = bytes[end] ?? 0; byte >= ZERO && byte <= NINE; byte = bytes[end] ?? 0) end += 1;
  return end;
}

function afterString(bytes: Uint8Array, at: number): number {
  if (at === NOT || bytes[at] !== QUOTE) return NOT;
  let end = at + 1;
  while (isPlain[bytes[end] ?? 0] === 1) end += 1;
  return bytes[end] === QUOTE ? end + 1 : NOT;
}

function afterValue(bytes: Uint8Array, at: number, depthLeft: number): number {
  switch (bytes[at] ?? 0) {
    case QUOTE:
      return afterString(bytes, at);
    case OPEN_OBJECT:
      return afterObject(bytes, at, depthLeft);
    case OPEN_LIST:
      return afterList(bytes, at, depthLeft);
    case 0x66:
      return afterText(bytes, at, 'false');
    case 0x6e:
      return afterText(bytes, at, 'null');
    case 0x74:
      return afterText(bytes, at, 'true');
    default:
      return afterNumber(bytes, at);
  }
}

function afterObject(bytes: Uint8Array, at: number, depthLeft: number): number {
  if (at === NOT || depthLeft === 0 || bytes[at] !== OPEN_OBJECT) return NOT;
  if (bytes[at + 1] === CLOSE_OBJECT) return at + 2;
  let before = NOT;
  for (let name = at + 1; ;) {
    const end = afterString(bytes, name);
    if (end === NOT || bytes[end] !== COLON) return NOT;
    if (before !== NOT && !isBefore(bytes, before, name)) return NOT;
    const after = afterValue(bytes, end + 1, depthLeft - 1);
    if (after === NOT) return NOT;
    if (bytes[after] === CLOSE_OBJECT) return after + 1;
    if (bytes[after] !== COMMA) return NOT;
    before = name;
    name = after + 1;
  }
}

function afterList(bytes: Uint8Array, at: number, depthLeft: number): number {
  if (depthLeft === 0) return NOT;
  if (bytes[at + 1] === CLOSE_LIST) return at + 2;
  for (let item = at + 1; ;) {
    const after = afterValue(bytes, item, depthLeft - 1);
    if (after === NOT) return NOT;
    if (bytes[after] === CLOSE_LIST) return after + 1;
    if (bytes[after] !== COMMA) return NOT;
    item = after + 1;
  }
}

/** Whether the string at an index sorts before that at another. Both are plain, so that a quote ends each. */
function isBefore(bytes: Uint8Array, one: number, other: number): boolean {
  for (let index = 1; ; index += 1) {
    const [left = 0, right = 0] = [bytes[one + index], bytes[other + index]];
    if (left === right && left !== QUOTE) continue;
    return right !== QUOTE && (left === QUOTE || left < right);
  }
}

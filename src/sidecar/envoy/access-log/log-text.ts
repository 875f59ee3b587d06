import { isUuid } from '../../../core/decision/uuid.ts';

/** Makes a value from a range of bytes, without keeping the bytes. */
export type MadeOf<V> = (bytes: Buffer, from: number, to: number) => V;

/** Longest text chosen by the proxy alone. */
const MAX_WORD_CHARS = 256;
/** Generous byte limit: at most 3 bytes per UTF-16 code unit, so that a character cut in half is truncated later. */
const MAX_WORD_BYTES = 4 * MAX_WORD_CHARS;
const MAX_PLAIN_BYTES = 2_048;
const UUID_BYTES = 36;
const SCHEME = 'spiffe://';
const QUESTION_MARK = 0x3f;
const NUMBER_SIGN = 0x23;

// Texts of an access log entry, read in place. Invalid UTF-8 is replaced, as in every codec: a log is not refused for what a
// client sent. Only what is used becomes a string, because a slice keeps its whole string in memory.

/** A text chosen by the proxy, at most 256 UTF-16 code units; `null` if empty. */
export const wordAt: MadeOf<string | null> = (bytes, from, to) => {
  if (from === to) return null;
  const text = bytes.toString('utf8', from, Math.min(to, from + MAX_WORD_BYTES));
  return text.length <= MAX_WORD_CHARS ? text : text.slice(0, MAX_WORD_CHARS).toWellFormed();
};

/** An id that a client may have chosen; `null` if it is empty or longer than a word, since a part of it may be a part of a credential. */
export const idAt: MadeOf<string | null> = (bytes, from, to) => {
  const id = to - from > MAX_WORD_BYTES ? null : clientTextAt(bytes, from, to);
  return id === '' || (id?.length ?? 0) > MAX_WORD_CHARS ? null : id;
};

/** A text that a client chose, whole: a credential that is cut in two would not be recognised in it. */
export const clientTextAt: MadeOf<string> = (bytes, from, to) => bytes.toString('utf8', from, to);

/** A path without its query, which may contain a secret. */
export const pathAt: MadeOf<string> = (bytes, from, to) => {
  let end = from;
  while (end < to && bytes[end] !== QUESTION_MARK && bytes[end] !== NUMBER_SIGN) end += 1;
  return clientTextAt(bytes, from, end);
};

/** Text as in the answer to a check, which uses these characters only; see `sidecar/envoy/check/response.ts`. */
export const plainAt: MadeOf<string | null> = (bytes, from, to) => {
  if (from === to || to - from > MAX_PLAIN_BYTES) return null;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x21 || byte > 0x7e) return null;
  }
  return bytes.toString('latin1', from, to);
};

/** A UUID in lower case. */
export const uuidAt: MadeOf<string | null> = (bytes, from, to) => {
  if (to - from !== UUID_BYTES) return null;
  const text = bytes.toString('latin1', from, to);
  return isUuid(text) ? text : null;
};

/** Tests whether a text is `expected` without creating a string. */
export const isTextAt = (expected: string): MadeOf<boolean> => {
  const wanted = Buffer.from(expected);
  return (bytes, from, to) => {
    if (to - from !== wanted.length) return false;
    for (let at = 0; at < wanted.length; at += 1) if (bytes[from + at] !== wanted[at]) return false;
    return true;
  };
};

const isSpiffeScheme = isTextAt(SCHEME);

/** A certificate name: `undefined` if it is not a SPIFFE ID, `null` if it contains characters that no SPIFFE ID has. */
export const spiffeIdAt: MadeOf<string | null | undefined> = (bytes, from, to) =>
  isSpiffeScheme(bytes, from, Math.min(to, from + SCHEME.length)) ? plainAt(bytes, from, to) : undefined;

import { isUuid } from '../decision/uuid.ts';
import { recordText } from '../ledger/record.ts';
import { remembering, type MadeOf } from './remembered-text.ts';

/** Of text that only the proxy chooses. */
const MAX_WORD_CHARS = 256;
/** UTF-8 takes at most 3 bytes for a UTF-16 code unit, so that what is cut in the middle here is cut off afterwards. */
const MAX_WORD_BYTES = 4 * MAX_WORD_CHARS;
const MAX_PLAIN_BYTES = 2_048;
const UUID_BYTES = 36;
const SCHEME = 'spiffe://';
const QUESTION_MARK = 0x3f;
const NUMBER_SIGN = 0x23;

// Texts of an access log entry, from where they stand in its message. What is not UTF-8 is replaced, as every codec does: a log
// is not refused for what a client sent. No more is made a string than is used: a part of a string keeps all of it in memory.

/** A text that the proxy chose, its first 256 UTF-16 code units; `null` where it is empty. */
export const wordAt: MadeOf<string | null> = (bytes, from, to) => {
  if (from === to) return null;
  const text = bytes.toString('utf8', from, Math.min(to, from + MAX_WORD_BYTES));
  return text.length <= MAX_WORD_CHARS ? text : text.slice(0, MAX_WORD_CHARS).toWellFormed();
};

/** The same of one that comes again and again, as the name of a cluster does. */
export const familiarWordAt = remembering(wordAt);

const recordTextAt: MadeOf<string> = (bytes, from, to) => recordText(bytes.toString('utf8', from, to));

/** The host that a client named, as a record can hold it. */
export const hostAt = remembering(recordTextAt);

/** A path without its query, which may hold a secret, as a record can hold it. */
export const pathAt: MadeOf<string> = (bytes, from, to) => {
  let end = from;
  while (end < to && bytes[end] !== QUESTION_MARK && bytes[end] !== NUMBER_SIGN) end += 1;
  return recordTextAt(bytes, from, end);
};

const plainTextAt: MadeOf<string | null> = (bytes, from, to) => {
  if (from === to || to - from > MAX_PLAIN_BYTES) return null;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x21 || byte > 0x7e) return null;
  }
  return bytes.toString('latin1', from, to);
};

/** Text as it is in the answer to a check, which has no other characters; see `envoy/response.ts`. */
export const plainAt = remembering(plainTextAt);

/** A UUID in lower case. */
export const uuidAt: MadeOf<string | null> = (bytes, from, to) => {
  if (to - from !== UUID_BYTES) return null;
  const text = bytes.toString('latin1', from, to);
  return isUuid(text) ? text : null;
};

/** Says whether a text is `expected`; no string is made of it. */
export const isTextAt = (expected: string): MadeOf<boolean> => {
  const wanted = Buffer.from(expected);
  return (bytes, from, to) => {
    if (to - from !== wanted.length) return false;
    for (let at = 0; at < wanted.length; at += 1) if (bytes[from + at] !== wanted[at]) return false;
    return true;
  };
};

const isSpiffeScheme = isTextAt(SCHEME);

/** A name of a certificate: `undefined` where it is no SPIFFE ID, `null` where it is one with characters that none has. */
export const spiffeIdAt: MadeOf<string | null | undefined> = (bytes, from, to) =>
  isSpiffeScheme(bytes, from, Math.min(to, from + SCHEME.length)) ? plainAt(bytes, from, to) : undefined;

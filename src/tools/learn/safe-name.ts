import { createHash } from 'node:crypto';
import { withoutEnd } from '../../core/runtime/without-end.ts';

/** Hex digits of a digest in a name: 48 bits, enough against accidental collisions. */
const DIGITS = 12;
const MAX_WORDS = 40;

/** Twelve hex digits of the SHA-256 of a text. */
export const shortDigest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, DIGITS);

/** Letters, digits and single hyphens of a text in lower case: at most 40, after `x-` if no letter is first. Never empty. */
export function safeWords(text: string): string {
  const plain = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_WORDS)
    .replace(/^-/, '');
  const words = withoutEnd(plain, '-');
  return /^[a-z]/.test(words) ? words : `x-${words}`.replace(/-$/, '');
}

/** A name of a file for any text: no separator, no dot, and different for different texts. */
export const safeFileName = (text: string): string => `${safeWords(text.slice(-MAX_WORDS))}-${shortDigest(text)}`;

/** Words that end like a digest, which would take the id of another text. */
const LIKE_DIGEST = /-[0-9a-f]{12}$/;

/** A free id for each text: its safe words, with a digest if they are another text’s too. */
export function safeIds(texts: readonly string[], wordsOf: (text: string) => string): ReadonlyMap<string, string> {
  const byWords = Map.groupBy(new Set(texts), (text) => safeWords(wordsOf(text)));
  return new Map(
    [...byWords].flatMap(([words, same]) =>
      same.map(
        (text) =>
          [text, same.length === 1 && !LIKE_DIGEST.test(words) ? words : `${words}-${shortDigest(text)}`] as const,
      ),
    ),
  );
}

/** A name of a file that is not taken: the name itself, or with `-learnt` and a number before its first dot. */
export function freeFileName(name: string, taken: ReadonlySet<string>): string {
  const slash = name.lastIndexOf('/') + 1;
  const dot = name.indexOf('.', slash);
  let free = name;
  for (let number = 1; taken.has(free); number += 1)
    free = `${name.slice(0, dot)}-learnt${number === 1 ? '' : `-${number}`}${name.slice(dot)}`;
  return free;
}

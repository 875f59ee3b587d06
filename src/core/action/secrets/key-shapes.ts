/** The shapes of well-known API keys, by prefix and length. */

/** Anchored, with bounded or single repetition, so that each takes one pass over its word. */
const SHAPES: readonly (readonly [kind: string, shape: RegExp])[] = [
  ['aws-access-key', /^(?:AKIA|ABIA|ACCA)[A-Z2-7]{16}(?:\/|$)/],
  ['github-token', /^(?:gh[oprsu]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})$/],
  ['gitlab-token', /^gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{20,300}$/],
  ['slack-token', /^xox[abeoprs]-[A-Za-z0-9-]{10,300}$/],
  ['stripe-key', /^[rs]k_(?:live|test)_[A-Za-z0-9]{16,300}$/],
  ['sk-key', /^sk-[A-Za-z0-9_-]{20,300}$/],
  ['google-api-key', /^AIza[A-Za-z0-9_-]{35}$/],
  ['npm-token', /^npm_[A-Za-z0-9]{36}$/],
  ['hugging-face-token', /^hf_[A-Za-z0-9]{30,64}$/],
  ['sendgrid-key', /^SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}$/],
];

/**
 * The kind of a key that a word looks like: `github-token`, `sk-key`, …; `null` for other words. A word with the prefix of a key is not a
 * key if it is plain words and numbers, as in `sk-learn-getting-started-guide`: random keys do not look like that.
 */
export function keyShapeOf(word: string): string | null {
  const kind = SHAPES.find(([, shape]) => shape.test(word))?.[0] ?? null;
  return kind === null || isPlainWords(word) ? null : kind;
}

/** A word of a language, an acronym, or a year or version; a random piece of some length mixes case and digits, or is longer. */
const PLAIN = /^(?:[A-Za-z][a-z]{0,19}\d{0,3}|[A-Z]{1,12}\d{0,3}|\d{1,4})$/;
/** With fewer pieces, including the prefix, the word is not a sentence. */
const LEAST_PIECES = 3;

function isPlainWords(word: string): boolean {
  const pieces = word.split(/[-_.]/);
  return pieces.length >= LEAST_PIECES && pieces.every((piece) => PLAIN.test(piece));
}

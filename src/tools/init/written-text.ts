/** A text as a scalar of YAML, also within `[ ]` and `{ }`. It is plain if that is unambiguous, else quoted. */
export const yamlText = (text: string): string => (PLAIN.test(text) ? text : JSON.stringify(text));

/** Begins like a name or path and has nothing that YAML could read otherwise. A word of YAML (`true`, `null`) has no `.`, `/` or `:`. */
const PLAIN = /^(?=.*[./:])[a-z/][\w./-]*(?::[\w./-]+)*$/i;

/** A text as one word of a POSIX shell. */
export const shellWord = (text: string): string =>
  /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;

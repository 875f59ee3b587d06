import { yamlComment } from './comment.ts';

/** An entry of a new intent. Notes become comments. */
export interface NewEntry {
  readonly actions: readonly { readonly id: string; readonly note: string }[];
  /** Values as YAML in one line. */
  readonly constraints: readonly { readonly name: string; readonly value: string; readonly note: string }[];
}

/** What a new intent says, and why. Notes become comments. */
export interface NewIntent {
  readonly head: readonly string[];
  readonly purpose: string;
  readonly resource: string;
  readonly entries: readonly NewEntry[];
  readonly expiresIn: { readonly value: string; readonly note: string };
}

/** The text of an intent file. Names and notes are untrusted: none of them can end its line or its scalar. */
export function intentText({ head, purpose, resource, entries, expiresIn }: NewIntent): string {
  return [
    ...head.map(yamlComment),
    `purpose: ${quoted(purpose)}`,
    'access:',
    ...entries.flatMap((entry) => entryLines(resource, entry)),
    `expires_in: ${expiresIn.value} ${yamlComment(expiresIn.note)}`,
    '',
  ].join('\n');
}

function entryLines(resource: string, { actions, constraints }: NewEntry): readonly string[] {
  return [
    `  - resource: ${quoted(resource)}`,
    '    actions:',
    ...actions.map(({ id, note }) => `      - ${quoted(id)} ${yamlComment(note)}`),
    '    constraints:',
    ...constraints.map(({ name, value, note }) => `      ${name}: ${value} ${yamlComment(note)}`),
  ];
}

/** Plain if that is unambiguous: an id with a dot, a URL. */
const quoted = (text: string): string =>
  /^(?:[a-z][\w-]*(?:\.[a-z][\w-]*)+|https:\/\/[\w./-]+(?::\d[\w./-]*)?)$/i.test(text) ? text : JSON.stringify(text);

/** A value as YAML in one line: `{ argument: amount, limit: 500 }`. */
export function inlineYaml(value: string | number | Readonly<Record<string, unknown>>): string {
  if (typeof value !== 'object')
    return /^[a-z]\w*$/i.test(String(value)) && !isWord(String(value)) ? String(value) : JSON.stringify(value);
  const members = Object.entries(value).map(
    ([name, own]) => `${name}: ${inlineYaml(own as Parameters<typeof inlineYaml>[0])}`,
  );
  return `{ ${members.join(', ')} }`;
}

/** A word that YAML does not read as text. */
const isWord = (text: string): boolean => /^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text);

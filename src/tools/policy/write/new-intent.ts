import { yamlComment } from './comment.ts';

/** An entry of a new intent. Notes become comments. */
export interface NewEntry {
  /** Default that of the intent. */
  readonly resource?: string;
  readonly actions: readonly {
    readonly id: string;
    readonly note: string;
    /** Whether its line is a comment, for a person to decide. An entry of such actions alone is a comment as a whole. */
    readonly isToDecide?: boolean;
  }[];
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

/** How a line begins that a person must decide: without these words it is in force. */
const TO_DECIDE = '# decide: ';

function entryLines(shared: string, { resource = shared, actions, constraints }: NewEntry): readonly string[] {
  const isToDecide = actions.every((action) => action.isToDecide === true);
  const lines = [
    `  - resource: ${quoted(resource)}`,
    '    actions:',
    ...actions.map((action) => {
      const prefix = action.isToDecide === true && !isToDecide ? TO_DECIDE : '';
      return `      ${prefix}- ${quoted(action.id)} ${yamlComment(action.note)}`;
    }),
    '    constraints:',
    ...constraints.map(({ name, value, note }) => `      ${name}: ${value} ${yamlComment(note)}`),
  ];
  return isToDecide ? lines.map((line) => `${TO_DECIDE}${line}`) : lines;
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

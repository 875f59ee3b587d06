import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Node, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Catalog } from '../../core/action/catalog/catalog.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import { enforcementFrom } from '../../core/policy/loading/enforcement-file.ts';
import type { SourceFile } from '../../core/policy/loading/source.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { LINEAR } from '../../core/runtime/yaml-text.ts';
import { yamlText } from '../init/written-text.ts';
import type { NarrowedEntry } from './narrowed-entry.ts';

/** A change of `enforcement.yaml`: the names that an entry keeps. If there are none, the entry is removed. */
export type EnforcementChange = Pick<NarrowedEntry, 'id' | 'key' | 'names'>;

/** A piece of the text and what takes its place. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const BY_HAND = 'change it by hand';

/**
 * The file with these changes. Only lines that change are touched: all else stays as it was written, with its comments. A problem if the file
 * is written in a way that this does not know; what it returns was read again, and says what was asked.
 */
export function editedEnforcement(
  { text, file }: Pick<SourceFile, 'text' | 'file'>,
  changes: readonly EnforcementChange[],
  by: { readonly catalog: Catalog; readonly nowMs: number },
): string | Problem {
  const list = parseDocument(text, LINEAR).get('observe');
  if (!isSeq(list) || list.flow === true)
    return { problem: `\`observe\` of \`${file}\` is not a list of lines: ${BY_HAND}` };
  const edits: Edit[] = [];
  for (const change of changes) {
    const item = list.items.find((one) => isMap(one) && one.get('id') === change.id);
    if (!isMap(item) || item.flow === true)
      return { problem: `the entry \`${change.id}\` of \`${file}\` is not written in lines: ${BY_HAND}` };
    edits.push(...(change.names.length === 0 ? [removedItem(text, item)] : renamed(text, item, change)));
  }
  const edited = edits
    .toSorted((one, other) => other.start - one.start || other.end - one.end)
    .reduce((whole, edit) => whole.slice(0, edit.start) + edit.text + whole.slice(edit.end), text);
  return asAsked(edited, { text, file }, changes, by);
}

/** The edited text, if reading it gives exactly the requested entries; otherwise a problem. */
function asAsked(
  edited: string,
  { text, file }: Pick<SourceFile, 'text' | 'file'>,
  changes: readonly EnforcementChange[],
  by: { readonly catalog: Catalog; readonly nowMs: number },
): string | Problem {
  const named = new Map(changes.map((change) => [change.id, change]));
  const expected = enforcementFrom({ text, file }, by).observed.flatMap((entry) => {
    const change = named.get(entry.id);
    if (change === undefined) return [comparable(entry)];
    return change.names.length === 0 ? [] : [comparable(entry, { [change.key]: change.names })];
  });
  const { observed, findings } = enforcementFrom({ text: edited, file }, by);
  const [first] = findings;
  if (first !== undefined) return { problem: `${file}: ${first.message}: ${first.help ?? BY_HAND}` };
  return JSON.stringify(observed.map((entry) => comparable(entry))) === JSON.stringify(expected)
    ? edited
    : { problem: `\`${file}\` is written in a way that cannot be edited safely: ${BY_HAND}` };
}

/** All of an entry but its place; names of a list are a set. */
function comparable(entry: ObserveEntry, change: Partial<Pick<ObserveEntry, 'agents' | 'servers'>> = {}): object {
  const { id, untilMs, owner, because } = entry;
  const { agents, servers } = { ...entry, ...change };
  return { id, untilMs, owner, because, agents: agents?.toSorted() ?? null, servers: servers?.toSorted() ?? null };
}

const startOf = ({ range }: Pick<Node, 'range'>): number => range?.[0] ?? 0;
const endOf = ({ range }: Pick<Node, 'range'>): number => range?.[1] ?? 0;

const lineStart = (text: string, at: number): number => text.lastIndexOf('\n', at - 1) + 1;
/** After the line end. */
const lineEnd = (text: string, at: number): number => {
  const end = text.indexOf('\n', at);
  return end === -1 ? text.length : end + 1;
};

/** The lines of an item of a list, with the comment above it and an empty line below it. */
function removedItem(text: string, item: YAMLMap | Scalar): Edit {
  const dash = text.lastIndexOf('-', startOf(item));
  let start = lineStart(text, dash);
  while (start > 0 && isCommentOf(text.slice(lineStart(text, start - 1), start), dash - start))
    start = lineStart(text, start - 1);
  let end = lineEnd(text, lastCharacter(item, dash));
  const next = text.slice(end, lineEnd(text, end));
  if (isMap(item) && next.trim() === '') end += next.length;
  return { start, end, text: '' };
}

/** A comment that is indented as the dash of an item is about the item. */
const isCommentOf = (line: string, indent: number): boolean =>
  line.search(/\S/) === indent && line.trim().startsWith('#');

/** The place of the last character of a node; in a block that of its last value, since a block may end with empty lines. */
function lastCharacter(node: unknown, otherwise: number): number {
  if ((isMap(node) || isSeq(node)) && node.flow !== true) {
    const last = node.items.at(-1);
    return lastCharacter(isMap(node) ? node.items.at(-1)?.value : last, startOf(node));
  }
  return isScalar(node) || isSeq(node) || isMap(node) ? Math.max(startOf(node), endOf(node) - 1) : otherwise;
}

/** Keys that say which callers an entry is of. */
const CALLERS: ReadonlySet<string> = new Set(['agents', 'unidentified']);

function renamed(text: string, item: YAMLMap, { key, names }: EnforcementChange): readonly Edit[] {
  const value = item.get(key, true) as unknown;
  if (isSeq(value)) return value.flow === true ? [flowList(text, value, names)] : blockList(text, value, names);
  // No such key: below the callers, at their indentation.
  const callers = item.items.find((pair) => isScalar(pair.key) && CALLERS.has(String(pair.key.value)));
  if (callers === undefined || !isScalar(callers.key)) return [];
  const column = startOf(item) - lineStart(text, startOf(item));
  const line = `${' '.repeat(column)}${key}: [${names.map(yamlText).join(', ')}]`;
  return [lineAfter(text, lastCharacter(callers.value, startOf(callers.key)), line)];
}

/** A line of its own after the line of a place. */
const lineAfter = (text: string, place: number, line: string): Edit => {
  const at = lineEnd(text, place);
  return { start: at, end: at, text: `${text[at - 1] === '\n' ? '' : '\n'}${line}\n` };
};

/** `[a, b]`, with the names that stay as they are written. */
function flowList(text: string, list: YAMLSeq, names: readonly string[]): Edit {
  const [start, end] = [startOf(list), endOf(list)];
  const padding = text[start + 1] === ' ' ? ' ' : '';
  const written = names.map((name) => writtenAs(text, list, name) ?? yamlText(name));
  return { start, end, text: `[${padding}${written.join(', ')}${padding}]` };
}

const itemOf = (list: YAMLSeq, name: string): Scalar | undefined =>
  list.items.find((item): item is Scalar => isScalar(item) && item.value === name);

function writtenAs(text: string, list: YAMLSeq, name: string): string | undefined {
  const item = itemOf(list, name);
  return item === undefined ? undefined : text.slice(startOf(item), endOf(item));
}

function blockList(text: string, list: YAMLSeq, names: readonly string[]): readonly Edit[] {
  const items = list.items.filter((item): item is Scalar => isScalar(item));
  const gone = items.filter(({ value }) => !names.includes(String(value)));
  const added = names.filter((name) => itemOf(list, name) === undefined);
  const [first, last] = [items[0], items.at(-1)];
  if (first === undefined || last === undefined) return [];
  const dash = text.lastIndexOf('-', startOf(first));
  const begin = `${' '.repeat(dash - lineStart(text, dash))}- `;
  const lines = added.map((name) => `${begin}${yamlText(name)}`);
  return [
    ...gone.map((item) => removedItem(text, item)),
    ...(lines.length === 0 ? [] : [lineAfter(text, lastCharacter(last, dash), lines.join('\n'))]),
  ];
}

import { isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Document, YAMLMap } from 'yaml';

/** One change of a YAML file. */
export interface YamlChange {
  /** A top-level key, such as `kind`, and its value, by which the document is found; absent: the first document. */
  readonly of?: readonly [key: string, value: string];
  /** Keys and indexes; `name=x` is the element of a list whose `name` is `x`. */
  readonly path: readonly (string | number)[];
  /** The new value; `undefined` removes the key or the element. */
  readonly value: unknown;
  /** The comment above it, in place of the existing comment; absent: none. */
  readonly because?: string;
}

/**
 * The YAML file with these changes; all else, with its comments, stays as it is. Throws if a place does not exist and its parent has no room for
 * it, which means that the shipped file and the list of changes differ.
 *
 * @param head the comment at the top in place of the existing comment
 */
export function changedYaml(text: string, changes: readonly YamlChange[], head: string | null = null): string {
  const documents = parseAllDocuments(text);
  if ('empty' in documents) throw new Error('the file has no YAML document');
  for (const change of changes) apply(documentOf(documents, change), change);
  const [first] = documents;
  if (head !== null && first !== undefined) {
    first.commentBefore = head;
    // The comment of a file without an empty line after it belongs to its first node.
    if (first.contents !== null && isMap(first.contents)) first.contents.commentBefore = null;
  }
  return documents.map((document) => document.toString({ lineWidth: 0, flowCollectionPadding: true })).join('');
}

type Parsed = Document.Parsed;

function documentOf(documents: readonly Parsed[], { of, path }: YamlChange): Parsed {
  const found = of === undefined ? documents[0] : documents.find((document) => document.get(of[0]) === of[1]);
  if (found === undefined) throw new Error(`no document has \`${(of ?? path).join(' ')}\``);
  return found;
}

function apply(document: Parsed, { path, value, because }: YamlChange): void {
  const place = indexed(document, path);
  const parent = document.getIn(place.slice(0, -1), true);
  const last = place.at(-1);
  if (value === undefined) return void document.deleteIn(place);
  document.setIn(place, document.createNode(value));
  if (isMap(parent)) comment(parent, last, because);
}

/** Replaces the comment above a key of a block; a key within braces has none. */
function comment(map: YAMLMap, key: unknown, because: string | undefined): void {
  if (map.flow === true) return;
  const pair = map.items.find((item) => isScalar(item.key) && item.key.value === key);
  if (pair === undefined || !isScalar(pair.key)) return;
  // The parser gives a comment above the first key to the map.
  if (map.items[0] === pair) map.commentBefore = null;
  pair.key.commentBefore = because === undefined ? null : ` ${because}`;
}

/** The path with indexes in place of names. */
function indexed(document: Parsed, path: YamlChange['path']): readonly (string | number)[] {
  const found: (string | number)[] = [];
  for (const step of path) {
    const isLast = found.length === path.length - 1;
    const at = indexOfStep(document.getIn(found), step);
    const isThere = document.hasIn([...found, at]) || (isLast && isMap(document.getIn(found)));
    if (!isThere) throw new Error(`the shipped file has no \`${path.join('.')}\``);
    found.push(at);
  }
  return found;
}

const BY_NAME = 'name=';

/** A step of a path with the index of the element in place of its name, -1 if there is none: `name=x` is the element whose `name` is `x`. */
export function indexOfStep(parent: unknown, step: string | number): string | number {
  if (typeof step === 'number' || !step.startsWith(BY_NAME)) return step;
  const name = step.slice(BY_NAME.length);
  return isSeq(parent) ? parent.items.findIndex((item) => isMap(item) && item.get('name') === name) : -1;
}

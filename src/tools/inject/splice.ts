import { isDeepStrictEqual } from 'node:util';
import { isNode, isPair, isSeq, parseAllDocuments, stringify } from 'yaml';
import type { Document, YAMLMap, YAMLSeq } from 'yaml';
import { LINEAR } from '../../core/runtime/yaml-text.ts';
import type { JsonObject } from './fragment.ts';

/** Text that is put before an offset of a text. */
export interface Edit {
  readonly offset: number;
  readonly text: string;
}

/**
 * The edit that puts entries before the first entry of a list in block style, or members before the first key of a map that
 * begins a line. In a list that is the second key, since the first follows the dash.
 *
 * @returns `null` if no such entry or key begins a line
 */
export function insertion(
  into: YAMLMap | YAMLSeq,
  at: { readonly added: JsonObject | readonly JsonObject[]; readonly text: string },
): Edit | null {
  if (into.flow === true) return null;
  for (const item of into.items.slice(0, isSeq(into) ? 1 : 2)) {
    const node = isPair(item) ? item.key : item;
    if (!isNode(node) || !node.range) return null;
    const lineStart = at.text.lastIndexOf('\n', node.range[0] - 1) + 1;
    const indent = (isSeq(into) ? /^( *)- +$/ : /^( *)$/).exec(at.text.slice(lineStart, node.range[0]))?.[1];
    if (indent === undefined) continue;
    const written = stringify(at.added, { lineWidth: 0 });
    return { offset: beforeComments(at.text, lineStart), text: written.replaceAll(/^(?=.)/gm, indent) };
  }
  return null;
}

/** The start of the comment lines and empty lines right above a line: such comments are about it. */
function beforeComments(text: string, lineStart: number): number {
  let start = lineStart;
  while (start > 0) {
    const above = text.lastIndexOf('\n', start - 2) + 1;
    if (!/^\s*(?:#.*)?$/.test(text.slice(above, start - 1))) break;
    start = above;
  }
  return start;
}

/** The source of a document with edits; `null` if that does not parse to the changed document. */
export function spliced(
  document: Document.Parsed,
  at: { readonly edits: readonly (Edit | null)[]; readonly text: string; readonly start: number },
): string | null {
  let done = '';
  let from = at.start;
  for (const edit of at.edits.toSorted((a, b) => (a?.offset ?? 0) - (b?.offset ?? 0))) {
    if (edit === null) return null;
    done += at.text.slice(from, edit.offset) + edit.text;
    from = edit.offset;
  }
  done += at.text.slice(from, document.range[2]);
  const parsed = parseAllDocuments(done, { logLevel: 'silent', ...LINEAR });
  const [again, ...more] = 'empty' in parsed ? [] : parsed;
  if (again === undefined || more.length > 0 || again.errors.length > 0) return null;
  try {
    return isDeepStrictEqual(again.toJS(), document.toJS()) ? done : null;
  } catch {
    return null;
  }
}

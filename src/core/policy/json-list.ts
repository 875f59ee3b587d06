import { isNode, isSeq, parseDocument } from 'yaml';
import { placesIn } from '../runtime/text-place.ts';
import { LINEAR, repeatedKeys } from '../runtime/yaml-text.ts';
import type { SourceFinding } from '../action/catalog/finding.ts';
import type { TextPlace } from '../runtime/text-place.ts';
import { strictJsonFrom } from '../token/jose/strict-json.ts';
import type { SourceFile } from './loading/source.ts';

/** An item of a list with its place. */
export interface PlacedItem {
  readonly value: unknown;
  readonly at: TextPlace & { readonly file: string };
}

/** The items of a file that is one JSON list, each with its place; a finding if it is not a list. */
export function jsonListFrom(
  source: SourceFile,
  what: string,
): { readonly items: readonly PlacedItem[]; readonly findings: readonly SourceFinding[] } {
  const placeAt = placesIn(source.text);
  const at = (offset: number) => ({ file: source.file, ...placeAt(offset) });
  const refused = (offset: number, message: string) => ({
    items: [],
    findings: [{ ...at(offset), message, help: null }],
  });
  const json = strictJsonFrom(Buffer.from(source.text));
  if ('problem' in json) return refused(jsonErrorOffset(source), `the file ${json.problem}`);
  if (!Array.isArray(json.value)) return refused(0, `the ${what} must be a list`);
  const places = offsetsOf(source);
  return { items: json.value.map((value, index) => ({ value, at: at(places[index] ?? 0) })), findings: [] };
}

/** JSON is YAML too, and the YAML parser reports where it failed. */
function jsonErrorOffset(source: SourceFile): number {
  const document = parseDocument(source.text, { prettyErrors: false, ...LINEAR });
  return document.errors[0]?.pos[0] ?? repeatedKeys(document)[0]?.offset ?? 0;
}

function offsetsOf(source: SourceFile): readonly number[] {
  const { contents } = parseDocument(source.text, { prettyErrors: false, ...LINEAR });
  return isSeq(contents) ? contents.items.map((item) => (isNode(item) ? (item.range?.[0] ?? 0) : 0)) : [];
}

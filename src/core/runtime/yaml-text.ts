import { isMap, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document, Node } from 'yaml';

/** With this option the library does not look for repeated keys, which takes it 50 s for 64,000 keys of one map: `repeatedKeys` does. */
export const LINEAR = { uniqueKeys: false } as const;

/**
 * The first 20 keys of a parsed document that their map has already, in linear time. Keys with one name in JSON are one key, such as `1` and
 * `"1"`; keys that are lists or maps are not compared.
 */
export function repeatedKeys(document: Document): readonly YamlProblem[] {
  const found: YamlProblem[] = [];
  visit(document, {
    Map: (_key, map) => {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        const name: unknown = isScalar(key) ? (key.value === null ? '' : key.toString()) : key;
        if (seen.has(name)) found.push({ offset: offsetOf(key, 0), message: 'Map keys must be unique' });
        if (found.length === MAX_PROBLEMS) return visit.BREAK;
        seen.add(name);
      }
      return undefined;
    },
  });
  return found;
}

/** Longest YAML file, in bytes. */
export const MAX_YAML_BYTES = 1024 * 1024;
const MAX_PROBLEMS = 20;

/** What keeps a text from being read; the offset counts UTF-16 code units from its start. */
export interface YamlProblem {
  readonly offset: number;
  readonly message: string;
}

/**
 * Parses a YAML 1.2 text strictly: at most 1 MiB, one document, unique keys, no aliases, core-schema tags only. Its root, `null` if it is
 * empty, or the first 20 problems.
 */
export function yamlRootFrom(
  text: string,
): { readonly root: Node | null } | { readonly problems: readonly YamlProblem[] } {
  if (Buffer.byteLength(text) > MAX_YAML_BYTES)
    return { problems: [{ offset: 0, message: `the file is larger than ${MAX_YAML_BYTES} bytes` }] };
  const document = parseDocument(text, { prettyErrors: false, ...LINEAR });
  const problems = [...document.errors, ...document.warnings]
    .slice(0, MAX_PROBLEMS)
    .map(({ pos, message }) => ({ offset: pos[0], message: yamlMessage(message) }));
  for (const { offset, message } of repeatedKeys(document)) problems.push({ offset, message: yamlMessage(message) });
  visit(document, {
    Alias: (_key, alias) => {
      problems.push({ offset: offsetOf(alias, 0), message: 'aliases are not supported: write the value out' });
    },
  });
  return problems.length > 0
    ? { problems: problems.toSorted((one, other) => one.offset - other.offset).slice(0, MAX_PROBLEMS) }
    : { root: document.contents };
}

const yamlMessage = (message: string): string => `invalid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;

/** The start of a node, in UTF-16 code units from the start of the text; `otherwise` for a node that is not written. */
export const offsetOf = (node: unknown, otherwise: number): number =>
  typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? Number(node.range[0])
    : otherwise;

/** The plain JSON value of a node that `yamlRootFrom` read; `undefined` if there is none. */
export const jsonOf = (node: Node | null | undefined): unknown =>
  isMap(node) || isSeq(node) || isScalar(node) ? (node.toJSON() as unknown) : undefined;

import { isCollection, isMap, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Node, Pair } from 'yaml';
import { isProblem } from '../runtime/problem.ts';
import { bool, type Reader } from '../runtime/fields.ts';
import { placesIn } from './finding.ts';
import type { Finding } from './finding.ts';

/** A value with its place: UTF-16 code units from the start of the file. */
export interface Placed<Value> {
  readonly value: Value;
  readonly offset: number;
}

/** A node of the file, or the place where it is missing. */
export type PlacedNode = Placed<Node | null>;

/** A YAML file being read: its root, and the findings so far. */
export interface YamlFile {
  /** `null` where the file is empty or not valid YAML. */
  readonly root: PlacedNode;
  readonly findings: readonly Finding[];
  readonly report: (offset: number, message: string, help?: string) => void;
  /** Creates a finding without reporting it. */
  readonly findingAt: (offset: number, message: string, help?: string) => Finding;
}

/** Longest file, in bytes. */
export const MAX_YAML_BYTES = 1024 * 1024;
const MAX_YAML_FINDINGS = 20;

/**
 * Opens a YAML 1.2 file strictly: at most 1 MiB, one document, unique keys, no aliases, core-schema tags only. A violation is a
 * finding and leaves an empty root.
 */
export function openYaml(text: string, file: string): YamlFile {
  const findings: Finding[] = [];
  const placeAt = placesIn(text);
  const findingAt: YamlFile['findingAt'] = (offset, message, help) => ({
    file,
    ...placeAt(offset),
    message,
    help: help ?? null,
  });
  const report: YamlFile['report'] = (...of) => {
    findings.push(findingAt(...of));
  };
  const root = { value: null, offset: 0 };
  if (Buffer.byteLength(text) > MAX_YAML_BYTES) report(0, `the file is larger than ${MAX_YAML_BYTES} bytes`);
  if (findings.length > 0) return { root, findings, report, findingAt };
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: true });
  for (const problem of [...document.errors, ...document.warnings].slice(0, MAX_YAML_FINDINGS)) {
    report(problem.pos[0], yamlMessage(problem.message));
  }
  visit(document, {
    Alias: (_key, alias) => report(offsetOf(alias, 0), 'aliases are not supported: write the value out'),
  });
  if (findings.length > 0) return { root, findings, report, findingAt };
  return { root: { value: document.contents, offset: offsetOf(document.contents, 0) }, findings, report, findingAt };
}

const yamlMessage = (message: string): string => `invalid YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;

const offsetOf = (node: unknown, otherwise: number): number =>
  typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? Number(node.range[0])
    : otherwise;

/** The entries of a mapping by key, in order; a finding and an empty result where the node is not a mapping. */
export function entriesOf(
  yaml: YamlFile,
  node: PlacedNode,
  what: string,
): readonly (readonly [Placed<string>, PlacedNode])[] {
  if (!isMap(node.value)) {
    yaml.report(node.offset, `${what} must be a mapping`);
    return [];
  }
  return node.value.items.flatMap((pair) => entryOf(yaml, pair, node.offset));
}

function entryOf(yaml: YamlFile, pair: Pair, otherwise: number): (readonly [Placed<string>, PlacedNode])[] {
  const offset = offsetOf(pair.key, otherwise);
  if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
    yaml.report(offset, 'a key must be a string');
    return [];
  }
  return [[{ value: pair.key.value, offset }, nodeOf(pair.value, offset)]];
}

const nodeOf = (value: unknown, otherwise: number): PlacedNode =>
  isMap(value) || isSeq(value) || isScalar(value)
    ? { value, offset: offsetOf(value, otherwise) }
    : { value: null, offset: offsetOf(value, otherwise) };

/** The values of a mapping with known keys. Unknown keys and missing required keys are findings. */
export function fieldsOf<Key extends string>(
  yaml: YamlFile,
  node: PlacedNode,
  expected: { readonly what: string; readonly required: readonly Key[]; readonly optional?: readonly Key[] },
): ReadonlyMap<Key, PlacedNode> {
  const known: readonly Key[] = [...expected.required, ...(expected.optional ?? [])];
  const fields = new Map<Key, PlacedNode>();
  if (!isMap(node.value)) {
    yaml.report(node.offset, `${expected.what} must be a mapping`);
    return fields;
  }
  for (const [key, value] of entriesOf(yaml, node, expected.what)) {
    const name = known.find((candidate) => candidate === key.value);
    if (name === undefined)
      yaml.report(key.offset, `unknown key \`${key.value}\` in ${expected.what}`, `known: ${known.join(', ')}`);
    else fields.set(name, value);
  }
  for (const name of expected.required) {
    if (!fields.has(name)) yaml.report(node.offset, `${expected.what} lacks the key \`${name}\``);
  }
  return fields;
}

/** The items of a sequence; a finding and an empty result where the node is not one. */
export function itemsOf(yaml: YamlFile, node: PlacedNode, what: string): readonly PlacedNode[] {
  if (isSeq(node.value)) return node.value.items.map((item) => nodeOf(item, node.offset));
  yaml.report(node.offset, `${what} must be a list`);
  return [];
}

/** A string that matches a grammar; otherwise a finding and `null`. */
export function stringOf(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  expected: { readonly what: string; readonly accepts: (value: string) => boolean; readonly rule: string },
): Placed<string> | null {
  if (node === undefined) return null;
  const value = isScalar(node.value) ? node.value.value : undefined;
  if (typeof value === 'string' && expected.accepts(value)) return { value, offset: node.offset };
  const given = typeof value === 'string' || typeof value === 'number' ? ` \`${String(value).slice(0, 100)}\`` : '';
  yaml.report(node.offset, `${expected.what}${given} must be ${expected.rule}`);
  return null;
}

/** One of a closed set of words; otherwise a finding and `null`. */
export function wordOf<Word extends string>(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  expected: { readonly what: string; readonly words: readonly Word[] },
): Word | null {
  const rule = `one of ${expected.words.map((word) => `\`${word}\``).join(', ')}`;
  const accepts = (value: string): boolean => expected.words.some((word) => word === value);
  const given = stringOf(yaml, node, { what: expected.what, accepts, rule });
  return expected.words.find((word) => word === given?.value) ?? null;
}

/** The plain JSON value of a node: tags and aliases were refused when the file was opened. */
export const jsonOf = (node: PlacedNode | undefined): unknown =>
  isScalar(node?.value) || isCollection(node?.value) ? (node.value.toJSON() as unknown) : undefined;

/** The value of a field by its reader; a finding and `null` where that refuses it, `undefined` where the field is absent. */
export function leafOf<T>(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  expected: { readonly what: string; readonly reader: Reader<T> },
): T | undefined | null {
  if (node === undefined) return undefined;
  const read = expected.reader(jsonOf(node));
  if (!isProblem(read)) return read;
  yaml.report(node.offset, `${expected.what} ${read.problem}`);
  return null;
}

/** `true` or `false`; otherwise a finding and `null`. */
export const booleanOf = (yaml: YamlFile, node: PlacedNode | undefined, what: string): boolean | null =>
  leafOf(yaml, node, { what, reader: bool }) ?? null;

import { isMap, isScalar, isSeq } from 'yaml';
import type { Node, Pair } from 'yaml';
import type { Reader } from '../../runtime/fields.ts';
import { isProblem } from '../../runtime/problem.ts';
import { placesIn } from '../../runtime/text-place.ts';
import { jsonOf, offsetOf, yamlRootFrom } from '../../runtime/yaml-text.ts';
import type { SourceFinding } from './finding.ts';

/** A value with its place: UTF-16 code units from the start of the file. */
export interface Placed<Value> {
  readonly value: Value;
  readonly offset: number;
}

/** A node of the file, or the place where it is missing. */
export type PlacedNode = Placed<Node | null>;

/** A YAML file being read: its root, and the findings so far. */
export interface YamlFile {
  /** `null` if the file is empty or not valid YAML. */
  readonly root: PlacedNode;
  readonly findings: readonly SourceFinding[];
  readonly report: (offset: number, message: string, help?: string) => void;
  /** Creates a finding without reporting it. */
  readonly findingAt: (offset: number, message: string, help?: string) => SourceFinding;
}

/** Opens a YAML file strictly, as `yamlRootFrom` does. A violation is a finding and leaves an empty root. */
export function openYaml(text: string, file: string): YamlFile {
  const findings: SourceFinding[] = [];
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
  const yaml = yamlRootFrom(text);
  if ('root' in yaml) return { root: placed(yaml.root, 0), findings, report, findingAt };
  for (const { offset, message } of yaml.problems) report(offset, message);
  return { root: { value: null, offset: 0 }, findings, report, findingAt };
}

const placed = (value: Node | null, otherwise: number): PlacedNode => ({ value, offset: offsetOf(value, otherwise) });

/** The entries of a mapping by key, in order; a finding and an empty result if the node is not a mapping. */
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
export function yamlFields<Key extends string>(
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

/** The items of a sequence; a finding and an empty result if the node is not a sequence. */
export function itemsOf(yaml: YamlFile, node: PlacedNode, what: string): readonly PlacedNode[] {
  if (isSeq(node.value)) return node.value.items.map((item) => nodeOf(item, node.offset));
  yaml.report(node.offset, `${what} must be a list`);
  return [];
}

interface Expected<T> {
  /** What findings call it. */
  readonly what: string;
  readonly reader: Reader<T>;
}

/** The value of a field by its reader. `null` if it is absent, or if the reader refuses it: a finding that quotes it. */
export const valueOf = <T>(yaml: YamlFile, node: PlacedNode | undefined, expected: Expected<T>): T | null =>
  placedOf(yaml, node, expected)?.value ?? null;

/** As `valueOf`, with the place of the value. */
export function placedOf<T>(yaml: YamlFile, node: PlacedNode | undefined, expected: Expected<T>): Placed<T> | null {
  if (node === undefined) return null;
  const written = jsonOf(node.value);
  const read = expected.reader(written);
  if (!isProblem(read)) return { value: read, offset: node.offset };
  const quoted =
    typeof written === 'string' || typeof written === 'number' ? ` \`${String(written).slice(0, 100)}\`` : '';
  yaml.report(node.offset, `${expected.what}${quoted} ${read.problem}`);
  return null;
}

/**
 * The value of a field by its reader; `undefined` if it is absent, `null` if the reader refuses it: a finding that does not quote
 * the value, since a file of policy tests may contain a token.
 */
export function leafOf<T>(yaml: YamlFile, node: PlacedNode | undefined, expected: Expected<T>): T | undefined | null {
  if (node === undefined) return undefined;
  const read = expected.reader(jsonOf(node.value));
  if (!isProblem(read)) return read;
  yaml.report(node.offset, `${expected.what} ${read.problem}`);
  return null;
}

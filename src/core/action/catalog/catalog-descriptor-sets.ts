/** The descriptor sets that a catalog names, each parsed once. */
import { textLike } from '../../runtime/fields.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { DescriptorSet } from '../grpc/protobuf/descriptor-set.ts';
import { entriesOf, openYaml, placedOf } from './yaml-file.ts';
import type { PlacedNode, YamlFile } from './yaml-file.ts';

/** The bytes of each descriptor set that a catalog names, by name, or why it could not be read. */
export type DescriptorFiles = ReadonlyMap<string, Uint8Array | Problem>;

/** Returns a descriptor set by file name; each is parsed once. */
export type DescriptorSets = (name: string) => DescriptorSet | Problem;

const MAX_NAME_LENGTH = 255;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/;

/**
 * The descriptor set names in a catalog's text, deduplicated, in order: the files to read before the catalog is parsed. Empty if the text
 * is not YAML.
 */
export function descriptorSetNames(text: string): readonly string[] {
  // Most catalogs name none and need not be parsed twice.
  if (!text.includes('descriptorSet')) return [];
  const yaml = openYaml(text, '');
  if (yaml.findings.length > 0) return [];
  // Errors on the way are reported when the catalog is read.
  const under = (node: PlacedNode, key: string): readonly PlacedNode[] =>
    entriesOf(yaml, node, '').flatMap(([name, value]) => (name.value === key ? [value] : []));
  const servers = under(yaml.root, 'servers').flatMap((node) => entriesOf(yaml, node, ''));
  const named = servers.flatMap(([, server]) => under(server, 'grpc').flatMap((grpc) => under(grpc, 'descriptorSet')));
  return [...new Set(named.flatMap((node) => nameOf(yaml, node)?.value ?? []))];
}

/** The descriptor sets of a catalog that names none. */
export const noDescriptorSets: DescriptorSets = () => ({ problem: 'was not read' });

/** Parses these files on demand. The parser of protobuf is loaded only if there are any. */
export async function descriptorSetsIn(files: DescriptorFiles): Promise<DescriptorSets> {
  if (files.size === 0) return noDescriptorSets;
  const { descriptorSetFrom } = await import('../grpc/protobuf/descriptor-set.ts');
  const read = new Map<string, DescriptorSet | Problem>();
  return (name) => {
    const known = read.get(name);
    if (known !== undefined) return known;
    const bytes = files.get(name);
    const set = bytes === undefined ? noDescriptorSets(name) : isProblem(bytes) ? bytes : descriptorSetFrom(bytes);
    read.set(name, set);
    return set;
  };
}

/** The descriptor set that a catalog value names; a finding and `null` if it is not available. */
export function descriptorSetOf(yaml: YamlFile, node: PlacedNode, sets: DescriptorSets): DescriptorSet | null {
  const name = nameOf(yaml, node);
  if (name === null) return null;
  const set = sets(name.value);
  if (!isProblem(set)) return set;
  yaml.report(name.offset, `the descriptor set \`${name.value}\` ${set.problem}`);
  return null;
}

const nameOf = (yaml: YamlFile, node: PlacedNode) =>
  placedOf(yaml, node, { what: 'the descriptor set', reader: fileName });

const fileName = textLike(
  'a file of the policy folder or of a folder in it, such as `shop.binpb`, named with letters, digits, `.`, `_` and `-`',
  (value) => NAME.test(value),
  { max: MAX_NAME_LENGTH },
);

/** What the entries of `enforcement.yaml` and `limits.yaml` have in common: an id, keys they must have, and lists of names. */
import { itemsOf, placedOf } from '../../action/catalog/yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from '../../action/catalog/yaml-file.ts';
import { NO_SPIFFE_ID_PATTERN } from '../../identity/spiffe-id-pattern.ts';
import type { Reader } from '../../runtime/fields.ts';
import { textLike, textOf } from '../../runtime/fields.ts';
import { isObservedAgent, MAX_OBSERVED_NAMES as MAX_NAMES } from '../observed-names.ts';

/** The id of an entry: it is in records, and the value of a label of metrics. */
export const entryId = textLike(
  'letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64',
  (value) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value),
);

/** A pattern of SPIFFE IDs, or `*` for every agent. */
export const agentPattern = textOf<string>('a SPIFFE ID such as `spiffe://acme.test/ns/legacy/*`', (value) =>
  isObservedAgent(value) ? value : { problem: NO_SPIFFE_ID_PATTERN },
);

/** Reports each key of a table that an entry lacks, with what the table says of it. */
export function reportMissing<Key extends string>(
  yaml: YamlFile,
  node: PlacedNode,
  {
    what,
    fields,
    help,
  }: {
    readonly what: string;
    readonly fields: Pick<ReadonlyMap<Key, PlacedNode>, 'has'>;
    readonly help: Readonly<Partial<Record<Key, string>>>;
  },
): void {
  for (const [key, text] of Object.entries<string | undefined>(help)) {
    // Safe: a key of the table.
    if (!fields.has(key as Key)) yaml.report(node.offset, `${what} lacks the key \`${key}\``, text);
  }
}

interface Names {
  readonly what: string;
  readonly noun: string;
  readonly reader: Reader<string>;
}

/** The names of a list of 1 to 64; an empty or longer list is a finding. */
export function nameListOf(yaml: YamlFile, node: PlacedNode, { what, noun, reader }: Names): readonly Placed<string>[] {
  const items = itemsOf(yaml, node, what);
  if (items.length === 0)
    yaml.report(node.offset, `${what} names none`, `leave the entry out, or name 1 to ${MAX_NAMES}`);
  if (items.length > MAX_NAMES)
    yaml.report(node.offset, `${what} names ${items.length}`, `at most ${MAX_NAMES}: write several entries`);
  return items.slice(0, MAX_NAMES).flatMap((item) => placedOf(yaml, item, { what: noun, reader }) ?? []);
}

/** Reports each id that an earlier entry has. */
export function reportRepeated(yaml: YamlFile, ids: readonly Placed<string>[]): void {
  const seen = new Set<string>();
  for (const id of ids) {
    if (seen.has(id.value))
      yaml.report(id.offset, `the id \`${id.value}\` is of another entry too`, 'give each its own');
    seen.add(id.value);
  }
}

/** Whether a key is written without a value. */
export const isEmptyNode = ({ value }: PlacedNode): boolean =>
  value !== null && 'value' in value && value.value === null;

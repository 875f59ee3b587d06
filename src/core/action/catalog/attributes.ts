import { isScalar, isSeq } from 'yaml';
import { textLike } from '../../runtime/fields.ts';
import { elsewhere } from './written-at.ts';
import type { WrittenAt } from './written-at.ts';
import { entriesOf, itemsOf, valueOf } from './yaml-file.ts';
import type { PlacedNode, YamlFile } from './yaml-file.ts';

/** An attribute of a server or resource, in the operator's words: `tier: restricted`. */
export type AttributeValue = string | number | boolean | readonly string[];

/** Attributes by name; at most 16 in one mapping. */
export type Attributes = ReadonlyMap<string, AttributeValue>;

/** The types of attributes; `strings` is a set. */
export type AttributeType = 'string' | 'long' | 'bool' | 'strings';

const MAX_ATTRIBUTES = 16;
const MAX_TEXT_LENGTH = 256;
const MAX_TEXTS = 64;
const NAME = /^[a-z][A-Za-z0-9_]{0,62}$/;

/** Reads the attributes of a mapping. An invalid name or value, and attributes beyond the limits, are findings. */
export function attributesFrom(yaml: YamlFile, node: PlacedNode | undefined): Attributes {
  if (node === undefined) return new Map();
  const entries = entriesOf(yaml, node, '`attributes`');
  if (entries.length > MAX_ATTRIBUTES) yaml.report(node.offset, `there are at most ${MAX_ATTRIBUTES} attributes`);
  return new Map(
    entries.slice(0, MAX_ATTRIBUTES).flatMap(([name, value]) => {
      if (!NAME.test(name.value)) {
        const rule = 'letters, digits and `_`, beginning with a lower-case letter, at most 63';
        yaml.report(name.offset, `the attribute \`${name.value.slice(0, 100)}\` must be ${rule}`);
      }
      const read = valueFrom(yaml, value, `the attribute \`${name.value}\``);
      return read === null ? [] : [[name.value, read] as const];
    }),
  );
}

function valueFrom(yaml: YamlFile, node: PlacedNode, what: string): AttributeValue | null {
  if (isSeq(node.value)) {
    const items = itemsOf(yaml, node, what);
    if (items.length > MAX_TEXTS) yaml.report(node.offset, `${what} has more than ${MAX_TEXTS} texts`);
    const texts = items.slice(0, MAX_TEXTS).flatMap((item) => textFrom(yaml, item, `a member of ${what}`) ?? []);
    return [...new Set(texts)].toSorted();
  }
  const value = isScalar(node.value) ? node.value.value : undefined;
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))) return value;
  if (typeof value === 'string') return textFrom(yaml, node, what);
  yaml.report(
    node.offset,
    `${what} must be text, a whole number up to ±(2^53 − 1), \`true\`, \`false\` or a list of texts`,
  );
  return null;
}

const textFrom = (yaml: YamlFile, node: PlacedNode, what: string): string | null =>
  valueOf(yaml, node, { what, reader: attributeText });

const attributeText = textLike(`text of at most ${MAX_TEXT_LENGTH} characters`, () => true, {
  min: 0,
  max: MAX_TEXT_LENGTH,
});

/** The type of a value. */
export function attributeTypeOf(value: AttributeValue): AttributeType {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'number') return 'long';
  return typeof value === 'boolean' ? 'bool' : 'strings';
}

/** Most different attribute names in one catalog. */
const MAX_NAMES = 64;

/** Checks that each attribute name has one type in the whole catalog. */
export class AttributeTypes {
  readonly #types = new Map<
    string,
    { readonly type: AttributeType; readonly of: string; readonly at: WrittenAt; isReported: boolean }
  >();
  #isFull = false;

  /** Reports, once per name, an attribute whose type differs from its first occurrence. */
  check(attributes: Attributes, of: { readonly id: string; readonly offset: number }, yaml: YamlFile): void {
    for (const [name, value] of attributes) {
      const type = attributeTypeOf(value);
      const first = this.#types.get(name);
      if (first === undefined) this.#add(name, { type, of, yaml });
      else if (first.type !== type && !first.isReported) {
        first.isReported = true;
        const at = elsewhere(first.at, yaml);
        const problem = `the attribute \`${name}\` is ${SHOWN[first.type]} of \`${first.of}\`${at} and ${SHOWN[type]} of \`${of.id}\``;
        yaml.report(of.offset, problem, 'an attribute has one type in the whole catalog');
      }
    }
  }

  #add(
    name: string,
    by: {
      readonly type: AttributeType;
      readonly of: { readonly id: string; readonly offset: number };
      readonly yaml: YamlFile;
    },
  ): void {
    const { type, of, yaml } = by;
    if (this.#types.size < MAX_NAMES)
      this.#types.set(name, { type, of: of.id, at: { yaml, offset: of.offset }, isReported: false });
    else if (!this.#isFull) {
      this.#isFull = true;
      yaml.report(of.offset, `a catalog names at most ${MAX_NAMES} attributes`);
    }
  }
}

const SHOWN: Readonly<Record<AttributeType, string>> = {
  string: 'text',
  long: 'a number',
  bool: 'true or false',
  strings: 'a list',
};

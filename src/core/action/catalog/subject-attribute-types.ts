import { SUBJECT_ATTRIBUTE_TYPES } from '../../task/subject-attributes.ts';
import type { SubjectAttributeType } from '../../task/subject-attributes.ts';
import { oneOf } from '../../runtime/fields.ts';
import { entriesOf, valueOf } from './yaml-file.ts';
import type { PlacedNode, YamlFile } from './yaml-file.ts';

/** The subject attributes that policies can read, by name, with their types. */
export type SubjectAttributeTypes = ReadonlyMap<string, SubjectAttributeType>;

const NAME = /^[a-z][A-Za-z0-9_]{0,62}$/;
/** Most subject attributes of a catalog. */
export const MAX_SUBJECT_ATTRIBUTES = 16;

/** Reads `subjectAttributes`: at most 16 names with their types. Empty if absent. */
export function subjectAttributeTypesFrom(yaml: YamlFile, node: PlacedNode | undefined): SubjectAttributeTypes {
  if (node === undefined) return new Map();
  const entries = entriesOf(yaml, node, '`subjectAttributes`');
  if (entries.length > MAX_SUBJECT_ATTRIBUTES)
    yaml.report(node.offset, `there are at most ${MAX_SUBJECT_ATTRIBUTES} attributes`);
  return new Map(
    entries.flatMap(([name, value]) => {
      if (!NAME.test(name.value)) {
        const rule = 'letters, digits and `_`, beginning with a lower-case letter, at most 63';
        yaml.report(name.offset, `the attribute \`${name.value.slice(0, 100)}\` must be ${rule}`);
      }
      const type = valueOf(yaml, value, { what: 'the type', reader: oneOf(SUBJECT_ATTRIBUTE_TYPES) });
      return type === null ? [] : [[name.value, type] as const];
    }),
  );
}

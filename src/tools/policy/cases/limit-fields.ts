/** Reads the `limits` of a case: what each limit over all tasks had counted before. */
import { entriesOf, leafOf, yamlFields } from '../../../core/action/catalog/yaml-file.ts';
import type { PlacedNode, YamlFile } from '../../../core/action/catalog/yaml-file.ts';
import { integer, listOf, text } from '../../../core/runtime/fields.ts';
import type { Reader } from '../../../core/runtime/fields.ts';
import { amountLimit } from '../../../core/token/authorization-details.ts';
import type { CountedBefore } from './test-case.ts';

const KEYS = ['calls', 'amount', 'distinct', 'tasks', 'openTasks'] as const;
const count = integer(0, Number.MAX_SAFE_INTEGER);
const MAX_VALUES = 10_000;

/** How many values, or which. */
const values: Reader<number | readonly string[]> = (value) => {
  if (!Array.isArray(value)) return integer(0, MAX_VALUES)(value);
  return listOf(text({ max: 8_192 }), { min: 0, max: MAX_VALUES })(value.map(String));
};

/** What each limit had counted before the case, by the id of the limit; empty without the key `limits`. */
export function countedFrom(yaml: YamlFile, node: PlacedNode | undefined): ReadonlyMap<string, CountedBefore> {
  if (node === undefined) return new Map();
  return new Map(
    entriesOf(yaml, node, '`limits`').map(([id, entry]) => {
      const what = `the limit \`${id.value.slice(0, 100)}\``;
      const fields = yamlFields(yaml, entry, { what, required: [], optional: KEYS });
      const leaf = <T>(key: (typeof KEYS)[number], reader: Reader<T>) =>
        leafOf(yaml, fields.get(key), { what: `\`${key}\``, reader });
      return [
        id.value,
        {
          calls: leaf('calls', count) ?? 0,
          amount: leaf('amount', amountLimit) ?? { limit: 0 },
          distinct: leaf('distinct', values) ?? 0,
          tasks: leaf('tasks', count) ?? 0,
          openTasks: leaf('openTasks', count) ?? 0,
        },
      ] as const;
    }),
  );
}

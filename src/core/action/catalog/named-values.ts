/** Values by name that several files of a catalog may declare. */
import { isMap } from 'yaml';
import { entriesOf } from './yaml-file.ts';
import type { PlacedNode, YamlFile } from './yaml-file.ts';
import { elsewhere } from './written-at.ts';
import type { WrittenAt } from './written-at.ts';

/** The values of one file. */
export interface FileValues<Value> {
  readonly yaml: YamlFile;
  /** `undefined` if the file has none. */
  readonly node: PlacedNode | undefined;
  readonly values: ReadonlyMap<string, Value>;
}

/**
 * The values of all files. Files may repeat a name with the same value. A name with another value is a finding that names both
 * places, and so are more than `max` names.
 *
 * @param of.what a name in findings, such as `the time zone`
 */
export function mergedValues<Value>(
  files: readonly FileValues<Value>[],
  { what, max }: { readonly what: string; readonly max: number },
): ReadonlyMap<string, Value> {
  const [only, ...others] = files;
  if (only === undefined || others.length === 0) return only?.values ?? new Map<string, Value>();
  const merged = new Map<string, Value>();
  const places = new Map<string, WrittenAt>();
  for (const { yaml, node, values } of files) {
    // A node that is not a mapping was reported when its file was read.
    if (node === undefined || !isMap(node.value)) continue;
    for (const [{ value: name, offset }] of entriesOf(yaml, node, what)) {
      const value = values.get(name);
      if (value === undefined) continue;
      const former = merged.get(name);
      if (former === undefined) {
        merged.set(name, value);
        places.set(name, { yaml, offset });
      } else if (former !== value) {
        const first = elsewhere(places.get(name), yaml);
        yaml.report(offset, `${what} \`${name}\` is \`${String(value)}\`, and \`${String(former)}\`${first}`);
      }
    }
    if (merged.size > max && values.size <= max)
      yaml.report(node.offset, `the files of the catalog have more than ${max} names here together`);
  }
  return merged;
}

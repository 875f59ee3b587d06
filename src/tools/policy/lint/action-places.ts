import { isScalar, visit } from 'yaml';
import type { WrittenAt } from '../../../core/action/catalog/written-at.ts';
import type { YamlFile } from '../../../core/action/catalog/yaml-file.ts';
import { offsetOf } from '../../../core/runtime/yaml-text.ts';

/** Where the files of a catalog have each action, by id. */
export function actionPlaces(files: readonly YamlFile[]): ReadonlyMap<string, WrittenAt> {
  const places = new Map<string, WrittenAt>();
  for (const yaml of files) {
    if (yaml.root.value === null) continue;
    visit(yaml.root.value, {
      Pair: (_key, { key, value }) => {
        const id = scalarIn(key) === 'action' ? scalarIn(value) : null;
        if (typeof id === 'string' && !places.has(id)) places.set(id, { yaml, offset: offsetOf(value, 0) });
      },
    });
  }
  return places;
}

const scalarIn = (node: unknown): unknown => (isScalar(node) ? node.value : null);

/** Finds actions of high risk whose amount no limit sums: what an agent moves is then bounded in each task, and by nothing over all of them. */
import { isScalar, visit } from 'yaml';
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import { openYaml } from '../../../core/action/catalog/yaml-file.ts';
import { limitsFrom } from '../../../core/policy/loading/limits-file.ts';
import type { PolicySource } from '../../../core/policy/loading/source.ts';
import { offsetOf } from '../../../core/runtime/yaml-text.ts';
import { AMOUNTS } from './amount-names.ts';

/** A finding for each action of high risk with an amount that no entry of `limits.yaml` sums, at its place in the catalog. */
export function unlimitedAmounts(
  source: Pick<PolicySource, 'catalog' | 'limits'>,
  catalog: Catalog,
): readonly SourceFinding[] {
  const { limits } = limitsFrom(source.limits, catalog);
  const summed = new Set(
    limits.flatMap(({ actions, measures }) => (measures.some(({ of }) => of === 'amount') ? (actions ?? []) : [])),
  );
  const found = [...catalog.actions.values()].flatMap(({ id, risk, args }) => {
    if (risk !== 'high' || summed.has(id)) return [];
    const amount = args.find(
      ({ name, type }) => AMOUNTS.has(name.toLowerCase()) && (type === 'long' || type === 'decimal'),
    );
    return amount === undefined ? [] : [{ id, amount: amount.name }];
  });
  if (found.length === 0) return [];
  const yaml = openYaml(source.catalog.text, source.catalog.file);
  const places = actionPlaces(yaml.root.value);
  return found.map(({ id, amount }) =>
    yaml.findingAt(
      places.get(id) ?? 0,
      `\`${id}\` is of high risk, and no limit sums its \`${amount}\` over the tasks of an agent`,
      'give `limits.yaml` an entry with this action and an `amount`',
    ),
  );
}

/** Where the catalog has each action, by id. */
function actionPlaces(root: Parameters<typeof visit>[0] | null): ReadonlyMap<string, number> {
  const places = new Map<string, number>();
  if (root === null) return places;
  visit(root, {
    Pair: (_key, { key, value }) => {
      const id = scalarIn(key) === 'action' ? scalarIn(value) : null;
      if (typeof id === 'string' && !places.has(id)) places.set(id, offsetOf(value, 0));
    },
  });
  return places;
}

const scalarIn = (node: unknown): unknown => (isScalar(node) ? node.value : null);

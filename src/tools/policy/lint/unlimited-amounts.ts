/** Finds actions of high risk whose amount no limit sums, so that it is bounded within a task, but not over all tasks. */
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import { openYaml } from '../../../core/action/catalog/yaml-file.ts';
import { limitsFrom } from '../../../core/policy/loading/limits-file.ts';
import type { PolicySource } from '../../../core/policy/loading/source.ts';
import { actionPlaces } from './action-places.ts';
import { isAmountName } from './amount-names.ts';

/** A finding for each action of high risk with an amount that no entry of `limits.yaml` sums, at its place in the catalog. */
export function unlimitedAmounts(
  source: Pick<PolicySource, 'catalogs' | 'limits'>,
  catalog: Catalog,
): readonly SourceFinding[] {
  const { limits } = limitsFrom(source.limits, catalog);
  const summed = new Set(
    limits.flatMap(({ actions, measures }) => (measures.some(({ of }) => of === 'amount') ? (actions ?? []) : [])),
  );
  const found = [...catalog.actions.values()].flatMap(({ id, risk, args }) => {
    if (risk !== 'high' || summed.has(id)) return [];
    const amount = args.find(({ name, type }) => isAmountName(name) && (type === 'long' || type === 'decimal'));
    return amount === undefined ? [] : [{ id, amount: amount.name }];
  });
  if (found.length === 0) return [];
  const files = source.catalogs.map(({ text, file }) => openYaml(text, file));
  const places = actionPlaces(files);
  return found.flatMap(({ id, amount }) => {
    const yaml = places.get(id)?.yaml ?? files[0];
    if (yaml === undefined) return [];
    return yaml.findingAt(
      places.get(id)?.offset ?? 0,
      `\`${id}\` is of high risk, and no limit sums its \`${amount}\` over the tasks of an agent`,
      'give `limits.yaml` an entry with this action and an `amount`',
    );
  });
}

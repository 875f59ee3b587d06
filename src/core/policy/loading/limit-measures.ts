/** What an entry of `limits.yaml` counts, checked against the arguments of its actions. */
import type { Catalog, CatalogAction } from '../../action/catalog/catalog.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import { placedOf, valueOf, yamlFields } from '../../action/catalog/yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from '../../action/catalog/yaml-file.ts';
import type { LimitMeasure } from '../../limit/limit.ts';
import { integer } from '../../runtime/fields.ts';
import { amountLimit, argumentName, argumentValue } from '../../token/authorization-details.ts';
import { reportMissing } from './named-entries.ts';

/** The keys of an entry that say what is counted. */
export const MEASURES = ['calls', 'amount', 'distinct', 'tasks', 'openTasks'] as const;
export type MeasureKey = (typeof MEASURES)[number];

/** Whose arguments are counted. */
interface Counted {
  readonly fields: Pick<ReadonlyMap<MeasureKey, PlacedNode>, 'get' | 'has'>;
  /** `null` for every action. */
  readonly actions: readonly Placed<string>[] | null;
  readonly catalog: Pick<Catalog, 'actions'> | null;
  /** Called with each warning: valid but probably a mistake. */
  readonly warn: (finding: SourceFinding) => void;
}

/** The valid measures of an entry. An invalid measure is a finding, and so is an entry without a measure. */
export function limitMeasures(yaml: YamlFile, node: PlacedNode, entry: Counted): readonly LimitMeasure[] {
  const { fields } = entry;
  if (!MEASURES.some((key) => fields.has(key)))
    yaml.report(node.offset, 'a limit counts nothing', `give it ${MEASURES.map((key) => `\`${key}\``).join(', ')}`);
  return MEASURES.flatMap((key) => {
    const value = fields.get(key);
    return value === undefined ? [] : (READERS[key](yaml, value, entry) ?? []);
  });
}

type MeasureReader = (yaml: YamlFile, node: PlacedNode, entry: Counted) => LimitMeasure | null;

/** Most distinct values of an argument: each is a row of the state. */
const MAX_DISTINCT = 10_000;

const counted =
  (of: 'calls' | 'tasks' | 'openTasks', most: number): MeasureReader =>
  (yaml, node) => {
    const max = valueOf(yaml, node, { what: `\`${of}\``, reader: integer(1, most) });
    return max === null ? null : { of, max };
  };

const READERS: Readonly<Record<MeasureKey, MeasureReader>> = {
  calls: counted('calls', 1_000_000_000),
  amount: amountIn,
  distinct: distinctIn,
  tasks: counted('tasks', 1_000_000),
  openTasks: counted('openTasks', 1_000_000),
};

const AMOUNT = {
  argument: 'the argument to sum, such as `argument: amount`',
  limit: 'the largest sum in a window, such as `limit: 5000`, or `limit: "99.95"` to sum decimals',
} as const;

function amountIn(yaml: YamlFile, node: PlacedNode, entry: Counted): LimitMeasure | null {
  const what = '`amount`';
  const fields = yamlFields(yaml, node, { what, required: [], optional: ['argument', 'limit', 'currency'] });
  reportMissing(yaml, node, { what, fields, help: AMOUNT });
  const argument = placedOf(yaml, fields.get('argument'), { what: '`argument`', reader: argumentName });
  const limit = placedOf(yaml, fields.get('limit'), { what: '`limit`', reader: amountLimit });
  const written = fields.get('currency');
  const currency = written === undefined ? null : currencyIn(yaml, written, entry);
  if (limit?.value.limit === 0)
    yaml.report(limit.offset, '`limit` is 0, so nothing is ever left', 'a policy that forbids the action says that');
  if (argument === null || limit === null || currency === undefined) return null;
  const { limit: max, isDecimal = false } = limit.value;
  checkType(yaml, argument, {
    ...entry,
    what,
    isNeeded: true,
    accepts: (type) => type === 'long' || (type === 'decimal' && isDecimal),
    expected: (type) =>
      type === 'decimal'
        ? 'write the limit as text with a point, such as `limit: "5000.00"`'
        : 'sum a `long`, or a `decimal` with the limit as text',
  });
  return { of: 'amount', argument: argument.value, isDecimal, max, currency };
}

const CURRENCY = {
  argument: 'the argument that has the currency, such as `argument: currency`',
  value: 'the currency that is summed, such as `value: EUR`',
} as const;

/** `undefined` if it cannot be read. */
function currencyIn(
  yaml: YamlFile,
  node: PlacedNode,
  entry: Counted,
): { readonly argument: string; readonly value: string } | undefined {
  const what = '`currency`';
  const fields = yamlFields(yaml, node, { what, required: [], optional: ['argument', 'value'] });
  reportMissing(yaml, node, { what, fields, help: CURRENCY });
  const argument = placedOf(yaml, fields.get('argument'), { what: '`argument`', reader: argumentName });
  const value = valueOf(yaml, fields.get('value'), { what: '`value`', reader: argumentValue });
  if (argument === null || value === null) return undefined;
  checkType(yaml, argument, { ...entry, what, isNeeded: true, accepts: isText, expected: currencyType });
  return { argument: argument.value, value };
}

const isText = (type: ArgumentType): boolean => type === 'string';
const currencyType = (): string => 'a currency is a `string`';

const DISTINCT = {
  argument: 'the argument whose values are told apart, such as `argument: account`',
  limit: `how many values in a window, at most ${MAX_DISTINCT}, such as \`limit: 20\``,
} as const;

function distinctIn(yaml: YamlFile, node: PlacedNode, entry: Counted): LimitMeasure | null {
  const what = '`distinct`';
  const fields = yamlFields(yaml, node, { what, required: [], optional: ['argument', 'limit'] });
  reportMissing(yaml, node, { what, fields, help: DISTINCT });
  const argument = placedOf(yaml, fields.get('argument'), { what: '`argument`', reader: argumentName });
  const max = valueOf(yaml, fields.get('limit'), { what: '`limit`', reader: integer(1, MAX_DISTINCT) });
  if (argument === null || max === null) return null;
  checkType(yaml, argument, { ...entry, what, isNeeded: false, accepts: isDistinct, expected: distinctType });
  return { of: 'distinct', argument: argument.value, max };
}

const isDistinct = (type: ArgumentType): boolean => DISTINCT_TYPES.has(type);
const distinctType = (): string => 'tell values of a `string`, `long` or `decimal` apart';

type ArgumentType = CatalogAction['args'][number]['type'];

const DISTINCT_TYPES: ReadonlySet<ArgumentType> = new Set(['string', 'long', 'decimal']);

interface TypeCheck extends Counted {
  readonly what: string;
  /** Whether a call without the argument is denied. */
  readonly isNeeded: boolean;
  readonly accepts: (type: ArgumentType) => boolean;
  readonly expected: (type: ArgumentType) => string;
}

/** Each action must have the argument: a call without it would be denied. So the actions must be named. */
function checkType(
  yaml: YamlFile,
  { value: name, offset }: Placed<string>,
  { what, actions, catalog, accepts, expected, isNeeded, warn }: TypeCheck,
): void {
  if (actions === null) {
    const help = 'name the `actions` that have it: every other action would be denied for want of it';
    return yaml.report(offset, `${what} reads the argument \`${name}\` of every action`, help);
  }
  for (const { value: id } of actions) {
    const action = catalog?.actions.get(id);
    if (action === undefined) continue;
    const spec = action.args.find((one) => one.name === name);
    if (spec === undefined) {
      const names = action.args.map((one) => `\`${one.name}\``);
      const help = names.length === 0 ? 'it has none' : `it has ${names.slice(0, 20).join(', ')}`;
      yaml.report(offset, `the action \`${id}\` has no argument \`${name}\``, help);
    } else if (!accepts(spec.type)) {
      yaml.report(offset, `the argument \`${name}\` of \`${id}\` is a \`${spec.type}\``, expected(spec.type));
    } else if (isNeeded && !spec.required && spec.from !== 'input') {
      const message = `the argument \`${name}\` of \`${id}\` is optional, and a call without it is denied by this limit`;
      warn(yaml.findingAt(offset, message, 'write `required: true` in the catalog, so that agents are told'));
    }
  }
}

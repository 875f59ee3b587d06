import { listAt, membersAt, textAt } from '../tree.ts';

/** Whether an expression of a selector holds for the value of its label; `undefined` for a label that is not there. */
type Operator = (label: string | undefined, values: readonly unknown[]) => boolean;

const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ['In', (label, values) => label !== undefined && values.includes(label)],
  ['NotIn', (label, values) => label === undefined || !values.includes(label)],
  ['Exists', (label) => label !== undefined],
  ['DoesNotExist', (label) => label === undefined],
]);

/**
 * Whether labels match a selector of Kubernetes: its `matchLabels` and `matchExpressions`. An unknown operator matches no labels;
 * an absent or empty selector matches all.
 *
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
 */
export const isSelectedBy = (labels: ReadonlyMap<string, string>, selector: unknown): boolean =>
  membersAt(selector, 'matchLabels').every(([name, value]) => labels.get(name) === value) &&
  listAt(selector, 'matchExpressions').every(
    (one) => OPERATORS.get(textAt(one, 'operator'))?.(labels.get(textAt(one, 'key')), listAt(one, 'values')) ?? false,
  );

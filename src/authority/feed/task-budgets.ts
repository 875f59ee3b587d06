import { BoundedMemo } from '../../core/runtime/collections/bounded-memo.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { TaskSpend } from '../../core/state/spend.ts';
import { authorizationDetailsFrom, authorizationDetailsLimits } from '../../core/token/authorization-details.ts';
import type { AuthorizationDetail } from '../../core/token/authorization-details.ts';

/** The budgets of a task. A token may have a smaller limit than its task, and never another budget. */
interface TaskBudgets {
  /** The largest limit of calls. */
  readonly calls: number;
  /** The largest limit of each argument that is summed, by `amountKey`. */
  readonly amounts: ReadonlyMap<string, number>;
}

const budgets = new BoundedMemo<TaskBudgets>({ maxKeyChars: 16_384, maxChars: 4 * 1_024 * 1_024 });

/**
 * What a use takes, by the details of its task: the budgets and their limits are read from the state, and a sidecar only names the budgets
 * that a use takes from, and how much. `null` if it takes from a budget that the task does not have, or twice from the same budget.
 *
 * @param detailsJson `Task.detailsJson`
 * @param options.isLoan whether something is lent ahead, so that no call is taken yet
 */
export function budgetedSpends(
  spends: readonly TaskSpend[],
  detailsJson: string,
  { isLoan }: { readonly isLoan: boolean },
): readonly TaskSpend[] | null {
  if (spends.length === 0) return spends;
  const { calls, amounts } = budgets.of(detailsJson, budgetsFrom);
  const counters = new Set(spends.map(({ kind, name = '' }) => `${kind}:${name}`));
  if (counters.size < spends.length) return null;
  const budgeted = spends.flatMap((spend): readonly TaskSpend[] => {
    const { name = '' } = spend;
    if (spend.kind === 'amount' || spend.kind === 'decimal') {
      const limit = amounts.get(amountKey(spend.kind, name));
      return limit === undefined ? [] : [{ ...spend, limit: Math.min(spend.limit, limit) }];
    }
    if (name !== '') return [];
    if (spend.kind === 'single-use') return [{ kind: 'single-use' }];
    const count = isLoan ? 0 : 1;
    return spend.count === count ? [{ kind: 'calls', count, limit: Math.min(spend.limit, calls) }] : [];
  });
  return budgeted.length === spends.length ? budgeted : null;
}

/** Limits of the two kinds have different units, so neither replaces the other. */
const amountKey = (kind: 'amount' | 'decimal', name: string): string => `${kind}:${name}`;

function budgetsFrom(detailsJson: string): TaskBudgets {
  const amounts = new Map<string, number>();
  let calls = 0;
  for (const { constraints } of detailsFrom(detailsJson)) {
    calls = Math.max(calls, constraints.maxCalls ?? authorizationDetailsLimits.maxCalls);
    if (constraints.maxAmount === null) continue;
    const { argument, limit, isDecimal } = constraints.maxAmount;
    const key = amountKey(isDecimal === true ? 'decimal' : 'amount', argument);
    amounts.set(key, Math.max(limit, amounts.get(key) ?? 0));
  }
  return { calls, amounts };
}

/** Empty if no issuer could have written the text: then nothing can be taken. */
function detailsFrom(json: string): readonly AuthorizationDetail[] {
  try {
    const details = authorizationDetailsFrom(JSON.parse(json));
    return isProblem(details) ? [] : details;
  } catch {
    return [];
  }
}

/** What processes were lent of the budgets of a task, as the state counts it beside the budgets. */
import { TEN_THOUSANDTHS } from '../action/budget/decimal.ts';

/** What a process was lent of a budget and has not given back. It counts as spent: the process has spent some of it, and may hold the rest. */
export interface TaskLoan {
  readonly counts: 'calls' | 'amount';
  /** The argument that is summed, or which of the budgets of calls it is; `''` for the only one. */
  readonly name: string;
  /** The SPIFFE ID of the sidecars, or `unix`; `''` for the process of the authority itself. */
  readonly to: string;
  /** In the unit of the budget. */
  readonly amount: number;
}

/** Most loans of a task that are shown. */
export const MAX_LOANS = 100;

/** The prefix of the names of loan counters. INVARIANT: no counter of a budget has it. */
export const LOANS = 'lent [';

/** Longest identity that is kept, so that a name fits into an index of a database. */
const MAX_TO = 512;

/** The name under which the state counts what was lent of a counter. @param by `SettledUse.by` */
export const loanName = (counter: string, by = ''): string => `lent ${JSON.stringify([counter, by.slice(0, MAX_TO)])}`;

/**
 * The loan of a counter of a task; `null` if it counts a budget, nothing is lent, or `loanName` did not make the name: anybody
 * with a login of the database can write one.
 */
export function loanIn(name: string, lent: number): TaskLoan | null {
  if (lent === 0 || !name.startsWith(LOANS)) return null;
  const named = namedIn(name.slice('lent '.length));
  if (named === null) return null;
  const [counter, to] = named;
  const [kind = ''] = counter.split(':', 1);
  return {
    counts: kind === 'calls' ? 'calls' : 'amount',
    name: counter.slice(kind.length + 1),
    to,
    amount: kind === 'decimal' ? lent / TEN_THOUSANDTHS : lent,
  };
}

/** The counter in a name, and to whom it was lent. */
function namedIn(text: string): readonly [counter: string, to: string] | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value)) return null;
    const [counter, to]: readonly unknown[] = value;
    return typeof counter === 'string' && typeof to === 'string' ? [counter, to] : null;
  } catch {
    return null;
  }
}

/** For people: `48 calls to spiffe://acme.test/tools: spent there, or held`. */
export function loanText({ amount, counts, name, to }: TaskLoan): string {
  const what = counts === 'calls' ? `${amount} calls${name === '' ? '' : ` of ${name}`}` : `${amount} of ${name}`;
  return `${what} to ${to === '' ? 'the process of the authority' : to}: spent there, or held`;
}

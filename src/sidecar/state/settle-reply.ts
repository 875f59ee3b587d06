import { overFrom } from '../../core/fleet/limit-message.ts';
import type { SettleReply } from '../../core/fleet/messages.ts';
import type { ExceededBudget, SettleProblem } from '../../core/state/spend.ts';
import type { CallProblem } from './authority-link.ts';

type SettledMessage = SettleReply['settled'][number];

/**
 * The reply of two authorities that were asked to settle the same uses. A use is settled if either has settled it. INVARIANT: it is refused
 * only if both refuse it. An authority that has not answered may settle the use later still, and the use of a call that was denied would stay
 * taken; so without its answer it is unknown whether the use counts, and what is unknown is given back.
 */
export async function agreedReply(
  ...calls: readonly [Promise<SettleReply | CallProblem>, Promise<SettleReply | CallProblem>]
): Promise<SettleReply | CallProblem> {
  const first = await Promise.race(calls);
  if (!('problem' in first) && first.settled.every(isSettled)) return first;
  const [one, two] = await Promise.all(calls);
  if ('problem' in one) return 'problem' in two ? one : withoutRefusals(two, one);
  if ('problem' in two) return withoutRefusals(one, two);
  return { settled: one.settled.map((use, at) => agreed(use, two.settled[at])) };
}

const isSettled = ({ problem }: SettledMessage): boolean => problem === '';

const withoutRefusals = ({ settled }: SettleReply, { problem }: CallProblem): SettleReply => ({
  settled: settled.map((use) => (isSettled(use) ? use : { ...use, problem: 'unavailable', detail: problem })),
});

const NO_ANSWER: SettledMessage = { problem: 'unavailable', detail: 'no answer', card: null, position: null };

const agreed = (one: SettledMessage, two = NO_ANSWER): SettledMessage =>
  isSettled(one) || (!isSettled(two) && settleProblemOf(two) !== undefined) ? one : two;

const problems: ReadonlyMap<string, SettleProblem> = new Map(
  (['replayed', 'ended', 'history-changed', 'history-full'] as const).map((name) => [name, name]),
);

/** The problem of a use; `undefined` if it is unknown whether the use is settled. */
export function settleProblemOf({ problem, budget = null, over: message }: SettledMessage): SettleProblem | undefined {
  if (problem === 'exhausted') return { problem, budget: budget === null ? null : budgetOf(budget) };
  if (problem !== 'limit') return problems.get(problem);
  const over = overFrom(message);
  return over === undefined ? undefined : { problem, over };
}

/** A field that was not sent is `false`. */
const budgetOf = ({ limit, used, decimal = false }: ExceededBudget): ExceededBudget =>
  decimal ? { limit, used, decimal } : { limit, used };

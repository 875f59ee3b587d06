import { overFrom } from '../../core/fleet/limit-message.ts';
import type { SettleReply } from '../../core/fleet/messages.ts';
import type { ExceededBudget, SettleProblem } from '../../core/state/spend.ts';
import type { CallProblem } from './authority-link.ts';

/** What an authority says of a use. */
export type SettledMessage = SettleReply['settled'][number];

/** The first reply to a request, and that of a second authority, if one was asked while the first had not answered. */
export interface Replies {
  readonly first: SettleReply | CallProblem;
  readonly other: Promise<SettleReply | CallProblem> | null;
}

/** The reply of the two calls that comes first; a problem only if both have one. */
export async function firstOf(
  one: Promise<SettleReply | CallProblem>,
  two: Promise<SettleReply | CallProblem>,
): Promise<Replies> {
  const sooner = await Promise.race([
    one.then((first) => ({ first, other: two })),
    two.then((first) => ({ first, other: one })),
  ]);
  return 'problem' in sooner.first ? { first: await sooner.other, other: Promise.resolve(sooner.first) } : sooner;
}

/** What a reply says of the use at a place. */
export function replyTo(at: number, reply: SettleReply | CallProblem): SettledMessage {
  const said = 'problem' in reply ? undefined : reply.settled[at];
  const detail = 'problem' in reply ? reply.problem : 'no answer';
  return said ?? { problem: 'unavailable', detail, card: null, position: null };
}

/** Whether no other authority can decide otherwise: what is settled stays so, and the version of a history only rises. */
export const isCertain = ({ problem }: SettledMessage): boolean => problem === '' || problem === 'history-changed';

/**
 * What two authorities say of a use that both were asked to settle. It is settled if either has settled it. INVARIANT: it is refused only if both
 * refuse it. An authority that has not answered may settle the use later still, and the use of a call that was denied would stay taken; so without its
 * answer it is unknown whether the use counts, and what is unknown is given back.
 */
export const agreed = (one: SettledMessage, two: SettledMessage): SettledMessage =>
  [one, two].find(isCertain) ?? [one, two].find((reply) => settleProblemOf(reply) === undefined) ?? one;

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

import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import { type IssueFacts, issueQuestion } from '../../../core/policy/issue-question.ts';
import type { Question } from '../../../core/policy/question.ts';
import type { NamedValues } from '../../../core/task/named-values.ts';
import type { Task } from '../../../core/task/task.ts';
import { delegationFrom } from './ancestors.ts';
import type { AskedAction, Intent } from './intent.ts';
import type { GrantedLifetime } from './lifetime.ts';
import type { Origin } from './origin.ts';
import type { GrantPolicies, IssuerServices } from '../services.ts';
import { type ReadStop, stopFacts } from './stopped-task.ts';

/** What the policies are asked about. */
export interface AskedIntent {
  readonly intent: Intent;
  readonly origin: Origin;
  /** Claims of the agent, for a new task. */
  readonly claimed: NamedValues;
  /** The ancestors of the task, nearest first. */
  readonly above: readonly Task[];
  readonly lifetime: GrantedLifetime;
  /** What stopped like tasks of the agent; `null` for a further token of a task. */
  readonly stop: ReadStop | null;
}

/** What they are asked with. */
export interface AskingServices {
  readonly policies: Pick<GrantPolicies, 'catalog' | 'grant'>;
  readonly authority: Pick<IssuerServices['authority'], 'floorMs'>;
  readonly nextTurn: IssuerServices['nextTurn'];
}

/**
 * The question whether a task is granted an action, at its issuance and after (`askAgain`). All facts are required, so that neither question
 * lacks one that the other has.
 */
export const grantQuestion = (facts: Required<IssueFacts>, catalog: Catalog): Question => issueQuestion(facts, catalog);

/** The policy decisions on each action of an intent under each of its constraints. Each decision takes a turn of its own. */
export async function* answersOf(
  { intent, origin, claimed, above, lifetime, stop }: AskedIntent,
  { policies, authority, nextTurn }: AskingServices,
): AsyncGenerator<AskedAction & { readonly decision: Decision }> {
  const { actors, place, subject, subjectAttributes } = origin;
  const actions = intent.actions.map((action) => action.id);
  const delegation = delegationFrom(above);
  const stopped = stopFacts(stop?.was ?? null, authority.floorMs());
  for (const { action, constraints } of intent.asked) {
    await nextTurn();
    const question = grantQuestion(
      {
        agent: intent.agent,
        server: intent.server,
        purpose: intent.purpose,
        actions,
        requested: { action: action.id, risk: action.risk, constraints },
        ttlSeconds: lifetime.expiresAtSeconds - lifetime.issuedAtSeconds,
        taskSeconds: lifetime.taskSeconds,
        subject,
        subjectAttributes,
        actors,
        // A new task has no attested values.
        claimed: place.kind === 'same-task' ? place.task.claimed : claimed,
        attested: place.kind === 'same-task' ? place.task.attested : [],
        risk: place.kind === 'same-task' ? place.task.risk : 'low',
        delegation,
        stopped,
        nowMs: lifetime.issuedAtSeconds * 1_000,
      },
      policies.catalog,
    );
    yield { action, constraints, decision: policies.grant(question) };
  }
}

import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { type Cause, causeOf } from '../../../core/task/cause.ts';
import { contextAfter, contextChanges } from '../../../core/task/context-change.ts';
import type { Task } from '../../../core/task/task.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { ancestorsOf } from '../token/ancestors.ts';
import { decidedAnew } from '../token/decide-anew.ts';
import { askAgain, isRefusal } from '../token/ask-again.ts';
import { contextEvent, refusalEvent } from '../tasks/context-event.ts';
import type { IssuerServices } from '../services.ts';
import type { SignalEffect } from './effects.ts';
import type { EventMeaning } from './event.ts';
import type { SignalTarget } from './targets.ts';

/** An effect to apply, with the event's meaning and the cause for the record. */
export interface Applied {
  readonly effect: SignalEffect;
  readonly meaning: EventMeaning;
  /** Whether it may lower the risk of a task. */
  readonly mayLower: boolean;
  readonly cause: Cause;
  /** The `iss` of the transmitter. */
  readonly by: string;
}

/** Whether the event changes anything. An event that is not adverse does not, unless it sets a risk or attests values. */
export function hasEffect({ effect, meaning }: Pick<Applied, 'effect' | 'meaning'>): boolean {
  if (effect === 'attest') return Object.keys(meaning.attests).length > 0;
  return effect !== 'ignore' && (meaning.isAdverse || (effect === 'risk' && meaning.risk !== null));
}

/**
 * Applies the effect to a target. Idempotent; does nothing to an ended task. If the task changed since it was listed, the effect is decided
 * again with its current state.
 */
export async function applyTo(
  { task, jtiDigest }: SignalTarget,
  applied: Applied,
  services: IssuerServices,
): Promise<StoreFailure | null> {
  const result = await decidedAnew(async (tries) => {
    const now = tries === 0 ? task : await services.authority.taskOf(task.issuer, task.id);
    return now === undefined || isStoreFailure(now) ? now : effectOn({ task: now, jtiDigest }, applied, services);
  });
  return isStoreFailure(result) ? result : null;
}

function effectOn({ task, jtiDigest }: SignalTarget, applied: Applied, services: IssuerServices): Promise<unknown> {
  const { authority } = services;
  const { cause, by } = applied;
  switch (applied.effect) {
    case 'revoke':
      return jtiDigest === null
        ? authority.applyTaskEvent(task, { kind: 'revoke', cause }, by)
        : authority.revokeToken(jtiDigest, cause, by);
    case 'suspend':
      return authority.applyTaskEvent(task, { kind: 'suspend', cause }, by);
    case 'risk':
      return setRisk(task, applied, services);
    case 'ask':
      return ask(task, applied, services);
    case 'attest':
      return attest(task, applied, services);
    case 'stop-agent':
    case 'stop-user':
    case 'ignore':
      return Promise.resolve(null);
    default:
      return applied.effect satisfies never;
  }
}

const heights = { low: 0, medium: 1, high: 2 } as const satisfies Readonly<Record<Task['risk'], number>>;

/** The risk of a task after an event that reports the risk `said`. */
const riskAfter = ({ risk }: Task, said: Task['risk'], { mayLower }: Applied): Task['risk'] =>
  mayLower || heights[said] > heights[risk] ? said : risk;

async function setRisk(task: Task, applied: Applied, { authority }: IssuerServices): Promise<unknown> {
  const risk = riskAfter(task, applied.meaning.risk ?? 'high', applied);
  if (task.risk === risk) return null;
  return authority.setRisk(task, risk, applied.cause, applied.by, { tasks: [task] });
}

/** A refusal by the policies revokes the task; a failure to ask them suspends it. */
async function ask(task: Task, applied: Applied, services: IssuerServices): Promise<unknown> {
  const risk = riskAfter(task, applied.meaning.risk ?? task.risk, applied);
  const set = applied.meaning.risk === null ? null : await setRisk(task, applied, services);
  if (isStoreFailure(set)) return set;
  const { authority } = services;
  const above = await ancestorsOf(task, authority);
  if (isStoreFailure(above)) return above;
  const asked = { ...task, risk };
  const refusal = await askAgain(asked, above, services);
  if (refusal === null) return null;
  const event = refusalEvent(isRefusal(refusal), applied.cause);
  return authority.applyTaskEvent(task, event, applied.by, { tasks: [asked, ...above] });
}

/**
 * Attests the event's values by its transmitter and applies the task's rules; without a rule the policies are asked. A task
 * without room for the values is suspended, because it must not continue with outdated values.
 */
async function attest(task: Task, { meaning, cause, by }: Applied, services: IssuerServices): Promise<unknown> {
  const { authority } = services;
  const saying = { kind: 'signal', by, values: meaning.attests } as const;
  const facts = contextAfter(task, saying);
  if (isProblem(facts)) {
    const full = causeOf(cause.code, `${cause.note}: the task ${facts.problem}`);
    return authority.applyTaskEvent(task, { kind: 'suspend', cause: full }, by);
  }
  const after = { ...task, ...facts };
  const changes = contextChanges(task, after, saying.kind);
  if (changes.length === 0) return null;
  const above = await ancestorsOf(task, authority);
  if (isStoreFailure(above)) return above;
  const event = await contextEvent(after, changes, { above, cause, services });
  return authority.setContext(task, saying, event, { tasks: [task, ...above] });
}

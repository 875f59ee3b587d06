import { isStoreFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { type Cause, causeOf } from '../../task/cause.ts';
import { contextAfter, contextChanges } from '../../task/context-change.ts';
import type { Task } from '../../task/task.ts';
import { isProblem } from '../../token/members.ts';
import { askAgain, isRefusal } from '../ask-again.ts';
import { contextEvent, refusalEvent } from '../context-event.ts';
import type { IssuerServices } from '../services.ts';
import type { SignalEffect } from './effects.ts';
import type { EventMeaning } from './event.ts';
import type { SignalTarget } from './targets.ts';

/** What is applied: an effect, what the event said, and the cause for the record. */
export interface Applied {
  readonly effect: SignalEffect;
  readonly meaning: EventMeaning;
  /** Whether it may set a risk that is lower than that of a task. */
  readonly mayLower: boolean;
  readonly cause: Cause;
  /** The `iss` of the transmitter. */
  readonly by: string;
}

/** Whether an event with this effect changes anything: what takes nothing away does not, except a level or value that is set. */
export function hasEffect({ effect, meaning }: Pick<Applied, 'effect' | 'meaning'>): boolean {
  if (effect === 'attest') return Object.keys(meaning.attests).length > 0;
  return effect !== 'ignore' && (meaning.isAdverse || (effect === 'risk' && meaning.risk !== null));
}

/** Applies the effect to one target. Doing it again changes nothing, and a task that ended meanwhile has ended. */
export function applyTo(target: SignalTarget, applied: Applied, services: IssuerServices): StoreFailure | null {
  const result = effectOn(target, applied, services);
  return isStoreFailure(result) ? result : null;
}

function effectOn({ task, jtiDigest }: SignalTarget, applied: Applied, services: IssuerServices): unknown {
  const { store } = services;
  const { cause, by } = applied;
  switch (applied.effect) {
    case 'revoke':
      return jtiDigest === null
        ? store.applyTaskEvent(task, { kind: 'revoke', cause }, by)
        : store.revokeToken(jtiDigest, cause, by);
    case 'suspend':
      return store.applyTaskEvent(task, { kind: 'suspend', cause }, by);
    case 'risk':
      return setRisk(task, applied, services);
    case 'ask':
      return ask(task, applied, services);
    case 'attest':
      return attest(task, applied, services);
    case 'ignore':
      return null;
    default:
      return applied.effect satisfies never;
  }
}

const heights = { low: 0, medium: 1, high: 2 } as const satisfies Readonly<Record<Task['risk'], number>>;

/** The risk that a task has once the event says `said`. */
const riskAfter = ({ risk }: Task, said: Task['risk'], { mayLower }: Applied): Task['risk'] =>
  mayLower || heights[said] > heights[risk] ? said : risk;

function setRisk(task: Task, applied: Applied, { store }: IssuerServices): unknown {
  const risk = riskAfter(task, applied.meaning.risk ?? 'high', applied);
  return task.risk === risk ? null : store.setRisk(task, risk, applied.cause, applied.by);
}

/** A refusal of the policies revokes; where they cannot be asked the task waits. */
function ask(task: Task, applied: Applied, services: IssuerServices): unknown {
  const risk = riskAfter(task, applied.meaning.risk ?? task.risk, applied);
  const set = applied.meaning.risk === null ? null : setRisk(task, applied, services);
  if (isStoreFailure(set)) return set;
  const refusal = askAgain({ ...task, risk }, services);
  return refusal === null
    ? null
    : services.store.applyTaskEvent(task, refusalEvent(isRefusal(refusal), applied.cause), applied.by);
}

/**
 * What the event says becomes attested by its transmitter, and the rules of the task say what that does; without one the
 * policies are asked. Where there is no room for it the task waits: it must not go on with what was attested before.
 */
function attest(task: Task, { meaning, cause, by }: Applied, services: IssuerServices): unknown {
  const { store } = services;
  const saying = { kind: 'signal', by, values: meaning.attests } as const;
  const facts = contextAfter(task, saying);
  if (isProblem(facts)) {
    const full = causeOf(cause.code, `${cause.note}: the task ${facts.problem}`);
    return store.applyTaskEvent(task, { kind: 'suspend', cause: full }, by);
  }
  const after = { ...task, ...facts };
  const changes = contextChanges(task, after, saying.kind);
  if (changes.length === 0) return null;
  return store.setContext(task, saying, contextEvent(after, changes, { cause, services }));
}

/** Whether an observed agent is ready to be enforced, and if not why, in words. */
import { reasons } from '../../core/decision/reasons.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';
import { counted } from '../doctor/counted.ts';
import type { ActionSeen } from './observed-uses.ts';
import type { ObservedAgent, WouldBeDenials } from './observed-agent.ts';

/** When an agent is ready. */
export interface ReadinessRule {
  /** Fewest days (UTC) on which it was seen. */
  readonly days: number;
  /** How long it must have done nothing new. */
  readonly quietMs: number;
  /** How long none of its calls may have been a would-be denial, unless that is decided. */
  readonly cleanMs: number;
  readonly nowMs: number;
}

/** A reason why an agent is not ready. */
export interface NotReady {
  readonly code: 'few-days' | 'new-actions' | 'would-be-denied' | 'not-told-apart';
  /** What is so, such as `3 actions first seen in the last 24 h`. */
  readonly why: string;
  /** What to do about it. */
  readonly help: string;
}

/**
 * The reasons why an agent is not ready; none if it is: it was seen on enough days, did nothing new recently, and made no recent
 * call that would be denied without anybody having decided so. Pure.
 */
export function notReady(
  agent: Pick<ObservedAgent, 'days' | 'would' | 'isCut'>,
  actions: readonly ActionSeen[],
  rule: ReadinessRule,
): readonly NotReady[] {
  const { days, quietMs, cleanMs, nowMs } = rule;
  const fresh = newSince(actions, nowMs - quietMs);
  return [
    ...(agent.days.size >= days ? [] : [fewDays(agent.days.size, days)]),
    ...(fresh === 0 ? [] : [newActions(fresh, quietMs)]),
    ...agent.would.filter(({ recent }) => recent > 0).map((denials) => wouldBeDenied(denials, cleanMs)),
    ...(agent.isCut ? [NOT_TOLD_APART] : []),
  ];
}

/** How many actions were first seen from an instant on. */
export const newSince = (actions: readonly ActionSeen[], fromMs: number): number =>
  actions.filter(({ seen }) => seen.firstMs >= fromMs).length;

const fewDays = (seen: number, days: number): NotReady => ({
  code: 'few-days',
  why: `seen on ${seen} of ${days} days`,
  help: 'wait: what it does once a week was not seen yet',
});

const newActions = (fresh: number, quietMs: number): NotReady => ({
  code: 'new-actions',
  why: `${counted(fresh, 'action')} first seen in the last ${timeText(quietMs)}`,
  help: 'see which with `--agent`, ask the owner of the agent whether they are its business, and wait until nothing is new',
});

function wouldBeDenied({ reason, recent, examples: [example] }: WouldBeDenials, cleanMs: number): NotReady {
  const such = example === undefined ? '' : `, such as ${example.decisionId}`;
  return {
    code: 'would-be-denied',
    why: `${counted(recent, 'call')} of the last ${timeText(cleanMs)} would be denied for ${reason}${such}`,
    help: helpFor(reason),
  };
}

const NOT_TOLD_APART: NotReady = {
  code: 'not-told-apart',
  why: 'its calls differ more than there is room for',
  help: 'look at less time with `--since`',
};

/** The stage of a reason: the part of its code before the dot. */
type Stage = ReasonCode extends infer Code ? (Code extends `${infer Part}.${string}` ? Part : never) : never;

const FAULT = 'a fault of Remit: its log says more';

/** What to do about would-be denials, by stage. A new stage does not compile without its line. */
const HELP: Readonly<Record<Stage, string>> = {
  request: 'mend the request: no policy can permit what has no single reading',
  identity: 'give the agent a SPIFFE ID of the trust domain, and let it show its certificate',
  token: 'let the agent declare its task and send the token, as `remit run` does',
  task: 'see `remit task show`: a larger intent, or a new task',
  limit: '`remit limits` shows what is used: a larger limit, or fewer calls',
  action: '`remit learn` writes its catalog entry and intent; or say with `--decided` that it is meant',
  policy: 'permit it, or forbid it: a forbid decides that it is denied',
  stopped: '`remit stop list` says who stopped it and until when',
  ledger: FAULT,
  check: FAULT,
};

function helpFor(reason: ReasonCode): string {
  const stage = reason.slice(0, Math.max(0, reason.indexOf('.')));
  return reasons[reason].httpStatus !== 503 && isStage(stage) ? HELP[stage] : FAULT;
}

const isStage = (stage: string): stage is Stage => Object.hasOwn(HELP, stage);

/** A length of time as options write it, in words: `24 h`, `3 d`. */
export function timeText(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
  ] as const;
  const [size, unit] = units.find(([one]) => ms % one === 0 && ms > one) ?? [1_000, 's'];
  return `${ms / size} ${unit}`;
}

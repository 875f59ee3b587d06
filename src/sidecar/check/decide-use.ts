import { countUse, decideNow, keyOfCredential, sharedTokenOf } from './decide-now.ts';
import type { CountingServices, DecidedUse } from './decide-now.ts';
import { openTask } from './task-facts.ts';
import type { ReadCheck } from './read.ts';
import { withNewProof } from './proof-elsewhere.ts';
import { reportSecrets, revokeStolenToken } from './report.ts';
import type { ReportingServices } from './report.ts';
import type { CheckServices } from './services.ts';
import { isCurrentEnough } from './current-enough.ts';
import { replayedWhileObserved } from './replayed-use.ts';
import { isHighRiskUse, recordToSend, unrecorded } from './sent-record.ts';
import { settle, useToSettle } from './settle.ts';
import type { UseToSettle } from './settle.ts';
import { enforce } from '../../core/decide/enforce.ts';
import { limitSpendsOf } from '../../core/state/writes/settlement.ts';
import { countedLimits } from '../../core/limit/counted-limit.ts';
import type { LeftAfterUse } from '../../core/limit/counted-limit.ts';
import type { Limit } from '../../core/limit/limit.ts';
import { shownCheck } from '../../core/decide/decided-check.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Decision, Deny } from '../../core/decision/decision.ts';
import type { SettledUse } from '../../core/state/settling.ts';
import type { UnsentUse } from '../../core/state/store.ts';

/** The services that a decision uses, up to its settlement. */
type DecidingServices = CountingServices &
  ReportingServices &
  Pick<CheckServices, 'keys' | 'proofs' | 'sidecar' | 'settling' | 'digestOf' | 'loop'>;

/**
 * Decides a check once its task is known here and its proof is known to be new. All checks of a turn ask for their tasks before
 * any of them waits.
 */
export function decideUse(services: DecidingServices, read: ReadCheck): DecidedUse | Promise<DecidedUse> {
  const opened = openTask(services, read.reading);
  const proven = withNewProof(services, read);
  if (proven !== null) return Promise.all([proven, opened]).then(([shown]) => decideCheck(services, shown));
  return opened === null ? decideCheck(services, read) : opened.then(() => decideCheck(services, read));
}

/**
 * Decides a check and counts the use. A use that takes nothing from its task is decided synchronously, by one look at the task. A use that
 * spends a budget or adds to the history waits until the state has accepted it.
 */
function decideCheck(services: DecidingServices, read: ReadCheck): DecidedUse | Promise<DecidedUse> {
  const { loop, ports } = services;
  const beganMs = ports.monotonicMs();
  const use = countUse(services, read);
  const decided = decideNow(services, read, use);
  const going = goOn(services, decided);
  const { decisionId } = decided.check;
  loop?.held('decode', read.asked.decodeMs ?? 0, decisionId);
  loop?.held('read', read.readMs, decisionId);
  loop?.held('decide', ports.monotonicMs() - beganMs, decisionId);
  return going;
}

/** Continues after the decision, up to the first wait. Once the decision is final, what it shows of the caller is reported. */
function goOn(services: DecidingServices, decided: DecidedUse): DecidedUse | Promise<DecidedUse> {
  const { read } = decided;
  shareUse(services, decided, rememberPlace(services, decided));
  const toSettle = useToSettle(decided.check, settlingRules(services, read));
  const final = toSettle === null ? keepUse(services, decided) : settleOrDeny(services, decided, toSettle);
  return 'then' in final ? final.then((one) => finish(services, one)) : finish(services, final);
}

/** Asks the state whether an observed use that would pass is a replay, then reports what the use shows of its caller. */
function finish(services: DecidingServices, final: DecidedUse): DecidedUse | Promise<DecidedUse> {
  const asked = replayedWhileObserved(services, final.check);
  if (asked === null) return reportSecretsAndRevokeStolenToken(services, final);
  return asked.then((replayed) =>
    reportSecretsAndRevokeStolenToken(services, replayed === null ? final : withDecision(services, replayed, final)),
  );
}

/** A use that settles nothing. At a sidecar, an authority commits the record of a use of high risk (which has no task here). */
function keepUse(services: DecidingServices, decided: DecidedUse): DecidedUse | Promise<DecidedUse> {
  const shown = withDecision(services, decided.check.decision, decided);
  const record = recordToSend(services, decided);
  if (record === null || services.sidecar === null) return shown;
  if (isDeny(record)) return { ...shown, check: { ...shown.check, decision: record } };
  return services.sidecar
    .keep(shown.check.decisionId, record)
    .then((failure) => ({ ...shown, sent: { record, problem: failure === null ? null : unrecorded } }));
}

const settleOrDeny = (
  services: DecidingServices,
  decided: DecidedUse,
  toSettle: UseToSettle | Deny,
): DecidedUse | Promise<DecidedUse> =>
  isDeny(toSettle)
    ? withDecision(services, toSettle, decided)
    : (settleNow(services, decided, toSettle) ?? settleUse(services, decided, toSettle));

/** Settles a use from shares of this process. INVARIANT: in the turn in which it was decided; `null` if it must be settled by the state. */
function settleNow(services: DecidingServices, decided: DecidedUse, toSettle: UseToSettle): DecidedUse | null {
  const { use } = toSettle;
  if (use.entry !== undefined || recordToSend(services, decided) !== null) return null;
  const taken = services.settling.settleNow?.(use) ?? null;
  if (taken === null) return null;
  const counted = withLimits(decided, toSettle, { of: 'share', numbers: taken.sharesOf?.left ?? [] });
  return withDecision(services, decided.check.decision, { ...counted, taken });
}

/**
 * Settles a use. If the history of its task changed after the decision, the use is decided again by the new history. A change means that another
 * use of the task was settled, so each round settles one of the uses that are made at the same time.
 */
async function settleUse(services: DecidingServices, decided: DecidedUse, toSettle: UseToSettle): Promise<DecidedUse> {
  let current = { decided, toSettle };
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const settled = await settleOnce(services, current.decided, current.toSettle);
    if (settled !== 'history-changed') return settled;
    const again = decideNow(services, decided.read, decided.use);
    const toSettleAgain = useToSettle(again.check, settlingRules(services, decided.read));
    if (toSettleAgain === null || isDeny(toSettleAgain))
      return withDecision(services, toSettleAgain ?? again.check.decision, again);
    current = { decided: again, toSettle: toSettleAgain };
  }
  return withDecision(services, changedTooOften, withLimits(current.decided, current.toSettle));
}

/** Settles a decided use; at a sidecar, a use of high risk together with its record. */
async function settleOnce(
  services: DecidingServices,
  decided: DecidedUse,
  { use, token }: UseToSettle,
): Promise<DecidedUse | 'history-changed'> {
  // A record that is sent names the counters, and is made before they are counted: who commits it adds what they have left.
  const record = isHighRiskUse(decided.check) ? recordToSend(services, withLimits(decided, { use })) : null;
  if (record !== null && isDeny(record)) return withDecision(services, record, withLimits(decided, { use }));
  const settled = await settle(
    services,
    { token, use: record === null ? use : { ...use, record } },
    limitsIn(decided.read),
  );
  if (settled === 'history-changed') return settled;
  const problem = settled !== null && 'unknown' in settled ? settled.unknown : null;
  const refusal = settled !== null && isDeny(settled) ? settled : null;
  const after = settled !== null && 'left' in settled ? settled.left : null;
  const counted = withLimits(decided, { use }, after === null ? undefined : { of: 'left', numbers: after });
  // If the result is unknown, the use may be settled.
  const done = refusal === null ? { ...counted, taken: unsentUseOf(use) } : counted;
  if (record === null || refusal !== null) {
    return withDecision(services, refusal ?? problem ?? done.check.decision, done);
  }
  return { ...withDecision(services, done.check.decision, done), sent: { record, problem } };
}

/** The limits over all tasks of the policy set that decided. */
const limitsIn = ({ policies }: ReadCheck): readonly Limit[] => (isDeny(policies) ? [] : policies.limits);

const settlingRules = (services: DecidingServices, read: ReadCheck): Parameters<typeof useToSettle>[1] => ({
  isCurrent: (facts) => isCurrentEnough(services, read, facts),
  limits: limitsIn(read),
});

/** With the counters of limits that the use takes from, for its record and its span. */
function withLimits(decided: DecidedUse, { use }: Pick<UseToSettle, 'use'>, after?: LeftAfterUse): DecidedUse {
  const spends = limitSpendsOf(use.spends);
  if (spends.length === 0) return decided;
  return { ...decided, check: { ...decided.check, limits: countedLimits(spends, limitsIn(decided.read), after) } };
}

/** What a use takes, without its record. */
const unsentUseOf = ({ decisionId, key, jtiDigest, spends }: SettledUse): UnsentUse => ({
  decisionId,
  key: key === null ? null : { issuer: key.issuer, id: key.id },
  jtiDigest,
  spends,
});

/** How often a use is settled, each time by a newer history, before it is denied. An agent rarely begins more calls of one task at once. */
const MAX_ROUNDS = 32;

const changedTooOften = deny(
  'task.state-unavailable',
  `the history of the task changed ${MAX_ROUNDS} times while the use was decided`,
);

/**
 * Remembers where an allowed token was used. INVARIANT: call it synchronously after the use was counted, so that no second use is
 * classified in between. Never call it for a use that the policies deny: that would make a thief's location familiar.
 *
 * @returns whether the token was used at a new place
 */
function rememberPlace({ uses }: Pick<DecidingServices, 'uses'>, { check, use }: DecidedUse): boolean {
  const key = keyOfCredential(use.credential);
  return key !== null && use.before !== null && !isDeny(check.decision) && uses.allowed(key, use.before);
}

function shareUse({ sharing }: Pick<DecidingServices, 'sharing'>, { use }: DecidedUse, isNewPlace: boolean): void {
  const token = sharing === undefined ? null : sharedTokenOf(use.credential);
  if (token !== null) sharing?.used(token, { isNewPlace });
}

/** The use with its final decision and without any credential. Span, record, log and answer are made of this alone. */
const withDecision = (
  { digestOf }: Pick<DecidingServices, 'digestOf'>,
  decision: Decision,
  decided: DecidedUse,
): DecidedUse => ({ ...decided, check: shownCheck({ ...decided.check, decision }, digestOf) });

/** The use as it is answered: a denial of a call that is only observed is an allow. It has taken nothing, and is not remembered. */
const enforced = (final: DecidedUse): DecidedUse => ({
  ...final,
  check: { ...final.check, decision: enforce(final.check.decision, final.check.mode ?? null) },
});

/** Lists the static secrets that the call carried, and revokes a token that was presented by another workload. */
function reportSecretsAndRevokeStolenToken(services: DecidingServices, final: DecidedUse): DecidedUse {
  reportSecrets(services, final.check);
  revokeStolenToken(services, final.check, final.read.reading);
  return enforced(final);
}

import type { Answer, CheckCall, CheckFacts, CheckServices } from './services.ts';
import { decide, taskTokenOf } from '../decide/decide.ts';
import type { Facts, Rules } from '../decide/decide.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../decision/uuid.ts';
import { askingAgentOf, gather, read } from './read.ts';
import type { Reading } from './read.ts';
import { shownDecision } from '../decide/decided-check.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';
import type { CacheResult } from '../policy/answers/cache.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import type { Clocks } from '../runtime/ports.ts';
import { hold, settle, trace } from './settle.ts';
import type { Held } from './settle.ts';
import { Fault, mapIsolated } from '../runtime/map-isolated.ts';
import type { Isolated } from '../runtime/map-isolated.ts';
import { stateUnavailable } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';

/**
 * A check that is asked for. A request that could not be read is one too, as the `Deny` that says why, so that this is recorded
 * and traced like any other.
 */
export interface AskedCheck {
  readonly facts: CheckFacts | Deny;
  readonly call: CheckCall;
}

/** Answers to checks, each where its check was; at once, but where the disk or a signature for the upstream has to be waited for. */
export type Answers = readonly Isolated<Answer | Promise<Answer>>[];

/** The shell around `decide`. */
export interface Checks {
  /** Answers the checks of one turn. A fault of one concerns that one alone. */
  answers(asked: readonly Isolated<AskedCheck>[]): Answers;
  /** What can wait until they are told: spans, metrics. In the same turn. */
  afterwards(): void;
}

/** Checks with what they work with. */
export function checksWith(services: CheckServices): Checks {
  let settled: Isolated<Settled>[] = [];
  return {
    answers: (asked) => {
      const begun: Isolated<Begun>[] = mapIsolated(asked, (one) => begin(services, one));
      let judged: readonly Isolated<Judged>[] = [];
      const failure = services.store.together(() => {
        judged = mapIsolated(begun, (one) => judge(services, one));
      });
      if (failure !== null) judged = mapIsolated(judged, (one) => unspent(one, failure));
      const answered = mapIsolated(judged, (one) => settleOne(services, one));
      settled = settled.concat(answered.filter((one) => !isTooOften(one)));
      return mapIsolated(answered, ({ answer }) => answer);
    },
    afterwards: () => {
      const over = settled;
      settled = [];
      const traced = mapIsolated(over, (one) => traceOne(services, one));
      const told = mapIsolated(traced, (one) => tellOne(services, one));
      const fault = told.find((one) => one instanceof Fault);
      if (fault !== undefined) throw fault.error;
    },
  };
}

/** What a check comes to that its agent may not ask for now: it is neither decided nor recorded. */
const tooOften = new Error('an agent asks too often');

/** Whether a check was left out because its agent asks too often. */
export const isTooOften = (one: unknown): boolean => one instanceof Fault && one.error === tooOften;

/** A check of which is known what it says itself. */
interface Begun {
  readonly asked: AskedCheck;
  readonly policies: PolicySet | Deny;
  readonly reading: Reading | Deny;
  /** Taken once, when it began: nothing that follows in the check reads a clock to decide by. */
  readonly clocks: Clocks;
  /** How long it took to read, in milliseconds. */
  readonly readMs: number;
}

/** A check that is decided. */
interface Judged {
  readonly call: CheckCall;
  /** What policies and facts came to, before budgets and the record had their say. */
  readonly decided: Decision;
  readonly held: Held;
  /** On the monotonic clock, without the time that others of its turn took before this was gathered. */
  readonly beganMs: number;
  readonly gatheredMs: number;
  readonly decidedMs: number;
}

/** A check with its answer, or the promise of it. */
interface Settled {
  readonly judged: Judged;
  readonly answer: Answer | Promise<Answer>;
  /** On the monotonic clock. */
  readonly settledMs: number;
}

/** Reads what a call says itself. */
function begin(services: CheckServices, asked: AskedCheck): Isolated<Begun> {
  const clocks = services.store.clocks();
  const policies = services.policies();
  const reading = read(services, asked.facts, { policies, clocks });
  if (services.admits?.(askingAgentOf(reading)) === false) return new Fault(tooOften);
  return { asked, policies, reading, clocks, readMs: services.ports.monotonicMs() - clocks.monotonicMs };
}

/** Gathers the facts, decides, and makes the decision hold: for one check after the other, since what one spends is not there for the next. */
function judge(services: CheckServices, begun: Begun): Judged {
  const { asked, policies, reading, clocks } = begun;
  const { facts: parsed, call } = asked;
  const { monotonicMs, randomBytes } = services.ports;
  const beganMs = monotonicMs() - begun.readMs;
  const decisionId = uuidV7(clocks.wallMs, randomBytes(UUID_RANDOM_BYTES));
  const { facts, use } = gather(services, reading, clocks);
  const gatheredMs = monotonicMs();
  const isLate = call.signal.aborted || gatheredMs > call.deadlineMs;
  const decideBy = (known: Facts): Decided => decidedBy(known, { binding: services.binding, policies });
  const { decision, cache } = isLate ? late : decideBy(facts);
  const decidedMs = monotonicMs();
  const [policySet, policyGeneration] = isDeny(policies) ? [null, null] : [policies.hash, policies.generation];
  const { trace: callTrace, sourceAddress } = isDeny(parsed) ? unread(call) : parsed;
  const judgement = { decisionId, decision, facts, policySet, policyGeneration, cache };
  const held = hold(services, judgement, {
    startedMs: clocks.monotonicMs,
    use,
    trace: callTrace,
    sourceAddress,
    decideBy,
  });
  const decided = shownDecision(decision, (secret) => services.store.digestOf(secret));
  return { call, decided, held, beganMs, gatheredMs, decidedMs };
}

/** What was decided by the state of a task does not hold where what was written of it meanwhile does not. */
function unspent(judged: Judged, failure: StoreFailure): Judged {
  const { held } = judged;
  if (isDeny(held.judgement.decision) || taskTokenOf(held.judgement.facts) === null) return judged;
  return { ...judged, held: { ...held, judgement: { ...held.judgement, decision: stateUnavailable(failure) } } };
}

function settleOne(services: CheckServices, judged: Judged): Settled {
  const { monotonicMs } = services.ports;
  const settled = settle(services, judged.held);
  if (!('then' in settled)) return { judged, answer: settled, settledMs: monotonicMs() };
  const answer = settled.then((late) => {
    tell(services, { judged, answer: late, settledMs: monotonicMs() });
    return late;
  });
  return { judged, answer, settledMs: monotonicMs() };
}

function traceOne(services: CheckServices, settled: Settled): Settled {
  trace(services, settled.judged.held);
  return settled;
}

function tellOne(services: CheckServices, { judged, answer, settledMs }: Settled): void {
  if (!('then' in answer)) tell(services, { judged, answer, settledMs });
}

/** Tells those who observe checks of one that is answered. */
function tell(
  { outcomes, onChecked }: CheckServices,
  { judged, answer, settledMs }: Settled & { readonly answer: Answer },
): void {
  const { call, decided, beganMs, gatheredMs, decidedMs } = judged;
  const { judgement } = judged.held;
  // Where nobody waits any more the answer is thrown away, and the proxy's log cannot name it.
  if (!call.signal.aborted) outcomes.answered(answer);
  const took = { gatherMs: gatheredMs - beganMs, decideMs: decidedMs - gatheredMs, settleMs: settledMs - decidedMs };
  const { decision, decisionId, traceId } = answer;
  const isWithdrawn = decisionId !== judgement.decisionId;
  const answered = { ...judgement, decision, decisionId, ...(isWithdrawn ? { withdraws: judgement.decisionId } : {}) };
  onChecked({ ...answered, decided, traceId, took });
}

/** Of a request that could not be read. */
const unread = ({ traceparent }: CheckCall): Pick<CheckFacts, 'trace' | 'sourceAddress'> => ({
  trace: { parent: traceparent, application: null },
  sourceAddress: null,
});

/** A decision, and what became of its question at the cache. */
type Decided = Pick<DecidedCheck, 'decision' | 'cache'>;

const late: Decided = {
  decision: deny('overloaded', 'the deadline of the check passed before it was decided'),
  cache: 'bypass',
};

function decidedBy(facts: Facts, rules: Rules): Decided {
  let cache: CacheResult = 'bypass';
  const decision = decide(facts, { ...rules, onCache: (result) => (cache = result) });
  return { decision, cache };
}

import type { CheckCall, CheckFacts } from './asked-check.ts';
import type { CheckServices } from './services.ts';
import { credentialNow, taskFactsOf, noTask } from './task-facts.ts';
import type { ReadCheck } from './read.ts';
import { callShapeOf } from '../../core/action/call-shape.ts';
import { decide } from '../../core/decide/decide.ts';
import type { Rules } from '../../core/decide/decide.ts';
import { enforce } from '../../core/decide/enforce.ts';
import { heldWhileObserved } from '../../core/decide/held-while-observed.ts';
import { modeOf } from '../../core/decide/mode.ts';
import type { Mode } from '../../core/decide/mode.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Decision, Deny } from '../../core/decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from '../../core/decision/uuid.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import type { CacheResult } from '../../core/policy/answers/cache.ts';
import { placeOfCheck } from '../../core/telemetry/spans/span.ts';
import type { CheckPlace } from '../../core/telemetry/spans/span.ts';
import type { Credential } from '../../core/token/credential.ts';
import type { TaskToken } from '../../core/token/claims.ts';
import type { UnsentUse } from '../../core/state/store.ts';
import type { TokenUse } from '../../core/token/uses.ts';

/** One use of a token, or a call without a token. It is counted once per check, before the decision. */
export interface CountedUse {
  /** The credential, judged by the current state of its task (`credentialNow`). */
  readonly credential: CallFacts['credential'];
  /** The earlier uses of the token; `null` without a token. */
  readonly before: TokenUse | null;
  /** Trace and span ID of the check. */
  readonly place: CheckPlace;
}

/** A decided check. */
export interface DecidedUse {
  readonly read: ReadCheck;
  readonly use: CountedUse;
  readonly check: DecidedCheck;
  /** The decision of policies and facts, before budgets and the record are considered. */
  readonly byPolicy: Decision;
  /** What it took from its task, or may have taken. Absent if it took nothing. */
  readonly taken?: UnsentUse;
  /** Its record, if it was sent with the settlement; and why it is unknown whether both are committed, or `null` if they are. */
  readonly sent?: { readonly record: EncodedRecord; readonly problem: Deny | null };
  /** Milliseconds on the monotonic clock. `beganMs` leaves out the time spent on other checks of the same turn. */
  readonly beganMs: number;
  readonly gatheredMs: number;
  readonly decidedMs: number;
}

/** The services that count a use, and decide it by the state of its task. */
export type CountingServices = Pick<CheckServices, 'ports' | 'states' | 'binding' | 'uses' | 'sharing' | 'digestOf'>;

/** Counts the use of a token: its number, how it compares with the uses before it, and the span that the next use links to. */
export function countUse(services: CountingServices, { asked, reading, clocks }: ReadCheck): CountedUse {
  const credential = credentialNow(services, reading, clocks);
  const place = placeOfCheck(services, traceOf(asked).parent);
  const key = keyOfCredential(credential);
  if (key === null) return { credential, before: null, place };
  const token = sharedTokenOf(credential);
  const { sharing, uses } = services;
  const usesElsewhere = token === null || sharing === undefined ? undefined : () => sharing.before(token);
  const before = uses.next(key, reading.circumstances, usesElsewhere);
  uses.traced(key, place);
  return { credential, before, place };
}

/** Decides a check by the state of its task at this moment, under a new decision id. */
export function decideNow(services: CountingServices, read: ReadCheck, use: CountedUse): DecidedUse {
  const { asked, policies, knownBy, clocks } = read;
  const { monotonicMs, randomBytes } = services.ports;
  const beganMs = monotonicMs() - read.readMs;
  const facts = factsOf(services, read, use);
  const gatheredMs = monotonicMs();
  let cache: CacheResult = 'bypass';
  const rules = { binding: services.binding, policies, onCache: (result: CacheResult) => (cache = result) };
  const first = isLate(asked.call, gatheredMs) ? outOfTime : limited(read, decide(facts, rules));
  const mode = modeOf(facts, knownBy);
  const decision = mode === null ? first : heldOr(first, { facts, mode, rules: { ...rules, policies: knownBy } });
  const decidedMs = monotonicMs();
  const [policySet, policyGeneration] = isDeny(policies) ? [null, null] : [policies.hash, policies.generation];
  const decisionId = asked.call.signal.refusedAs ?? uuidV7(clocks.wallMs, randomBytes(UUID_RANDOM_BYTES));
  const shape =
    mode !== null && isDeny(facts.action) && !isDeny(facts.call) ? callShapeOf(facts.call, services.digestOf) : null;
  const check = {
    decisionId,
    decision,
    facts,
    policySet,
    policyGeneration,
    cache,
    ...(mode === null ? {} : { mode }),
    ...(shape === null ? {} : { shape }),
  };
  return { read, use, check, byPolicy: decision, beganMs, gatheredMs, decidedMs };
}

/** What policies permit is denied above the rate of the agent. */
const limited = ({ isTooOften }: ReadCheck, decision: Decision): Decision =>
  isTooOften === true && !isDeny(decision) ? aboveRate : decision;

const aboveRate = deny('overloaded', 'the agent asks more often than its rate');

/** Replaces a denial that would pass, because the call is only observed, by a denial that holds even then, if there is one. */
const heldOr = (
  decision: Decision,
  { facts, mode, rules }: { readonly facts: CallFacts; readonly mode: Mode; readonly rules: Rules },
): Decision =>
  isDeny(enforce(decision, mode)) || !isDeny(decision) ? decision : (heldWhileObserved(facts, rules) ?? decision);

/** The trace contexts of a check. A request that could not be read has only that of the gRPC call. */
export const traceOf = ({ facts, call }: ReadCheck['asked']): CheckFacts['trace'] =>
  isDeny(facts) ? { parent: call.traceparent, application: null } : facts.trace;

/** The key under which uses of a token are counted; `null` for a credential that is not counted. */
export const keyOfCredential = (credential: CallFacts['credential']): string | null =>
  isDeny(credential) || isIdentityAlone(credential) ? null : credential.useKey;

/** The token whose uses are shared with other sidecars; `null` for other credentials. */
export const sharedTokenOf = (credential: CallFacts['credential']): TaskToken | null =>
  !isDeny(credential) && credential.kind === 'task-token' ? credential : null;

const isIdentityAlone = (
  credential: Credential,
): credential is Extract<Credential, { readonly kind: 'workload-identity' }> => credential.kind === 'workload-identity';

const isLate = ({ signal, deadlineMs }: CheckCall, nowMs: number): boolean => signal.aborted || nowMs > deadlineMs;

/** The denial of a check whose deadline has passed, or whose proxy no longer waits. */
export const outOfTime = deny('check.deadline', 'the deadline of the check passed before it was decided');

/** The facts of a check: the content of its call, and the current state of its task. */
function factsOf(
  services: CountingServices,
  { reading, clocks }: ReadCheck,
  { credential, before }: CountedUse,
): CallFacts {
  const { call, caller, refusedCaller, seen, secrets, passing, presented, action } = reading;
  const state = !isDeny(credential) && credential.kind === 'task-token' ? taskFactsOf(services, credential) : noTask;
  return {
    call,
    caller,
    secrets,
    passing,
    presented,
    action,
    credential,
    orders: services.states.orders(),
    use: before?.use ?? 0,
    reuse: before?.reuse ?? [],
    nowMs: clocks.wallMs,
    floorMs: clocks.floorMs,
    ...(before?.isTold === true && before.previous !== null ? { usedElsewhere: before.previous } : {}),
    ...(refusedCaller === undefined ? {} : { refusedCaller }),
    ...(seen === undefined ? {} : { seen }),
    ...state,
  };
}

import type { Answer, CheckCall, CheckFacts, CheckServices } from './check-services.ts';
import { decide } from './decide.ts';
import type { Facts, Rules } from './decide.ts';
import { deny, isDeny } from './decision/decision.ts';
import type { Deny } from './decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from './decision/uuid.ts';
import { gather } from './gather.ts';
import type { Judgement } from './judgement.ts';
import type { CacheResult } from './policy/cache.ts';
import { settle } from './settle.ts';

/**
 * Answers one check: gathers the facts, decides, settles; at once, but where the disk or a signature for the upstream has to be
 * waited for. It is asked about a request that could not be read too, as the `Deny` that says why, so that this is recorded and
 * traced like any other.
 */
export type Check = (facts: CheckFacts | Deny, call: CheckCall) => Answer | Promise<Answer>;

/** The shell around `decide`. */
export function checkWith(services: CheckServices): Check {
  return (parsed, call) => {
    const startedAtMs = services.ports.nowMs();
    const { monotonicMs } = services.ports;
    const beganMs = monotonicMs();
    const decisionId = uuidV7(startedAtMs, services.ports.randomBytes(UUID_RANDOM_BYTES));
    const policies = services.policies();
    const { facts, use } = gather(services, parsed, policies);
    const gatheredMs = monotonicMs();
    const isLate = call.signal.aborted || gatheredMs > call.deadlineMs;
    const decideBy = (known: Facts): Decided => decidedBy(known, { binding: services.binding, policies });
    const { decision, cache } = isLate ? late : decideBy(facts);
    const decidedMs = monotonicMs();
    const [policySet, policyGeneration] = isDeny(policies) ? [null, null] : [policies.hash, policies.generation];
    const { trace, sourceAddress } = isDeny(parsed) ? unread(call) : parsed;
    const judged = { decisionId, decision, facts, policySet, policyGeneration, cache };
    const settled = settle(services, judged, { startedAtMs, use, trace, sourceAddress, decideBy });
    const finish = (answer: Answer): Answer => {
      // Where nobody waits any more the answer is thrown away, and the proxy's log cannot name it.
      if (!call.signal.aborted) services.outcomes.answered(answer);
      const took = {
        gatherMs: gatheredMs - beganMs,
        decideMs: decidedMs - gatheredMs,
        settleMs: monotonicMs() - decidedMs,
      };
      services.onChecked({ ...judged, decision: answer.decision, decided: decision, traceId: answer.traceId, took });
      return answer;
    };
    return 'then' in settled ? settled.then(finish) : finish(settled);
  };
}

/** Of a request that could not be read. */
const unread = ({ traceparent }: CheckCall): Pick<CheckFacts, 'trace' | 'sourceAddress'> => ({
  trace: { parent: traceparent, application: null },
  sourceAddress: null,
});

/** A decision, and what became of its question at the cache. */
type Decided = Pick<Judgement, 'decision' | 'cache'>;

const late: Decided = {
  decision: deny('overloaded', 'the deadline of the check passed before it was decided'),
  cache: 'bypass',
};

function decidedBy(facts: Facts, rules: Rules): Decided {
  let cache: CacheResult = 'bypass';
  const decision = decide(facts, { ...rules, onCache: (result) => (cache = result) });
  return { decision, cache };
}

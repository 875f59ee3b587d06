import type { Gate } from './admin/readiness.ts';
import { observedBy } from '../core/decide/mode.ts';
import { isDeny } from '../core/decision/decision.ts';
import type { PolicyInForce } from '../core/policy/policy-in-force.ts';
import type { TaskStates } from '../core/state/task-states.ts';

/**
 * The gate `policies`: a policy set is in force. It is waived for an expired or stale set by which calls are still observed: a
 * process that is not ready would not be asked, and Envoy would answer the observed calls itself, as if a check failed. It is
 * waived only in a process that answers checks, since such a set permits no issuance.
 */
export function policyGate({ policies, states, hasChecks }: GatedPolicies): Gate {
  const waived = (): string | null => {
    const set = policies.get();
    const { last } = policies;
    if (!hasChecks || last === null || !isDeny(set)) return null;
    const by = observedBy(last, states.orders(), states.clocks());
    return by === null
      ? null
      : `${set.detail}, but calls are observed by ${by === 'entry' ? '`enforcement.yaml`' : 'an emergency'}`;
  };
  return {
    name: 'policies',
    waived,
    problem: () => {
      const set = policies.get();
      if (isDeny(set)) return waived() === null ? set.detail : null;
      return set.ready ? null : 'the policy set is empty';
    },
  };
}

/** What the gate reads. */
interface GatedPolicies {
  readonly policies: Pick<PolicyInForce, 'get' | 'last'>;
  readonly states: Pick<TaskStates, 'orders' | 'clocks'>;
  /** Whether this process answers checks. */
  readonly hasChecks: boolean;
}

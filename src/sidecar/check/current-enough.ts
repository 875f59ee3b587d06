import type { CheckServices } from './services.ts';
import type { ReadCheck } from './read.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { readsAny } from '../../core/policy/answers/split-by-volatility.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../core/policy/loading/policy-file.ts';
import { useQuestion } from '../../core/policy/use-question.ts';

/** The history of a task, in the context of a use. */
const HISTORY = [['task']];
/** By policy set, the enforced policies that read the history. */
const readers = new WeakMap<PolicySet, ReadonlySet<PolicyEntry>>();

/**
 * Whether the state of a task by which an allowed use was decided is current enough without asking an authority. If the state may lag, it is
 * not current enough for an action of high risk, or if a policy that can match reads the history: a use at another sidecar may have added to
 * it.
 */
export function isCurrentEnough(
  { binding, sidecar }: Pick<CheckServices, 'binding' | 'sidecar'>,
  { policies }: ReadCheck,
  facts: CallFacts,
): boolean {
  if (sidecar === null) return true;
  const { call, caller, credential, task = null, history, action, use, reuse, nowMs } = facts;
  if (isDeny(policies) || isDeny(call) || isDeny(caller) || isDeny(credential) || isDeny(task) || isDeny(action)) {
    return false;
  }
  if (action.risk === 'high') return false;
  const reading = readersOfHistory(policies);
  if (reading.size === 0) return true;
  const asked = { call, caller, credential, task, history, action, binding, use, reuse, nowMs };
  return !policies.canMatch(useQuestion(asked, policies.catalog)).some((policy) => reading.has(policy));
}

function readersOfHistory(set: PolicySet): ReadonlySet<PolicyEntry> {
  const known = readers.get(set);
  if (known !== undefined) return known;
  const reading = new Set(set.policies.filter(({ shadow, reads }) => !shadow && readsAny(reads, HISTORY)));
  readers.set(set, reading);
  return reading;
}

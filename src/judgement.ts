import type { Decision } from './decision/decision.ts';
import type { Facts } from './decide.ts';

/** One check when it is decided: what its span, its record and its answer are made of. */
export interface Judgement {
  /** UUIDv7, the same in the answer, the span, the record and Envoy's log. */
  readonly decisionId: string;
  readonly decision: Decision;
  readonly facts: Facts;
  /** Hash of the policy set that was asked; `null` where none is loaded. */
  readonly policySet: string | null;
}

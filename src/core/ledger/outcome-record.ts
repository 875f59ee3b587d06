/** Records of what Envoy did with a call. */
import type { JsonValue } from './canonical-json.ts';

/** The outcome of a call, from Envoy's access log. */
export interface OutcomeRecord {
  readonly kind: 'outcome';
  /** When Envoy reported it. */
  readonly at: number;
  readonly decisionId: string;
  /** Whether this process made the decision; otherwise task, agent, action and decision are those reported by Envoy. */
  readonly known: boolean;
  readonly task: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  readonly decision: 'allow' | 'deny' | null;
  /** `observe` if this process decided the call and it was only observed. Absent otherwise. */
  readonly mode?: 'observe';
  /** HTTP status of the answer; `null` if there was none. */
  readonly status: number | null;
  /** Envoy's `response_code_details`. */
  readonly details: string;
  /** Envoy's response flags, in the letters of its text log. */
  readonly flags: readonly string[];
  readonly durationMs: number | null;
  readonly upstreamMs: number | null;
  /** Bytes of the bodies. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** More than 1 if Envoy retried the call, which is not decided again. */
  readonly attempts: number;
  readonly upstreamCluster: string | null;
}

/** A mismatch between decisions and what Envoy did. */
export interface FindingRecord {
  readonly kind: 'finding';
  readonly at: number;
  readonly finding: 'bypass' | 'failure-mode-allowed' | 'denied-but-served' | 'outcome-missing' | 'access-log-lost';
  /** Number of occurrences: more than 1 in the summary of a flood. */
  readonly count: number;
  readonly decisionId: string | null;
  readonly task: string | null;
  /** For a call without a decision, the SPIFFE ID in its certificate. */
  readonly agent: string | null;
  readonly action: string | null;
  /** What is known of the call. */
  readonly details: { readonly [name: string]: JsonValue };
}

/** Our answer to a check, as the proxy repeats it in its access log. */
export interface LoggedDecision {
  /** A UUID in lower case. */
  readonly id: string;
  readonly kind: 'allow' | 'deny' | null;
  /** A UUID in lower case. */
  readonly task: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  /** Name of the ledger with the decision, if several processes serve the same proxy. */
  readonly ledger: string | null;
}

/** One call through the proxy, from its access log. Host and path are as long as the client sent them. */
export interface ServedCall {
  /** `ended` once per call; `alive` while a call is running. */
  readonly state: 'ended' | 'alive';
  /** `null` if the call has no decision of ours, because no check was made or its answer did not arrive. */
  readonly decision: LoggedDecision | null;
  /** HTTP status of the answer; `null` if there was none. */
  readonly status: number | null;
  /** Who answered and why, in Envoy's words: `via_upstream`, `ext_authz_denied`. */
  readonly details: string;
  /** Response flags as in the proxy's text log: `UF`, `DC`. */
  readonly flags: readonly string[];
  /** From the first byte of the request to the end of the call. */
  readonly durationMs: number | null;
  /** From the first byte sent upstream to the last byte received; `null` if none was. */
  readonly upstreamMs: number | null;
  /** Bytes of the bodies, without headers. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Number of attempts to send it upstream: more than 1 after retries. */
  readonly attempts: number;
  readonly upstreamCluster: string | null;
  /** Whether the proxy reports that it continued after a failed check. */
  readonly isFailureModeAllowed: boolean;
  /** SPIFFE ID in the client's certificate; `null` if absent. */
  readonly peer: string | null;
  readonly method: string;
  readonly host: string;
  /** Without the query. */
  readonly path: string;
  readonly requestId: string | null;
  /** The name by which its check names it too (`sidecar/envoy/grpc/call-name.ts`); `null` if the proxy gives none. */
  readonly callName: string | null;
}

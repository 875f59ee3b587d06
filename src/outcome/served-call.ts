/** What the proxy was told about a call, as it says itself: it repeats what the answer to its check said. */
export interface LoggedDecision {
  /** A UUID in lower case. */
  readonly id: string;
  readonly kind: 'allow' | 'deny' | null;
  /** A UUID in lower case. */
  readonly task: string | null;
  readonly agent: string | null;
  readonly action: string | null;
}

/** How one call through the proxy went, as its access log says; texts are at most as long as a record's may be. */
export interface ServedCall {
  /** `ended` once for each call; `alive` for a note meanwhile that it goes on. */
  readonly state: 'ended' | 'alive';
  /** `null` where the call has no decision of ours: nobody was asked, or the answer did not come. */
  readonly decision: LoggedDecision | null;
  /** What the client was answered; `null` where it was answered nothing. */
  readonly status: number | null;
  /** Who answered and why, in the proxy's words: `via_upstream`, `ext_authz_denied`. */
  readonly details: string;
  /** What happened on the way, in the letters of the proxy's text log: `UF`, `DC`. */
  readonly flags: readonly string[];
  /** From the first byte of the request to the end of the call. */
  readonly durationMs: number | null;
  /** From the first byte that went to the upstream to the last that came back; `null` where none did. */
  readonly upstreamMs: number | null;
  /** Of the bodies, without headers. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** How often it was sent to an upstream, or tried to: more than 1 where the proxy repeated it. */
  readonly attempts: number;
  readonly upstreamCluster: string | null;
  /** Whether the proxy says that it went on because its check failed. */
  readonly isFailureModeAllowed: boolean;
  /** SPIFFE ID in the client's certificate, where it had one. */
  readonly peer: string | null;
  readonly method: string;
  readonly host: string;
  /** Without its query. */
  readonly path: string;
  readonly requestId: string | null;
}

/** Limits of the issuer, each at least 1. A client is a SPIFFE ID; an address where no client certificates are requested. */
export interface IssuerLimits {
  /** Total connections, with unfinished handshakes. At the limit, the client with the most idle connections loses one. */
  readonly connections: number;
  /**
   * Connections of one client. One more closes its longest idle one; where none is idle, the new one serves withdrawals only.
   */
  readonly connectionsPerClient: number;
  /** Concurrent requests of one client, per kind; one more is answered 429. */
  readonly requestsInFlightPerClient: number;
  /** Rate and burst of one client's ordinary requests (token bucket); one more is answered 429. */
  readonly requestsPerSecondPerClient: number;
  /** Rate and burst of one client's withdrawals. */
  readonly withdrawalsPerSecondPerClient: number;
  /** Unfinished handshakes of one address; one more cuts the oldest. */
  readonly handshakesPerAddress: number;
}

/** A limit that a request or connection exceeded; a metric label. */
export type IssuerBound =
  'connections' | 'client-connections' | 'client-requests' | 'client-rate' | 'handshakes' | 'pipeline' | 'turn';

/**
 * The kind of a request. Withdrawals take authority away, so their limits are separate: a flood of ordinary requests, even by the
 * same client, never displaces them.
 */
export type RequestKind = 'ordinary' | 'withdrawal';

/** Called for each refused request and each cut connection, with the exceeded limit. */
export type OnRefused = (bound: IssuerBound, client: string) => void;

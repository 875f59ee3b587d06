/** What one client of the issuer may take. A client is a SPIFFE ID; where no certificate is asked for, an address. Each is at least 1. */
export interface IssuerLimits {
  /** Connections of all clients, unfinished handshakes among them. At the limit the client with most idle ones loses one. */
  readonly connections: number;
  /** Connections of one client; for one more its longest idle one is closed, and where none is idle, it is for withdrawals alone. */
  readonly connectionsPerClient: number;
  /** Requests of one client under way at once, of each kind; one more is answered 429. */
  readonly requestsInFlightPerClient: number;
  /** Ordinary requests of one client in a second, and as many at once after a second without one; one more is answered 429. */
  readonly requestsPerSecondPerClient: number;
  /** The same for withdrawals. */
  readonly withdrawalsPerSecondPerClient: number;
  /** Unfinished handshakes of one address; for one more the oldest is cut. */
  readonly handshakesPerAddress: number;
}

/** What a request or a connection can meet; the label of a metric. */
export type IssuerBound =
  'connections' | 'client-connections' | 'client-requests' | 'client-rate' | 'handshakes' | 'pipeline' | 'turn';

/**
 * What a request is served as. Withdrawals take authority away, so each bound is kept for them apart: no flood of ordinary
 * requests, not even one of the same client, takes their place.
 */
export type RequestKind = 'ordinary' | 'withdrawal';

/** Is told of each request that was refused and each connection that was cut, by the bound. */
export type OnRefused = (bound: IssuerBound, client: string) => void;

import { integer, type Members, optional } from '../runtime/fields.ts';

const limit = (byDefault: number, min: number, max: number) => optional(integer(min, max), byDefault);

const MAX_PER_SECOND = 1_000_000;

/** Reads the keys of the section `issuer.limits`. A client is a SPIFFE ID; an IP address where no client certificates are requested. */
export const issuerLimits = {
  /**
   * Connections of all clients, with unfinished handshakes. At the limit, the client with the most idle connections loses one. Default
   * 1,024, 16 to 65,536.
   */
  connections: limit(1_024, 16, 65_536),
  /**
   * Connections of one client. One more closes its longest idle one; where none is idle, the new one serves withdrawals only. Default 64,
   * 1 to 4,096.
   */
  connectionsPerClient: limit(64, 1, 4_096),
  /**
   * Concurrent requests of one client, counted separately for ordinary ones and for withdrawals; one more is answered 429. Default 32, 1 to
   * 1,024.
   */
  requestsInFlightPerClient: limit(32, 1, 1_024),
  /**
   * Rate and burst of one client's ordinary requests (token bucket): tokens, introspections, tasks and keys; one more is answered 429.
   * Default 100, 1 to 1,000,000.
   */
  requestsPerSecondPerClient: limit(100, 1, MAX_PER_SECOND),
  /**
   * Rate and burst of one client's withdrawals: ends, suspensions, revocations, changes of context and signals. Default 100, 1 to 1,000,000.
   */
  withdrawalsPerSecondPerClient: limit(100, 1, MAX_PER_SECOND),
  /** Unfinished TLS handshakes of one address; one more cuts the oldest. Default 256, 1 to 4,096. */
  handshakesPerAddress: limit(256, 1, 4_096),
};

/** Limits for one client of the issuer. */
export type IssuerLimits = Members<typeof issuerLimits>;

import { integer, type Members, optional } from '../runtime/fields.ts';

const limit = (byDefault: number, min: number, max: number) => optional(integer(min, max), byDefault);

const MAX_PER_SECOND = 1_000_000;

/** Reads the keys of the section `issuer.limits`. A client is a SPIFFE ID; an IP address if no client certificates are requested. */
export const issuerLimits = {
  /**
   * Connections of all clients, with unfinished handshakes. At the limit, an idle connection of the client with the most of them is closed. Default
   * 1,024, 16 to 65,536.
   */
  connections: limit(1_024, 16, 65_536),
  /**
   * Connections of one client. A further connection closes its longest idle connection; if none is idle, the new connection serves
   * withdrawals only. Default 64, 1 to 4,096.
   */
  connectionsPerClient: limit(64, 1, 4_096),
  /**
   * Concurrent requests of one client, counted separately for ordinary requests and for withdrawals; a further request is answered 429.
   * Default 32, 1 to 1,024.
   */
  requestsInFlightPerClient: limit(32, 1, 1_024),
  /**
   * Rate and burst of one client's ordinary requests (token bucket): tokens, introspections, tasks and keys; a further request is answered 429.
   * Default 100, 1 to 1,000,000.
   */
  requestsPerSecondPerClient: limit(100, 1, MAX_PER_SECOND),
  /**
   * Rate and burst of one client's withdrawals: ends, suspensions, revocations, changes of context and signals. Default 100, 1 to 1,000,000.
   */
  withdrawalsPerSecondPerClient: limit(100, 1, MAX_PER_SECOND),
  /** Unfinished TLS handshakes of one address; a further handshake cuts the oldest. Default 256, 1 to 4,096. */
  handshakesPerAddress: limit(256, 1, 4_096),
};

/** Limits for one client of the issuer. */
export type IssuerLimits = Members<typeof issuerLimits>;

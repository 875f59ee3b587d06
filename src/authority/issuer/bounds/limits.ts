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

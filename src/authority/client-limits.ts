import { TokenBucket } from '../runtime/token-bucket.ts';

/** Tokens opened a second by one sidecar, and as many whose uses it reports; pings; and reports with their other entries. */
const OPENS = { burst: 8_192, perSecond: 2_048 };
const PINGS = { burst: 32, perSecond: 16 };
const REPORTS = { burst: 4_096, perSecond: 1_024 };
/** Uses settled a second by all sidecars of one identity: they may settle where they have no stream. */
const USES = { burst: 16_384, perSecond: 8_192 };

/** Bytes of records settled a second likewise. */
const RECORD_BYTES = { burst: 16 * 1_024 * 1_024, perSecond: 8 * 1_024 * 1_024 };

/** Most tokens of one open, and most uses of one settle. */
export const MAX_BATCH = 256;

/** How much one sidecar may ask for. */
export interface ClientLimits {
  readonly opens: TokenBucket;
  readonly pings: TokenBucket;
  readonly reports: TokenBucket;
  readonly uses: TokenBucket;
}

export const clientLimits = (monotonicMs: () => number): ClientLimits => ({
  opens: new TokenBucket({ ...OPENS, monotonicMs }),
  pings: new TokenBucket({ ...PINGS, monotonicMs }),
  reports: new TokenBucket({ ...REPORTS, monotonicMs }),
  uses: new TokenBucket({ ...OPENS, monotonicMs }),
});

/** How much one identity may settle. */
export interface UseLimits {
  readonly uses: TokenBucket;
  readonly recordBytes: TokenBucket;
}

export const useLimits = (monotonicMs: () => number): UseLimits => ({
  uses: new TokenBucket({ ...USES, monotonicMs }),
  recordBytes: new TokenBucket({ ...RECORD_BYTES, monotonicMs }),
});

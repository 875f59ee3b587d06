import { TokenBucket } from '../runtime/token-bucket.ts';

/** Tokens opened a second by one sidecar, pings, and reports with their entries. */
const OPENS = { burst: 8_192, perSecond: 2_048 };
const PINGS = { burst: 32, perSecond: 16 };
const REPORTS = { burst: 4_096, perSecond: 1_024 };
/** Uses settled a second by all sidecars of one identity: they may settle where they have no stream. */
const USES = { burst: 16_384, perSecond: 8_192 };

/** Most tokens of one open, and most uses of one settle. */
export const MAX_BATCH = 256;

/** How much one sidecar may ask for. */
export interface ClientLimits {
  readonly opens: TokenBucket;
  readonly pings: TokenBucket;
  readonly reports: TokenBucket;
}

export const clientLimits = (monotonicMs: () => number): ClientLimits => ({
  opens: new TokenBucket({ ...OPENS, monotonicMs }),
  pings: new TokenBucket({ ...PINGS, monotonicMs }),
  reports: new TokenBucket({ ...REPORTS, monotonicMs }),
});

/** How many uses one identity may settle. */
export const useLimit = (monotonicMs: () => number): TokenBucket => new TokenBucket({ ...USES, monotonicMs });

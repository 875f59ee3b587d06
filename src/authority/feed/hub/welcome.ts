import type { Down } from '../../../core/fleet/messages.ts';
import type { FeedPlace } from './feed-place.ts';
import type { FollowersOptions } from './followers-options.ts';

/** The answer to a sidecar that continues from a place. It pings five times in a lease, at intervals of 50 ms to 1 s. */
export const welcomeOf = (
  { clockMs, epoch, leaseMs, welcome }: Pick<FollowersOptions, 'clockMs' | 'epoch' | 'leaseMs' | 'welcome'>,
  place: FeedPlace,
): Down => ({
  of: 'welcome',
  welcome: {
    ...welcome,
    position: { epoch, ...place },
    lease_ms: leaseMs,
    ping_ms: Math.max(50, Math.min(1_000, Math.floor(leaseMs / 5))),
    now_ms: clockMs(),
    orders: true,
  },
});

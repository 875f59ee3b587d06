import type { Report } from '../../../core/fleet/messages.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { ReportingSidecar } from '../report-writes.ts';
import type { PeerLimits } from '../client-limits.ts';
import type { ServedBundle } from '../bundle-handler.ts';
import type { AuthorityEngine } from '../engine.ts';
import type { FeedPlace } from './feed-place.ts';

/** Options of the streams. */
export interface FollowersOptions {
  readonly engine: AuthorityEngine;
  readonly epoch: string;
  /** The end of the feed now. */
  readonly place: FeedPlace;
  readonly leaseMs: number;
  /** The longest lease that a former process may have given. */
  readonly formerLeaseMs: number;
  readonly welcome: { readonly version: string; readonly issuer: string; readonly digest_key: Buffer };
  /** JSON Web Key Set of the tokens. */
  readonly jwks: () => Buffer;
  /** Reads the keys as of a position of the feed or later; gives whether it could. Absent if no other process changes them. */
  readonly readKeys?: ((position: number) => Promise<boolean>) | undefined;
  /** The signed policy bundle in force; `null` if there is none. */
  readonly bundle: () => ServedBundle | null;
  /** The floor of the clock. */
  readonly clockMs: () => number;
  readonly ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>;
  readonly after: After;
  readonly limits: PeerLimits;
  /** Makes the writes of a report. Gives the problem; `''` if there is none. */
  readonly report: (report: Report, sidecar: Omit<ReportingSidecar, 'sightings'>) => Promise<string>;
  /** Called with faults that appear in no answer. Contains no secret. */
  readonly onProblem: (line: string) => void;
}

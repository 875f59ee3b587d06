import { status } from '@grpc/grpc-js';
import type { Position } from '../../../core/fleet/messages.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { AuthorityEngine } from '../engine.ts';

/**
 * What follows from the position in a sidecar's Hello:
 *
 * - `known`: the database has its change, or there is no evidence against it
 * - `behind`: this authority has not seen that change yet
 * - `lost`: the database once gave that position, and now lacks its change
 * - `unproven`: the sidecar is ahead of the database, or shows a proof of another database. Its claim proves nothing
 */
type PositionFit = 'known' | 'behind' | 'lost' | 'unproven';

/** The position of an authority. */
interface AuthorityPosition {
  readonly engine: Pick<AuthorityEngine, 'beat' | 'proofs'>;
  /** The life of the database that it serves. */
  readonly epoch: string;
  /** Up to where it has processed the feed. */
  readonly position: number;
}

/**
 * Compares the position of a sidecar with the database, after a synced commit. INVARIANT: only what the
 * database itself has given out proves a loss, so that no sidecar stops the others.
 */
async function positionFit(
  resume: Position,
  { engine, epoch, position }: AuthorityPosition,
): Promise<PositionFit | StoreFailure> {
  const { proofs } = engine;
  const has = resume.mark === '' || proofs === undefined ? 'unproven' : await proofs.has(resume);
  if (isStoreFailure(has)) return has;
  if (has !== 'unproven') return has === 'yes' ? 'known' : 'lost';
  // Of another life, or of another database: it starts from nothing.
  if (resume.epoch !== epoch) return 'known';
  if (resume.mark !== '' && proofs !== undefined) return 'unproven';
  if (resume.seq <= position) return 'known';
  const head = await engine.beat();
  if (isStoreFailure(head)) return head;
  return head >= resume.seq ? 'behind' : 'unproven';
}

/** Why a sidecar is not served, as a gRPC status. */
export interface StandingRefusal {
  readonly code: status;
  readonly details: string;
}

export const BEHIND: StandingRefusal = {
  code: status.UNAVAILABLE,
  details: 'this authority is behind the sidecar: connect to another authority',
};
export const UNPROVEN: StandingRefusal = {
  code: status.FAILED_PRECONDITION,
  details:
    'its position was not given by this database: bring back the database that gave it, or start the sidecar again',
};

/**
 * Why a sidecar with a position is not served; `null` if it is.
 *
 * @param parts.onLost called if the database has lost commits; gives the text to store in the database
 */
export async function standingRefusal(
  resume: Position,
  parts: AuthorityPosition & { readonly onLost: () => string },
): Promise<StandingRefusal | null> {
  const fit = await positionFit(resume, parts);
  if (isStoreFailure(fit)) return { code: status.UNAVAILABLE, details: 'the state is not available' };
  switch (fit) {
    case 'known':
      return null;
    case 'behind':
      return BEHIND;
    case 'unproven':
      return UNPROVEN;
    case 'lost': {
      const details = parts.onLost();
      await parts.engine.proofs?.declareLost(details);
      return { code: status.FAILED_PRECONDITION, details };
    }
    default:
      return fit satisfies never;
  }
}

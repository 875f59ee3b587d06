import type { KeyObject } from 'node:crypto';
import { emptyRange } from '../proof/compact-range.ts';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import type { LogPorts } from './log-ports.ts';
import type { LogSettings } from './log-settings.ts';
import { discardBefore } from './retention.ts';
import { Segment } from './segment/segment.ts';
import { keptSegments } from './segment/segment-ends.ts';
import { discardSegment, segmentPath, segmentsIn } from './segment/segment-files.ts';
import { signedFirst } from './signed-head.ts';
import { tailProblem } from './segment/tail.ts';

/** The point from which a log continues. */
export interface LogStart {
  readonly segment: Segment;
  /** The first record that is kept. */
  readonly first: number;
}

/**
 * The newest segment of a folder, after verifying the end of the log and that no kept segment is missing; or the first segment
 * of a new log. A failure leaves nothing open.
 */
export function logStart(settings: LogSettings, key: KeyObject, ports: LogPorts): LogStart | StoreFailure {
  const segment = newestSegment(settings, ports);
  if (isStoreFailure(segment)) return segment;
  const first = provedFirst(segment, { key, settings });
  if (!isStoreFailure(first)) return { segment, first };
  segment.close();
  return first;
}

function provedFirst(
  segment: Segment,
  { key, settings }: { readonly key: KeyObject; readonly settings: LogSettings },
): number | StoreFailure {
  const problem = tailProblem(segment, { key, settings });
  if (problem !== null) return problem;
  const first = signedFirst(segment, settings.folder);
  if (isStoreFailure(first)) return first;
  // A crash right after a prune was signed leaves the files behind. A file that cannot be deleted stays for now.
  discardBefore(settings.folder, first);
  const kept = keptSegments(settings.folder, { segment, first });
  return isStoreFailure(kept) ? kept : first;
}

function newestSegment(settings: LogSettings, ports: LogPorts): Segment | StoreFailure {
  const last = segmentsIn(settings.folder).at(-1);
  if (last !== undefined) {
    const segment = Segment.open(last.path, 'write');
    if (segment !== 'unfinished') return segment;
    discardSegment(last.path);
    return newestSegment(settings, ports);
  }
  const epoch = Buffer.from(ports.randomBytes(16)).toString('hex');
  const started = Segment.open(segmentPath(settings.folder, 0), {
    start: {
      origin: `remit.${settings.trustDomain}/${settings.name}/${epoch}`,
      carried: { range: emptyRange, head: new Uint8Array() },
      createdMs: ports.nowMs(),
      taken: new Map(),
      checkpoint: null,
    },
  });
  if (started === 'unfinished') throw new Error('a segment was made and is not there');
  return started;
}

import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { closedSegment } from './segment/closed-segment.ts';
import { logKeyAt } from './log-key.ts';
import type { LogSettings } from './log-settings.ts';
import { Segment } from './segment/segment.ts';
import { keptSegments } from './segment/segment-ends.ts';
import { segmentsIn } from './segment/segment-files.ts';
import { signedFirst } from './signed-head.ts';
import { tailProblem } from './segment/tail.ts';

/** Why a start would not continue the log of a folder; `null` if it would, or would begin a log. It changes nothing. */
export function logEndProblem(settings: LogSettings): StoreFailure | null {
  const { folder, keyFile } = settings;
  // A start creates a missing key, and a new key has signed nothing of the log.
  const key = existsSync(keyFile) ? logKeyAt(keyFile) : generateKeyPairSync('ed25519').privateKey;
  if (isStoreFailure(key)) return key;
  const last = existsSync(folder) ? segmentsIn(folder).findLast(({ path }) => !isUnfinished(path)) : undefined;
  if (last === undefined) return null;
  return closedSegment(last.path, (segment) => {
    const tail = tailProblem(segment, { key, settings });
    if (tail !== null) return tail;
    const first = signedFirst(segment, folder);
    if (isStoreFailure(first)) return first;
    const kept = keptSegments(folder, { segment, first });
    return isStoreFailure(kept) ? kept : null;
  });
}

/** A segment whose creation was interrupted, which a start makes again. */
function isUnfinished(path: string): boolean {
  const segment = Segment.open(path, 'read');
  if (segment === 'unfinished') return true;
  if (!isStoreFailure(segment)) segment.close();
  return false;
}

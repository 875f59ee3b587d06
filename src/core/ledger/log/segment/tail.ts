import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { openedCheckpoint } from '../../proof/checkpoint.ts';
import { appended } from '../../proof/compact-range.ts';
import type { CompactRange } from '../../proof/compact-range.ts';
import { isSameHash, leafHash, rootOf } from '../../proof/merkle.ts';
import { noteKeyOf } from '../../proof/note-key.ts';
import type { NoteKey } from '../../proof/note-key.ts';
import type { StoreFailure } from '../../../runtime/store-failure.ts';
import { isProblem } from '../../../runtime/problem.ts';
import { lastNotesIn } from '../checkpoint-file.ts';
import type { LogSettings } from '../log-settings.ts';
import type { Segment } from './segment.ts';
import { logCannotContinue } from './unfit.ts';

/**
 * Why a log must not be continued; `null` if it may. Its last checkpoint must be ours and match, the records since must lead
 * to the log's stored state, unindexed records must be its last records, and no published checkpoint may be larger or differ.
 * Continuing otherwise would fork the log.
 */
export function tailProblem(
  segment: Segment,
  { key, settings }: { readonly key: KeyObject; readonly settings: LogSettings },
): StoreFailure | null {
  const noteKey = noteKeyOf(segment.origin, createPublicKey(key));
  const published = largestPublished(settings.checkpointFile, noteKey);
  const contradicts = (range: CompactRange): boolean =>
    published?.size === range.size && !isCheckpointOf(published, range);
  const last = segment.checkpoints.last();
  if (last !== null) {
    const signed = openedCheckpoint(last.note, noteKey);
    if ('problem' in signed)
      return logCannotContinue(`its last checkpoint ${signed.problem}, read with \`${settings.keyFile}\``);
    if (!isCheckpointOf(signed, last.range))
      return logCannotContinue('its last checkpoint differs from the signed checkpoint');
  }
  const from = last?.range ?? segment.carried.range;
  let range = from;
  let head: Uint8Array | null = null;
  if (contradicts(range)) return logCannotContinue(otherThan(range, settings));
  for (const { seq, bytes } of segment.leaves(from.size + 1)) {
    if (seq !== range.size + 1) return logCannotContinue(`record ${range.size + 1} is missing`);
    head = leafHash(bytes);
    range = appended(range, head);
    if (contradicts(range)) return logCannotContinue(otherThan(range, settings));
  }
  const stands = segment.state();
  const isThere = stands.range.size === range.size && isSameHash(rootOf(stands.range.nodes), rootOf(range.nodes));
  if (!isThere || (head !== null && !isSameHash(stands.head, head))) {
    return logCannotContinue('its records since the last checkpoint do not match its stored state');
  }
  if (!segment.resumeIndex()) return logCannotContinue('its index does not match its records');
  if (published === null || published.size <= range.size) return null;
  return logCannotContinue(
    `it ends at record ${range.size}, but \`${settings.checkpointFile}\` has a checkpoint of ${published.size} records`,
  );
}

interface Head {
  readonly size: number;
  readonly root: Uint8Array;
}

const isCheckpointOf = (head: Head, range: CompactRange): boolean =>
  head.size === range.size && isSameHash(head.root, rootOf(range.nodes));

/** The largest of the last published checkpoints of this log in the checkpoint file; `null` if there is none. */
function largestPublished(file: string | null, noteKey: NoteKey): Head | null {
  if (file === null || !existsSync(file)) return null;
  let largest: Head | null = null;
  for (const note of lastNotesIn(file)) {
    const head = openedCheckpoint(note, noteKey);
    if (!isProblem(head) && head.size > (largest?.size ?? 0)) largest = head;
  }
  return largest;
}

const otherThan = ({ size }: CompactRange, { checkpointFile }: LogSettings): string =>
  `its first ${size} records do not match the checkpoint in \`${checkpointFile}\``;

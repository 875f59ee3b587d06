import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { openedCheckpoint } from '../../ledger/checkpoint.ts';
import { appended } from '../../ledger/compact-range.ts';
import type { CompactRange } from '../../ledger/compact-range.ts';
import { isSameHash, leafHash, rootOf } from '../../ledger/merkle.ts';
import { noteKeyOf } from '../../ledger/note-key.ts';
import type { NoteKey } from '../../ledger/note-key.ts';
import { storeFailure } from '../store-failure.ts';
import type { StoreFailure } from '../store-failure.ts';
import { lastNotesIn } from './checkpoint-file.ts';
import type { LogSettings } from './log-settings.ts';
import type { Segment } from './segment.ts';

/**
 * Why a log must not be gone on with; `null` where it may. Its last checkpoint must be our own and true, the records since
 * must lead to where the log says it stands, what its index lacks must be the last of them, and no checkpoint that was handed
 * out may say more than it holds: to sign on would make two logs of one.
 */
export function tailProblem(
  segment: Segment,
  { key, settings }: { readonly key: KeyObject; readonly settings: LogSettings },
): StoreFailure | null {
  const noteKey = noteKeyOf(segment.origin, createPublicKey(key));
  const last = segment.checkpoints.last();
  if (last !== null) {
    const signed = openedCheckpoint(last.note, noteKey);
    if ('problem' in signed) return unfit(`its last checkpoint ${signed.problem}, read with \`${settings.keyFile}\``);
    if (!isCheckpointOf(signed, last.range)) return unfit('its last checkpoint is not the one that was signed');
  }
  const from = last?.range ?? segment.carried.range;
  let range = from;
  for (const { seq, bytes } of segment.leaves(from.size + 1)) {
    if (seq !== range.size + 1) return unfit(`record ${range.size + 1} is missing`);
    range = appended(range, leafHash(bytes));
  }
  const stands = segment.state().range;
  if (stands.size !== range.size || !isSameHash(rootOf(stands.nodes), rootOf(range.nodes))) {
    return unfit('its records since the last checkpoint are not those that were written');
  }
  if (!segment.resumeIndex()) return unfit('its index is not that of its records');
  return handedOutProblem({ noteKey, file: settings.checkpointFile, range });
}

interface Head {
  readonly size: number;
  readonly root: Uint8Array;
}

const isCheckpointOf = (head: Head, range: CompactRange): boolean =>
  head.size === range.size && isSameHash(head.root, rootOf(range.nodes));

/** The last checkpoint of this log in the file outside is held against it. */
function handedOutProblem({
  noteKey,
  file,
  range,
}: {
  readonly noteKey: NoteKey;
  readonly file: string | null;
  readonly range: CompactRange;
}): StoreFailure | null {
  if (file === null || !existsSync(file)) return null;
  for (const note of lastNotesIn(file).toReversed()) {
    const head = openedCheckpoint(note, noteKey);
    if ('problem' in head) continue;
    return head.size <= range.size ? null : beyondTheEnd(head, { file, range });
  }
  return null;
}

const beyondTheEnd = (
  head: Head,
  { file, range }: { readonly file: string; readonly range: CompactRange },
): StoreFailure => unfit(`it ends at record ${range.size}, but \`${file}\` has a checkpoint of ${head.size} records`);

const unfit = (why: string): StoreFailure =>
  storeFailure(
    'unusable',
    `the ledger is not fit to go on with: ${why}; see what \`remit ledger verify\` says, and move its folder away to begin a new one`,
  );

import { appended, rangeBytes } from '../../core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { isSameHash, leafHash } from '../../core/ledger/proof/merkle.ts';
import { noteKeyText } from '../../core/ledger/proof/note-key.ts';
import type { EmitterHistory } from './emitter-history.ts';
import { remainingOf } from './emitter-verdict.ts';
import type { ReceivedLog } from './received-logs.ts';
import type { EmitterHead } from './record-store.ts';

/**
 * How the emitter file of an authority contradicts its ledger or the records of a log; `null` if it does not. Streams resume from
 * this file, and a log that is open in it may be recorded as lost.
 *
 * @param log `null` if no record of it is here
 */
export function headProblem(
  { emitter: { origin, key, id, range, prev, signed }, state }: EmitterHead,
  history: EmitterHistory | null,
  log: ReceivedLog | null,
): string | null {
  if (history === null) return `has the log \`${origin}\`, which the ledger of the authority does not name`;
  const of = `of \`${origin}\``;
  if (noteKeyText(key) !== noteKeyText(history.key)) return `has another key ${of} than the ledger of the authority`;
  if (id !== history.id) return `has another sidecar ${of} than \`${history.id}\``;
  // After the file was moved away, a log is sent again from its first record: its state may differ until it has caught up.
  if (range.size >= history.kept.size && state !== history.state)
    return `says ${of} that it is ${state}, the ledger of the authority that it is ${history.state}`;
  const { size, signed: least } = history.last;
  if (range.size < size)
    return `has ${range.size} records ${of}, the ledger of the authority says that ${size} are kept`;
  const here = rangeAt(range.size, history, log);
  if (here === null) return `has ${range.size} records ${of}, of which some are not here`;
  if (!isSameHash(rangeBytes(here.range), rangeBytes(range))) return `has a tree ${of} that is not that of its records`;
  if (!isSameHash(here.prev ?? new Uint8Array(), prev ?? new Uint8Array()))
    return `has another hash of the last record ${of} than that record`;
  return signed < least || !areSigned(signed, history, log)
    ? `says that ${signed} records ${of} are under a checkpoint, which they are not`
    : null;
}

/** The tree over the first records, with the hash of the last; `null` if they are not all here. */
function rangeAt(
  size: number,
  history: EmitterHistory,
  log: ReceivedLog | null,
): { readonly range: CompactRange; readonly prev: Uint8Array | null } | null {
  const { carried, entries } = remainingOf(log, history);
  let at: { readonly range: CompactRange; readonly prev: Uint8Array | null } = { range: carried, prev: carried.prev };
  for (const entry of entries()) {
    if (at.range.size >= size) break;
    if (!('seq' in entry)) continue;
    const prev = leafHash(entry.bytes);
    at = { range: appended(at.range, prev), prev };
  }
  return at.range.size === size ? at : null;
}

/** Whether a checkpoint over so many records is here, or may have been deleted with them. */
function areSigned(signed: number, { pruned }: EmitterHistory, log: ReceivedLog | null): boolean {
  if (signed <= (pruned?.size ?? 0)) return true;
  // The second line of a note.
  return [...(log?.stored.checkpoints() ?? [])].some(({ note }) => Number(note.split('\n', 2)[1]) === signed);
}

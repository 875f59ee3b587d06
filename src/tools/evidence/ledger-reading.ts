/** What a report reads of a ledger: its head, its anchors, sampled records with proofs. */
import type { NamedAnchor } from '../../core/ledger/proof/anchor-file.ts';
import { checkpointInNote } from '../../core/ledger/proof/checkpoint.ts';
import { openedAnchors } from '../../core/ledger/proof/head-check.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import type { LedgerRecord } from '../../core/ledger/record.ts';
import { cellsOf } from '../../core/ledger/timeline-text.ts';
import { emitterHistories } from '../../authority/records/emitter-history.ts';
import { emittersIn, provedByKey } from '../../authority/records/named-log.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { proofOf, type ProofOf } from '../../core/ledger/log/proof-of.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { type EvidenceMembers, fieldText } from './record-members.ts';
import { type AnchorSeen, type EvidenceReport, isoOf, type SampledRecord } from './report.ts';
import { type LedgerPlace, type RecordRef, refOf } from './counted.ts';
import { byPlace } from './sample.ts';
import type { Tally } from './tally.ts';

/** The last checkpoint of a log, unverified; `null` if there is none that can be read. */
export function headOf(log: LogReader): EvidenceReport['ledger']['head'] {
  let last: string | null = null;
  for (const { note } of log.checkpoints()) last = note;
  if (last === null) return null;
  const head = checkpointInNote(last);
  return isProblem(head) ? null : { size: head.size, root: Buffer.from(head.root).toString('base64') };
}

/** The anchors with valid signatures, by size. */
export function anchorsSeen(
  anchors: readonly NamedAnchor[],
  keys: readonly NoteKey[],
  origin: string,
): readonly AnchorSeen[] {
  const key = keys.find(({ name }) => name === origin);
  if (key === undefined) return [];
  const opened = openedAnchors(
    anchors.filter((anchor) => anchor.origin === origin),
    key,
  );
  if ('kind' in opened) return [];
  return opened.map(({ size, atMs }) => ({ size, receivedAt: atMs === null ? null : isoOf(atMs) }));
}

const whyNot: Readonly<Record<Exclude<ProofOf['kind'], 'proof'>, string>> = {
  pruned: 'the record was pruned',
  absent: 'the record does not exist',
  unsigned: 'no checkpoint covers the record yet',
  damaged: 'the ledger is damaged',
};

/** The sampled records, each with its proof. */
export function sampledIn(
  log: LogReader,
  { classes }: Tally,
  received: ReadonlyMap<string, ReceivedLog>,
): readonly SampledRecord[] {
  const drawn = new Map<RecordRef, { readonly place: LedgerPlace; readonly of: SampledRecord['classes'][number][] }>();
  for (const { id, sampled } of classes.values()) {
    for (const place of sampled) {
      const known = drawn.get(refOf(place));
      if (known === undefined) drawn.set(refOf(place), { place, of: [id] });
      else known.of.push(id);
    }
  }
  const histories = received.size === 0 ? null : emitterHistories(emittersIn(log));
  return [...drawn.values()]
    .toSorted((a, b) => byPlace(a.place, b.place))
    .map(({ place, of }) => {
      const { seq } = place;
      const home = place.log === null ? undefined : received.get(place.log);
      const proof =
        home === undefined
          ? proofOf(log, seq)
          : provedByKey(log, home, { seq, pruned: histories?.get(home.origin)?.pruned ?? null });
      const bytes = home === undefined ? log.leaves(seq).next().value?.bytes : recordIn(home, seq);
      const read = bytes === undefined ? null : leafFrom(bytes);
      const record = read === null || isProblem(read) ? null : read.record;
      return {
        ref: refOf(place),
        at: record !== null && typeof record['at'] === 'number' ? isoOf(record['at']) : '-',
        classes: of,
        what: record === null ? 'cannot be read' : whatOf(record),
        proof: proof.kind === 'proof' ? proof.text : null,
        why: proof.kind === 'proof' ? null : whyNot[proof.kind],
      };
    });
}

const recordIn = ({ stored }: ReceivedLog, number: number): Uint8Array | undefined => {
  for (const entry of stored.entries()) if ('seq' in entry && entry.seq === number) return entry.bytes;
  return undefined;
};

function whatOf(record: EvidenceMembers): string {
  try {
    // May be of another version: a missing member shows in the text, or ends in the catch below.
    return cellsOf(record as unknown as LedgerRecord)
      .filter((cell) => cell !== '-')
      .join(', ');
  } catch {
    return `a record of kind ${fieldText(record, 'kind') ?? 'unknown'} that this version cannot show`;
  }
}

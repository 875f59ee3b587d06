import type { NamedAnchor } from '../ledger/anchor-file.ts';
import { checkpointFrom } from '../ledger/checkpoint.ts';
import { openedAnchors } from '../ledger/head-check.ts';
import { leafFrom } from '../ledger/leaf.ts';
import type { NoteKey } from '../ledger/note-key.ts';
import type { LedgerRecord } from '../ledger/record.ts';
import { cellsOf } from '../ledger/timeline-text.ts';
import { emitterHistories } from '../ledger/received/emitter-history.ts';
import { emittersIn, provedByKey } from '../ledger/received/named-log.ts';
import type { ReceivedLog } from '../ledger/received/received-logs.ts';
import { foundInReceived } from '../ledger/received/received-search.ts';
import { keptPolicies, type KeptPolicies } from '../ledger/log/kept-policies.ts';
import type { LogReader } from '../ledger/log/log-reader.ts';
import { proofOf, type ProofOf } from '../ledger/log/proof-of.ts';
import { isProblem, type Problem } from '../runtime/problem.ts';
import { type RecordMembers, fieldText } from './evidence-class.ts';
import { type AnchorSeen, type EvidenceReport, isoOf, type PolicySetSeen, type SampledRecord } from './report.ts';
import { type LedgerPlace, type RecordRef, refOf } from './counted.ts';
import { byPlace } from './sample.ts';
import type { Tally } from './tally.ts';

/** A ledger, and the logs of sidecars that are read with it, by origin. */
export interface ReadLogs {
  readonly log: LogReader;
  readonly received: ReadonlyMap<string, ReceivedLog>;
}

/** The last checkpoint of a log, unverified; `null` where there is none that can be read. */
export function headOf(log: LogReader): EvidenceReport['ledger']['head'] {
  let last: string | null = null;
  for (const { note } of log.checkpoints()) last = note;
  if (last === null) return null;
  const head = checkpointFrom(last.slice(0, last.indexOf('\n\n') + 1));
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

function whatOf(record: RecordMembers): string {
  try {
    // May be of another version: a missing member shows in the text, or ends in the catch below.
    return cellsOf(record as unknown as LedgerRecord)
      .filter((cell) => cell !== '-')
      .join(', ');
  } catch {
    return `a record of kind ${fieldText(record, 'kind') ?? 'unknown'} that this version cannot show`;
  }
}

const MAX_LOADS = 1_000;
/** Most policy text in one report; files beyond it are listed with their size only. */
const MAX_TEXT_BYTES = 2 * 1024 ** 2;

/** The policy sets that decided in a period or took effect in it, with their loads up to its end. */
export async function policySetsIn(
  { log, folder, received }: ReadLogs & { readonly folder: string },
  { counts, fromMs, toMs }: { readonly counts: Tally; readonly fromMs: number; readonly toMs: number },
): Promise<readonly PolicySetSeen[]> {
  const loads = new Map<string, PolicySetSeen['loads'][number][]>();
  const inPeriod = new Set<string>(counts.policySets.named.map(({ name }) => name));
  const filter = { kind: 'policy', untilMs: toMs };
  const order = { isNewestFirst: true, limit: MAX_LOADS };
  const own = log.found(filter, order).take(MAX_LOADS);
  const others = foundInReceived(received.values(), filter, order);
  for (const { bytes, ref } of [
    ...own.map(({ seq, bytes: each }) => ({ ref: refOf({ log: null, seq }), bytes: each })),
    ...others.map(({ log: home, seq, bytes: each }) => ({ ref: refOf({ log: home, seq }), bytes: each })),
  ]) {
    const leaf = leafFrom(bytes);
    const hash = isProblem(leaf) ? null : fieldText(leaf.record, 'policySet');
    if (isProblem(leaf) || hash === null) continue;
    const { at } = leaf.record;
    if (typeof at !== 'number') continue;
    if (at >= fromMs) inPeriod.add(hash);
    const load = {
      ref,
      at: isoOf(at),
      origin: originText(leaf.record),
      by: fieldText(leaf.record, 'by') ?? 'not recorded',
    };
    loads.set(hash, [load, ...(loads.get(hash) ?? [])]);
  }
  let room = MAX_TEXT_BYTES;
  const seen: PolicySetSeen[] = [];
  for (const hash of inPeriod) {
    const kept = await keptPolicies(folder, hash);
    const files = kept === null || isProblem(kept) ? [] : filesOf(kept, room);
    room -= files.reduce((sum, { bytes, text }) => sum + (text === null ? 0 : bytes), 0);
    const decisions = counts.policySets.named.find(({ name }) => name === hash)?.count ?? 0;
    seen.push({ hash, decisions, loads: loads.get(hash) ?? [], text: textState(kept), files });
  }
  return seen;
}

function originText(record: RecordMembers): string {
  const { origin } = record;
  if (typeof origin !== 'object' || origin === null || Array.isArray(origin)) return 'from where is not recorded';
  const of = origin as RecordMembers;
  if (fieldText(of, 'kind') === 'folder')
    return `from the folder ${fieldText(of, 'folder') ?? '?'}, which is not signed`;
  const name = fieldText(of, 'name');
  const named = name === null ? '' : `, named ${name}`;
  return `from ${fieldText(of, 'from') ?? '?'}${named}, version ${fieldText(of, 'version') ?? '?'}, serial ${JSON.stringify(of['serial'] ?? null)}, signed under ${signersText(of)}`;
}

/** Earlier versions recorded one `keyId`. */
function signersText(of: RecordMembers): string {
  const { signers } = of;
  const names = Array.isArray(signers) ? signers.filter((name) => typeof name === 'string') : [];
  if (names.length > 1) return `the keys ${names.join(', ')}`;
  return `the key ${names[0] ?? fieldText(of, 'keyId') ?? 'without an id'}`;
}

function textState(kept: KeptPolicies | Problem | null): string {
  if (kept === null) return 'not kept beside this ledger';
  return isProblem(kept) ? `not believed: it ${kept.problem}` : 'kept, and it has this hash';
}

function filesOf(kept: KeptPolicies, room: number): PolicySetSeen['files'] {
  let left = room;
  return [kept.catalog, kept.schema, ...kept.entities, ...kept.policies].map(({ name, text }) => {
    const bytes = Buffer.byteLength(text);
    const fits = bytes <= left;
    if (fits) left -= bytes;
    return { name, bytes, text: fits ? text : null };
  });
}

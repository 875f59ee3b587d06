import { printable } from '../../core/ledger/timeline-text.ts';
import type { EmitterVerdict } from '../../authority/records/emitter-verdict.ts';
import type { LostRecords } from '../../core/ledger/relayed.ts';
import type { WitnessReach } from '../../core/ledger/proof/witnessed.ts';
import { recordsText } from '../../core/ledger/proof/verdict.ts';
import type { RecordRange, RelayedRecords, Sound, Verdict } from '../../core/ledger/proof/verdict.ts';

/** The verdict on a ledger. */
export interface LedgerVerdict {
  /** Its folder or file; `null` if it is known only from anchors. */
  readonly ledger: string | null;
  /** Empty if it cannot be read. */
  readonly origin: string;
  readonly verdict: Verdict;
  /**
   * Whether an anchor covers a record that is here; absent if none was named for this ledger, and for a broken ledger. Anchors of
   * pruned records are compared with nothing: the holder of the ledger's key may have rewritten all that is left.
   */
  readonly isAnchored?: boolean;
  /** What the named witnesses say of it; absent if none was named, and for a broken ledger. */
  readonly witnessed?: {
    readonly reach: readonly WitnessReach[];
    /** Records that as many witnesses as `quorum` have cosigned. */
    readonly size: number;
    readonly quorum: number;
    /**
     * Whether the checkpoint of that size was compared with the records that are here. A checkpoint of pruned records cannot be
     * compared: the holder of the ledger's key may have rewritten all that is left.
     */
    readonly isCompared: boolean;
    /** Signed or anchored records beyond `size`. */
    readonly following: number;
  };
}

/** Whether too few of the named witnesses have cosigned a checkpoint that could be compared with the ledger. */
export const isUnwitnessed = ({ witnessed }: Pick<LedgerVerdict, 'witnessed'>): boolean =>
  witnessed?.isCompared === false;

/** Whether anchors were named for the ledger, and cover none of its records. */
export const isUnanchored = ({ isAnchored }: Pick<LedgerVerdict, 'isAnchored'>): boolean => isAnchored === false;

/** What was found of the received logs, for people: a block per log, those with a problem first. */
export const emitterLines = (verdicts: readonly EmitterVerdict[]): readonly string[] =>
  verdicts
    .toSorted((a, b) => Number(b.verdict.kind === 'broken') - Number(a.verdict.kind === 'broken'))
    .flatMap(emitterBlock)
    .map(printable);

function emitterBlock({
  origin,
  id,
  state,
  atMs,
  anchored,
  received,
  pruned,
  missing,
  links,
  unlinked,
  verdict,
}: EmitterVerdict): readonly string[] {
  const [, ...outcome] = blockOf({ ledger: null, origin: '', verdict });
  return [
    '',
    line('received', origin),
    line('sidecar', id === '' ? 'not known' : id),
    line('state', `${stateText[state]}${atMs === null ? '' : `, recorded at ${new Date(atMs).toISOString()}`}`),
    line('counted', `${anchored} anchored, ${received} received, ${prunedText(pruned)}${missing} missing`),
    ...(links === 0 ? [] : [line('linked', `${links} uses of high risk, ${unlinked} of them in no ledger here`)]),
    ...outcome,
  ];
}

const prunedText = (pruned: number): string => (pruned === 0 ? '' : `${pruned} deleted by the retention, `);

const stateText: Readonly<Record<EmitterVerdict['state'], string>> = {
  open: 'open',
  left: 'left with all of its records',
  lost: 'LOST: it may have made records that were never received',
  unknown: 'not known',
};

/** The records of databases that no ledger here has, for people. */
export const lostLines = (lost: readonly LostRecords[]): readonly string[] =>
  lost
    .flatMap(({ database, records }) => [
      '',
      line('database', database),
      line(
        'verdict',
        `MISSING: ${recordsText(records)} in none of these ledgers: name those of the other authorities too`,
      ),
    ])
    .map(printable);

/** Verdicts for people: a block per ledger. */
export const verdictLines = (verdicts: readonly LedgerVerdict[]): readonly string[] =>
  verdicts.flatMap((found, index) => [...(index === 0 ? [] : ['']), ...blockOf(found)]).map(printable);

function blockOf(found: LedgerVerdict): readonly string[] {
  const { ledger, origin, verdict } = found;
  const head = [line('ledger', ledger ?? 'not here'), ...(origin === '' ? [] : [line('origin', origin)])];
  if (verdict.kind === 'sound') return [...head, ...soundLines(verdict, found)];
  const { part, at, problem } = verdict;
  const where = part === 'record' && at !== null ? ` at record ${at}` : '';
  const what = part === 'record' ? `it ${problem}` : problem;
  return [...head, line('verdict', `BROKEN${where}: ${what}`)];
}

function soundLines(sound: Sound, found: LedgerVerdict): readonly string[] {
  const { witnessed } = found;
  const { size, pruned, prunedBy, anchored, signed, bare, unchecked, remarks, remarkCount, relayed = [] } = sound;
  return [
    line('records', `${size}${pruned === 0 ? '' : `, the first ${pruned} of them pruned${prunedByText(prunedBy)}`}`),
    line('anchored', rangeText(anchored)),
    line('signed', rangeText(signed)),
    line('bare', rangeText(bare)),
    ...(unchecked === 0 ? [] : [line('unchecked', `${unchecked} heads of pruned records`)]),
    ...remarks.map(({ seq, remark }) => line('remark', `record ${seq}: ${remark}`)),
    ...(remarkCount > remarks.length ? [line('remark', `and ${remarkCount - remarks.length} more`)] : []),
    ...relayed.map((of) => line('database', relayedText(of))),
    ...(witnessed?.reach ?? []).map((witness) => line('witness', reachText(witness))),
    ...(witnessed?.isCompared === true ? [line('cosigned', cosignedText(witnessed))] : []),
    line('verdict', verdictText(sound, found)),
  ];
}

function verdictText({ bare, pruned }: Sound, found: LedgerVerdict): string {
  const { witnessed } = found;
  if (isUnanchored(found)) {
    const why = pruned === 0 ? '' : `: they are of the first ${pruned}, which are pruned`;
    return `sound, and the anchors cover none of the records here${why}`;
  }
  if (witnessed === undefined || !isUnwitnessed({ witnessed }))
    return bare === null ? 'whole' : 'sound, with a bare tail';
  return witnessed.size === 0
    ? `sound, and cosigned by fewer than ${witnessed.quorum} of the witnesses`
    : 'sound, and what the witnesses have cosigned is pruned: no cosignature was compared with the records here';
}

/** How far the quorum reaches, and how many records only the ledger's own key or an anchor covers after that. */
const cosignedText = ({ size, quorum, following }: NonNullable<LedgerVerdict['witnessed']>): string => {
  const rest = following === 1 ? '1 signed record follows' : `${following} signed records follow`;
  return `1 to ${size} by ${quorum} of the witnesses${following === 0 ? '' : `; ${rest}`}`;
};

const reachText = ({ name, size, atSeconds }: WitnessReach): string =>
  `${name}: ${atSeconds === null ? 'nothing' : `records 1 to ${size}, at ${timeText(atSeconds)}`}`;

/** The time in a cosignature, which may be any number. */
const timeText = (atSeconds: number): string => {
  const at = new Date(atSeconds * 1_000);
  return Number.isNaN(at.getTime()) ? `${atSeconds} s` : at.toISOString();
};

const relayedText = ({ database, missing, to }: RelayedRecords): string => {
  const without = missing.length === 0 ? '' : `, without ${missing.map(rangeText).join(', ')}`;
  return `records 1 to ${to} of ${database}${without}`;
};

/** Records of a sidecar are pruned by a record in the ledger of its authority. */
const prunedByText = (prunedBy: number | null): string => (prunedBy === null ? '' : ` by record ${prunedBy}`);

const rangeText = (records: RecordRange | null): string =>
  records === null ? 'none' : records.from === records.to ? `${records.from}` : `${records.from} to ${records.to}`;

const line = (name: string, text: string): string => `${name.padEnd(9)}  ${text}`;

import { printable } from '../ledger/timeline-text.ts';
import type { Records, Sound, Verdict } from '../ledger/verdict.ts';

/** The verdict on one ledger. */
export interface LedgerVerdict {
  /** Its folder or file; `null` where it is known only from anchors. */
  readonly ledger: string | null;
  /** Empty where it cannot be read. */
  readonly origin: string;
  readonly verdict: Verdict;
}

/** Verdicts for people: a block per ledger. */
export const verdictLines = (verdicts: readonly LedgerVerdict[]): readonly string[] =>
  verdicts.flatMap((found, index) => [...(index === 0 ? [] : ['']), ...blockOf(found)]).map(printable);

function blockOf({ ledger, origin, verdict }: LedgerVerdict): readonly string[] {
  const head = [line('ledger', ledger ?? 'not here'), ...(origin === '' ? [] : [line('origin', origin)])];
  if (verdict.kind === 'sound') return [...head, ...soundLines(verdict)];
  const { part, at, problem } = verdict;
  const where = part === 'record' && at !== null ? ` at record ${at}` : '';
  const what = part === 'record' ? `it ${problem}` : problem;
  return [...head, line('verdict', `BROKEN${where}: ${what}`)];
}

function soundLines(sound: Sound): readonly string[] {
  const { size, pruned, prunedBy, anchored, signed, bare, unchecked, remarks, remarkCount } = sound;
  return [
    line('records', `${size}${pruned === 0 ? '' : `, the first ${pruned} of them pruned by record ${prunedBy}`}`),
    line('anchored', rangeText(anchored)),
    line('signed', rangeText(signed)),
    line('bare', rangeText(bare)),
    ...(unchecked === 0 ? [] : [line('unchecked', `${unchecked} heads of pruned records`)]),
    ...remarks.map(({ seq, remark }) => line('remark', `record ${seq}: ${remark}`)),
    ...(remarkCount > remarks.length ? [line('remark', `and ${remarkCount - remarks.length} more`)] : []),
    line('verdict', bare === null ? 'whole' : 'sound, with a bare tail'),
  ];
}

const rangeText = (records: Records | null): string =>
  records === null ? 'none' : records.from === records.to ? `${records.from}` : `${records.from} to ${records.to}`;

const line = (name: string, text: string): string => `${name.padEnd(9)}  ${text}`;

/** The sections of a report about the ledger, and the logs of sidecars. */
import type { RecordRange, Verdict } from '../../../core/ledger/proof/verdict.ts';
import type { EvidenceReport, ReceivedSeen } from '../report.ts';
import { type Block, code, heading, type Line, list, table, textBlock } from './block.ts';

/** The verdict on the ledger, with its head and its anchors. */
export function evidenceOfLedger({ ledger }: EvidenceReport): readonly Block[] {
  const { verdict, leftOut, head, anchors } = ledger;
  const last = anchors.at(-1);
  const received =
    last?.receivedAt === null ? 'nobody noted when it was received' : `received ${last?.receivedAt ?? ''}`;
  return [
    heading(2, 'Ledger'),
    list(
      ['origin: ', code(ledger.origin), ', verified with the key ', code(ledger.keyId)],
      [`verdict: ${verdictText(verdict)}`],
      verdict.kind === 'sound'
        ? [rangesOf(verdict)]
        : ['counted: only the records that were read before what is wrong was found'],
      ...(leftOut === 0
        ? []
        : [[`left out: ${leftOut} records of the period that no checkpoint and no anchor covers yet`]]),
      head === null ? ['head: no checkpoint yet'] : [`head: ${head.size} records, root `, code(head.root)],
      [
        last === undefined
          ? 'anchors: none were given'
          : `anchors: ${anchors.length}, the last of ${last.size} records, ${received}`,
      ],
      ...(verdict.kind === 'sound'
        ? verdict.remarks.map(({ seq, remark }): Line => [`remark: record ${seq}: ${remark}`])
        : []),
    ),
  ];
}

/** The logs of sidecars, those that need a look first. */
export function receivedSection({ received }: EvidenceReport): readonly Block[] {
  if (received === null) return [];
  const rows = received.toSorted((a, b) => Number(needsLook(b)) - Number(needsLook(a)));
  const head = ['log', 'sidecar', 'state', 'counted', 'deleted by the retention', 'missing', 'verdict'];
  return [
    heading(2, 'Logs of sidecars'),
    textBlock(
      'Each is verified by what the ledger says of it: its key, its checkpoints, and how many of its records were kept.',
    ),
    table(head, rows, (of) => [
      [of.origin],
      [of.id],
      [of.state === 'lost' ? 'LOST: what it had not sent is gone' : of.state],
      [of.counted.map(rangeText).join(', ') || 'none'],
      [String(of.pruned)],
      [String(of.missing)],
      [verdictText(of.verdict)],
    ]),
  ];
}

const needsLook = ({ state, missing, verdict }: ReceivedSeen): boolean =>
  state === 'lost' || missing > 0 || verdict.kind === 'broken';

const rangesOf = ({ anchored, signed, bare, pruned }: Extract<Verdict, { kind: 'sound' }>): string =>
  `anchored: ${rangeText(anchored)}; signed: ${rangeText(signed)}; bare: ${rangeText(bare)}; pruned: ${pruned}`;

const rangeText = (records: RecordRange | null): string =>
  records === null ? 'none' : `${records.from} to ${records.to}`;

/** The verdict as a clause. */
export function verdictText(verdict: Verdict): string {
  if (verdict.kind === 'sound') return verdict.bare === null ? 'whole' : 'sound, with a bare tail';
  const { part, at, problem } = verdict;
  return `BROKEN (${part}${at === null ? '' : ` ${at}`}): ${problem}. Nothing below can be relied on beyond that`;
}

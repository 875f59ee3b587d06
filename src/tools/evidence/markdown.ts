import { printable } from '../../core/ledger/timeline-text.ts';
import { fatesText } from '../../core/ledger/use-fates.ts';
import type { RecordRange, Verdict } from '../../core/ledger/proof/verdict.ts';
import { refOf } from './counted.ts';
import { isoOf, type ControlEvidence, type EvidenceReport, type NamedCount, type ReceivedSeen } from './report.ts';

/** Most rows of a table of names; the JSON report has all. */
const MAX_ROWS = 50;

/** A report in Markdown. */
export const markdownOf = (report: EvidenceReport): string =>
  [
    ...headOf(report),
    ...ledgerOf(report),
    ...receivedOf(report),
    ...classesIn(report),
    ...usesOf(report),
    ...overviewOf(report),
    ...report.controls.flatMap(controlOf),
    ...policiesOf(report),
    ...namesOf('Who acted', 'by', report.actors),
    ...namesOf('Agents', 'agent', report.agents),
    ...namesOf('Actions', 'action', report.actions),
    ...argumentsOf(report),
    ...sampleOf(report),
    '## Limits',
    '',
    ...report.limits.map((limit) => `- ${limit}`),
    '',
  ].join('\n');

function headOf({ framework, from, to, madeAt, madeBy, observed, records }: EvidenceReport): readonly string[] {
  return [
    `# Evidence for ${framework.title} ${framework.version}`,
    '',
    `- period: ${from} to ${to}, end exclusive`,
    `- records in it: ${records.count}${records.first === null || records.last === null ? '' : `, ${refOf(records.first)} (${isoOf(records.first.at)}) to ${refOf(records.last)} (${isoOf(records.last.at)})`}`,
    ...(observed.count === 0 ? [] : [`- only observed, let through by no policy: ${observed.count} calls`]),
    `- controls as in: ${framework.source}`,
    `- made: ${madeAt} by ${cell(madeBy)}`,
    '',
    'It provides evidence for controls; it states no conformity.',
    '',
  ];
}

function ledgerOf({ ledger }: EvidenceReport): readonly string[] {
  const last = ledger.anchors.at(-1);
  return [
    '## Ledger',
    '',
    `- origin: \`${cell(ledger.origin)}\`, verified with the key \`${cell(ledger.keyId)}\``,
    `- verdict: ${cell(verdictText(ledger.verdict))}`,
    ...(ledger.verdict.kind === 'sound'
      ? rangesOf(ledger.verdict)
      : ['- counted: only the records that were read before what is wrong was found']),
    `- head: ${ledger.head === null ? 'no checkpoint yet' : `${ledger.head.size} records, root \`${ledger.head.root}\``}`,
    `- anchors: ${last === undefined ? 'none were given' : `${ledger.anchors.length}, the last of ${last.size} records, ${last.receivedAt === null ? 'nobody noted when it was received' : `received ${last.receivedAt}`}`}`,
    ...(ledger.verdict.kind === 'sound'
      ? ledger.verdict.remarks.map(({ seq, remark }) => `- remark: record ${seq}: ${cell(remark)}`)
      : []),
    '',
  ];
}

function receivedOf({ received }: EvidenceReport): readonly string[] {
  if (received === null) return [];
  const rows = received.toSorted((a, b) => Number(needsLook(b)) - Number(needsLook(a)));
  return [
    '## Logs of sidecars',
    '',
    'Each is verified by what the ledger says of it: its key, its checkpoints, and how many of its records were kept.',
    '',
    '| log | sidecar | state | counted | deleted by the retention | missing | verdict |',
    '|---|---|---|---|---|---|---|',
    ...rows.slice(0, MAX_ROWS).map((of) => {
      const state = of.state === 'lost' ? 'LOST: what it had not sent is gone' : of.state;
      return `| ${cell(of.origin)} | ${cell(of.id)} | ${state} | ${of.counted.map(rangeText).join(', ') || 'none'} | ${of.pruned} | ${of.missing} | ${cell(verdictText(of.verdict))} |`;
    }),
    ...(rows.length > MAX_ROWS ? [`| ${rows.length - MAX_ROWS} more | | | | | | |`] : []),
    '',
  ];
}

const needsLook = ({ state, missing, verdict }: ReceivedSeen): boolean =>
  state === 'lost' || missing > 0 || verdict.kind === 'broken';

const rangesOf = ({ anchored, signed, bare, pruned }: Extract<Verdict, { kind: 'sound' }>): readonly string[] => [
  `- anchored: ${rangeText(anchored)}; signed: ${rangeText(signed)}; bare: ${rangeText(bare)}; pruned: ${pruned}`,
];

const rangeText = (records: RecordRange | null): string =>
  records === null ? 'none' : `${records.from} to ${records.to}`;

/** The verdict as a clause. */
export function verdictText(verdict: Verdict): string {
  if (verdict.kind === 'sound') return verdict.bare === null ? 'whole' : 'sound, with a bare tail';
  const { part, at, problem } = verdict;
  return `BROKEN (${part}${at === null ? '' : ` ${at}`}): ${problem}. Nothing below can be relied on beyond that`;
}

const classesIn = ({ classes }: EvidenceReport): readonly string[] => [
  '## All of the period, by class of evidence',
  '',
  '| class | what | records | exceptions |',
  '|---|---|---|---|',
  ...classes.map((of) => `| ${of.id} | ${of.title} | ${of.count} | ${exceptionsText(of, MAX_ROWS)} |`),
  '',
];

const usesOf = ({ uses }: EvidenceReport): readonly string[] => [
  '## What became of allowed calls',
  '',
  "Allowed is not executed. By Envoy's access log, joined by decision id:",
  '',
  `- ${fatesText(uses)}`,
  '',
];

const overviewOf = ({ controls }: EvidenceReport): readonly string[] => [
  '## Controls',
  '',
  '| control | Remit | this period | records by class | exceptions |',
  '|---|---|---|---|---|',
  ...controls.map(
    (control) =>
      `| ${cell(control.id)} | ${control.coverage} | ${control.state} | ${control.enforced.map(({ id, count }) => `${id} ${count}`).join(', ') || '-'} | ${exceptionsText(control, 3)} |`,
  ),
  '',
];

function controlOf(control: ControlEvidence): readonly string[] {
  const { id, title, coverage, state, limit, enforced, first, last, sample, aliases } = control;
  return [
    `### ${cell(id)}: ${cell(title)}`,
    '',
    ...aliases.map((alias) => `- also asked for as ${cell(alias.id)} (${cell(alias.source)})`),
    `- ${coverage === 'none' ? 'no evidence' : coverage}: ${state}`,
    ...enforced.map((each) => `- ${each.id} ${each.title} (records: ${each.count}): ${each.shows}`),
    ...(coverage === 'none' ? [] : [`- exceptions: ${exceptionsText(control, MAX_ROWS)}`, ...decidedBy(control)]),
    ...(first === null || last === null
      ? []
      : [`- first ${first.at} (record ${first.ref}), last ${last.at} (record ${last.ref})`]),
    ...(sample.length === 0 ? [] : [`- sample: records ${sample.join(', ')}`]),
    `- limit: ${limit}`,
    '',
  ];
}

/** Which policies decided, and whether any of them restricted what it allowed. */
function decidedBy({ policies, allowed, unrestricted }: ControlEvidence): readonly string[] {
  if (policies.length === 0) return [];
  const named = policies.slice(0, MAX_ROWS).map(({ id, set, count, isOpen }) => {
    const what = isOpen === null ? ', its text is not here' : isOpen ? ', **permits everything**' : '';
    return `${cell(id)} ${count} (set \`${cell(set.slice(0, SET_LETTERS))}\`${what})`;
  });
  const more = policies.length > named.length ? [`${policies.length - named.length} more`] : [];
  return [
    `- decided by: ${[...named, ...more].join(', ')}`,
    ...(unrestricted === 0
      ? []
      : [`- **not restricted**: a permit without scope and conditions allowed ${unrestricted} of ${allowed} calls`]),
  ];
}

/** Enough of a hash to find the set below. */
const SET_LETTERS = 16;

const exceptionsText = ({ exceptions }: Pick<ControlEvidence, 'exceptions'>, max: number): string =>
  exceptions.length === 0
    ? 'none'
    : [
        ...exceptions.slice(0, max).map(({ code, count }) => `${cell(code)} ${count}`),
        ...(exceptions.length > max ? [`${exceptions.length - max} more`] : []),
      ].join(', ');

function policiesOf({ policySets }: EvidenceReport): readonly string[] {
  return [
    '## Policies',
    '',
    ...(policySets.length === 0 ? ['none', ''] : []),
    ...policySets.flatMap(({ hash, decisions, loads, text, files }) => [
      `### Set \`${cell(hash)}\``,
      '',
      `- decisions by it in the period: ${decisions}`,
      ...loads.map(({ ref, at, origin, by }) => `- in force ${at} (record ${ref}), ${cell(origin)}, by ${cell(by)}`),
      `- text: ${cell(text)}`,
      '',
      ...files.flatMap((file) =>
        file.text === null
          ? [`\`${cell(file.name)}\`, ${file.bytes} bytes`, '']
          : [`\`${cell(file.name)}\`, ${file.bytes} bytes:`, '', ...fenced(file.text), ''],
      ),
    ]),
  ];
}

const namesOf = (title: string, column: string, rows: readonly NamedCount[]): readonly string[] => [
  `## ${title}`,
  '',
  ...(rows.length === 0
    ? ['none']
    : [
        `| ${column} | records | first | last |`,
        '|---|---|---|---|',
        ...rows
          .slice(0, MAX_ROWS)
          .map(({ name, count, first, last }) => `| ${cell(name)} | ${count} | ${first ?? '-'} | ${last ?? '-'} |`),
        ...(rows.length > MAX_ROWS ? [`| ${rows.length - MAX_ROWS} more | | | |`] : []),
      ]),
  '',
];

const argumentsOf = ({ args }: EvidenceReport): readonly string[] => [
  '## Recorded arguments of allowed calls',
  '',
  ...(args.length === 0
    ? ['none: the catalog marks them `record: true`']
    : [
        '| action | argument | calls | sum | largest |',
        '|---|---|---|---|---|',
        ...args
          .slice(0, MAX_ROWS)
          .map(
            ({ action, argument, uses, sum, largest }) =>
              `| ${cell(action)} | ${cell(argument)} | ${uses} | ${sum ?? '-'} | ${largest ?? '-'} |`,
          ),
        ...(args.length > MAX_ROWS ? [`| ${args.length - MAX_ROWS} more | | | | |`] : []),
      ]),
  '',
];

const sampleOf = ({ sample, seed }: EvidenceReport): readonly string[] => [
  '## Sample',
  '',
  `Drawn with the seed \`${cell(seed.text)}\`${seed.isGiven ? '' : ', the root of the head'}: for each class of evidence the records of the period whose`,
  'SHA-256 over seed, line feed and record number (as in its heading) is lowest. Save a proof to a file and check it with `remit ledger check-proof FILE --key VKEY`.',
  '',
  ...sample.flatMap(({ ref, at, classes, what, proof, why }) => [
    `### Record ${ref}`,
    '',
    `- ${at}, for ${classes.join(', ')}: ${cell(what)}`,
    ...(proof === null ? [`- no proof: ${cell(why ?? '')}`, ''] : ['', ...fenced(proof), '']),
  ]),
];

/** A fenced block whose fence is longer than any in the text. */
function fenced(text: string): readonly string[] {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return [`${fence}text`, ...text.trimEnd().split('\n').map(printable), fence];
}

/** Record text inside a line or a table cell: it can neither end it nor become markup. */
const cell = (text: string): string =>
  printable(text).replaceAll(/[\\|`<>*_[\]]/g, (mark) => (mark === '_' ? mark : `\\${mark}`));

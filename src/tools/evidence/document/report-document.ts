import { fatesText } from '../../../core/ledger/use-fates.ts';
import { refOf } from '../counted.ts';
import { isoOf, type EvidenceReport, type NamedCount } from '../report.ts';
import {
  type Block,
  code,
  heading,
  type Line,
  list,
  listBlock,
  MAX_TABLE_ROWS,
  prose,
  table,
  textBlock,
} from './block.ts';
import { controlSection, exceptionsLine } from './control-section.ts';
import { heldExceptionsSection, oversightSection } from './people-sections.ts';
import { evidenceOfLedger, receivedSection } from './ledger-sections.ts';
import { policySections } from './policy-sections.ts';

/** A report as blocks. */
export const documentOf = (report: EvidenceReport): readonly Block[] => [
  ...headOf(report),
  ...evidenceOfLedger(report),
  ...receivedSection(report),
  heading(2, 'All of the period, by class of evidence'),
  table(['class', 'what', 'records', 'exceptions'], report.classes, (of) => [
    [of.id],
    [of.title],
    [String(of.count)],
    exceptionsLine(of, MAX_TABLE_ROWS),
  ]),
  heading(2, 'What became of allowed calls'),
  textBlock("Allowed is not executed. By Envoy's access log, joined by decision id:"),
  list([fatesText(report.uses)]),
  ...overviewOf(report),
  ...report.controls.flatMap(controlSection),
  ...oversightSection(report),
  ...heldExceptionsSection(report),
  ...policySections(report),
  ...namesOf('Who acted', 'by', report.actors),
  ...namesOf('Agents', 'agent', report.agents),
  ...namesOf('Actions', 'action', report.actions),
  ...argumentsOf(report),
  ...sampleOf(report),
  heading(2, 'Limits'),
  list(...report.limits.map(prose)),
];

function headOf({ framework, from, to, madeAt, madeBy, observed, records }: EvidenceReport): readonly Block[] {
  const { count, first, last } = records;
  const range =
    first === null || last === null
      ? ''
      : `, ${refOf(first)} (${isoOf(first.at)}) to ${refOf(last)} (${isoOf(last.at)})`;
  return [
    heading(1, `Evidence for ${framework.title} ${framework.version}`),
    list(
      [`period: ${from} to ${to}, end exclusive`],
      [`records in it: ${count}${range}`],
      ...(observed.count === 0 ? [] : [[`only observed, let through by no policy: ${observed.count} calls`]]),
      [`controls as in: ${framework.source} (published ${framework.date})`],
      [`made: ${madeAt} by ${madeBy}`],
    ),
    textBlock('It provides evidence for controls; it states no conformity.'),
  ];
}

const overviewOf = ({ controls }: EvidenceReport): readonly Block[] => [
  heading(2, 'Controls'),
  table(['control', 'Remit', 'this period', 'records by class', 'exceptions'], controls, (control) => [
    [control.id],
    [control.coverage],
    [control.state],
    control.enforced.length === 0
      ? ['-']
      : listBlock(control.enforced, MAX_TABLE_ROWS, ({ id, count }) => [`${id} ${count}`]),
    exceptionsLine(control, 3),
  ]),
];

const namesOf = (title: string, column: string, rows: readonly NamedCount[]): readonly Block[] => [
  heading(2, title),
  table([column, 'records', 'first', 'last'], rows, ({ name, count, first, last }) => [
    [name],
    [String(count)],
    [first ?? '-'],
    [last ?? '-'],
  ]),
];

const argumentsOf = ({ args }: EvidenceReport): readonly Block[] => [
  heading(2, 'Recorded arguments of allowed calls'),
  args.length === 0
    ? textBlock('none: the catalog marks them ', code('record: true'))
    : table(['action', 'argument', 'calls', 'sum', 'largest'], args, ({ action, argument, uses, sum, largest }) => [
        [action],
        [argument],
        [String(uses)],
        [sum ?? '-'],
        [String(largest ?? '-')],
      ]),
];

const sampleOf = ({ sample, seed }: EvidenceReport): readonly Block[] => [
  heading(2, 'Sample'),
  textBlock(
    'Drawn with the seed ',
    code(seed.text),
    `${seed.isGiven ? '' : ', the root of the head'}: for each class of evidence the records of the period whose SHA-256 over seed, line feed and record number (as in its heading) is lowest. Save a proof to a file and check it with `,
    code('remit ledger check-proof FILE --key VKEY'),
    '.',
  ),
  ...sample.flatMap(({ ref, at, classes, what, proof, why }): readonly Block[] => {
    const about: Line = [`${at}, for ${classes.join(', ')}: ${what}`];
    return [
      heading(3, `Record ${ref}`),
      list(...(proof === null ? [about, [`no proof: ${why ?? ''}`]] : [about])),
      ...(proof === null ? [] : [{ kind: 'code', text: proof } as const]),
    ];
  }),
];

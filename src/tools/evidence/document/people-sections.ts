/** The sections of a report about what people did and answer for. */
import type { HeldException } from '../held-exceptions.ts';
import { type EvidenceReport, isoOf } from '../report.ts';
import { type Block, heading, table, textBlock } from './block.ts';

/** Acts of operators, and signatures of policy sets. */
export const oversightSection = ({ oversight }: EvidenceReport): readonly Block[] => [
  heading(2, 'Oversight by people'),
  textBlock(
    'Acts of operators, and keys that signed a set which came into force. A SPIFFE ID or a key may be that of a machine. Approvals of single calls are not recorded.',
  ),
  table(['act', 'by', 'records', 'first', 'last'], oversight, ({ act, name, count, first, last }) => [
    [act],
    [name],
    [String(count)],
    [first ?? '-'],
    [last ?? '-'],
  ]),
];

/** Exceptions with owner and end. */
export const heldExceptionsSection = ({ heldExceptions }: EvidenceReport): readonly Block[] => [
  heading(2, 'Exceptions, with owner and end'),
  table(
    ['exception', 'id', 'about', 'owner', 'because', 'end', 'calls let through'],
    heldExceptions,
    ({ kind, id, about, owner, because, calls, ...rest }) => [
      [kind],
      [id],
      [about],
      [owner ?? 'NONE NAMED'],
      [because ?? 'no reason given'],
      [endText(rest)],
      [calls === null ? 'not counted' : String(calls)],
    ],
  ),
];

const endText = ({ untilMs, isOver }: Pick<HeldException, 'untilMs' | 'isOver'>): string =>
  untilMs === null ? 'NONE KNOWN' : `${isoOf(untilMs)}${isOver ? ', over' : ''}`;

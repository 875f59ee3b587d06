import { fatesText } from '../../../core/ledger/use-fates.ts';
import { shortHash } from '../control-state.ts';
import type { ControlEvidence } from '../report.ts';
import type { DecidingPolicy } from '../class-count.ts';
import { type Block, code, heading, type Line, list, listBlock, MAX_TABLE_ROWS, prose, strong } from './block.ts';

/** Most denied actions that are named for one policy. */
const MAX_ACTIONS = 5;

/** A control with its evidence. */
export function controlSection(control: ControlEvidence): readonly Block[] {
  const { id, title, coverage, state, gaps, limit, enforced, first, last, sample, aliases } = control;
  return [
    heading(3, `${id}: ${title}`),
    list(
      ...aliases.map((alias): Line => [`also asked for as ${alias.id} (${alias.source})`]),
      [`${coverage === 'none' ? 'no evidence' : coverage}: ${state}`],
      ...gaps.map(({ text }): Line => [strong('gap'), ': '].concat(prose(text))),
      ...enforced.map((each): Line => [`${each.id} ${each.title} (records: ${each.count}): ${each.shows}`]),
      ...(coverage === 'none'
        ? []
        : [
            ['exceptions: ', ...exceptionsLine(control, MAX_TABLE_ROWS)],
            ...decidedBy(control),
            ...becameOf(control),
            ...assuranceOf(control),
          ]),
      ...(first === null || last === null
        ? []
        : [[`first ${first.at} (record ${first.ref}), last ${last.at} (record ${last.ref})`]]),
      ...(sample.length === 0 ? [] : [[`sample: records ${sample.join(', ')}`]]),
      [`limit: ${limit}`],
    ),
  ];
}

/** Which policies decided, what each denied, and whether any of them permits everything. */
function decidedBy({ policies }: ControlEvidence): readonly Line[] {
  if (policies.length === 0) return [];
  return [['decided by: ', ...listBlock(policies, MAX_TABLE_ROWS, decidingLine)]];
}

function decidingLine({ id, set, count, allowed, isOpen, denied }: DecidingPolicy): Line {
  const what =
    denied.length === 0 ? [] : [', denied ', ...listBlock(denied, MAX_ACTIONS, (of) => [`${of.action} ${of.count}`])];
  const reach: Line = isOpen === null ? [', its text is not here'] : isOpen ? [', ', strong('permits everything')] : [];
  return [`${id} ${count} (set `, code(shortHash(set)), `, allowed ${allowed}`, ...what, ...reach, ')'];
}

/** Allowed is not executed. */
const becameOf = ({ uses }: ControlEvidence): readonly Line[] => (uses === null ? [] : [[`calls: ${fatesText(uses)}`]]);

/** Exceptions by code. */
export const exceptionsLine = ({ exceptions }: Pick<ControlEvidence, 'exceptions'>, max: number): Line =>
  listBlock(exceptions, max, ({ code: reason, count }) => [`${reason} ${count}`]);

/** What was proved and tested of the sets that decided. */
const assuranceOf = ({ assurance }: ControlEvidence): readonly Line[] =>
  assurance
    .slice(0, MAX_TABLE_ROWS)
    .map(({ set, isInForce, invariants, coverage, survived }) => [
      'set ',
      code(shortHash(set)),
      isInForce ? ', in force at the end: ' : ': ',
      invariants === null
        ? 'no analysis'
        : `invariants: ${invariants.proved} proved, ${invariants.refuted} refuted, ${invariants.undecided} undecided`,
      coverage === null ? '; no coverage' : `; clause coverage ${coverage} %`,
      survived === null ? '; no mutation' : `; ${survived} mutants survived`,
    ]);

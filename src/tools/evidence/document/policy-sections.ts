/** The sections of a report about policy sets. */
import { isProblem } from '../../../core/runtime/problem.ts';
import type { EvidenceReport, PolicySetSeen } from '../report.ts';
import { type Block, code, heading, type Line, list, listBlock, MAX_TABLE_ROWS, strong, textBlock } from './block.ts';
import { resultLines } from './result-lines.ts';

/** Each set with its origin, what it permits without conditions, and its texts. */
export const policySections = ({ policySets }: EvidenceReport): readonly Block[] => [
  heading(2, 'Policies'),
  ...(policySets.length === 0 ? [textBlock('none')] : []),
  ...policySets.flatMap((set): readonly Block[] => [
    heading(3, 'Set ', code(set.hash)),
    list(
      [`decisions by it in the period: ${set.decisions}${set.isInForce ? '; in force when the period ended' : ''}`],
      ...set.loads.map(({ ref, at, origin, by }): Line => [`in force ${at} (record ${ref}), ${origin}, by ${by}`]),
      [`text: ${set.text}`],
      ...judgedLines(set),
      ...resultLines(set.results),
    ),
    ...set.files.flatMap(({ name, bytes, text: content }): readonly Block[] =>
      content === null
        ? [textBlock(code(name), `, ${bytes} bytes`)]
        : [textBlock(code(name), `, ${bytes} bytes:`), { kind: 'code', text: content }],
    ),
  ]),
];

function judgedLines({ judged, idle }: PolicySetSeen): readonly Line[] {
  if (isProblem(judged)) return [['what it permits is ', strong('not known'), `: ${judged.problem}`]];
  const { policies, openPermits, openTo } = judged;
  const enforced = policies.filter(({ shadow }) => !shadow);
  const permits = enforced.filter(({ effect }) => effect === 'permit');
  const unconditional = permits.filter(({ reach }) => reach !== 'conditions');
  return [
    [
      `policies: ${permits.length} permits and ${enforced.length - permits.length} forbids; ${policies.length - enforced.length} more in shadow, which decide nothing`,
    ],
    ['permits without conditions: ', ...listBlock(unconditional, MAX_TABLE_ROWS, ({ id }) => [id])],
    [
      'policies that decided nothing in the period: ',
      ...(idle === null ? ['not known'] : listBlock(idle, MAX_TABLE_ROWS, (id) => [id])),
    ],
    ...(openPermits.length === 0
      ? []
      : [[strong('permits everything'), ': ', ...listBlock(openPermits, MAX_TABLE_ROWS, (id) => [id])]]),
    openTo === null
      ? ['tried with agents that nobody knows: each was denied something']
      : [strong('open'), `: an agent of ${openTo} that nobody knows was allowed all that was tried`],
  ];
}

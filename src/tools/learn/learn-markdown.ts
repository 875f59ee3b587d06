import { printable } from '../../core/ledger/timeline-text.ts';
import type { LearnReport, OpenDecision } from './learn-report.ts';
import { sightingsText } from './sightings.ts';

/** Most rows of a table: a reviewer reads the page in five minutes. The JSON report has all. */
const MAX_ROWS = 25;

/** The report as a page, greatest risk first. */
export const learnMarkdown = (report: LearnReport): string =>
  [
    '# What was learnt',
    '',
    `From ${report.from} to ${report.judgedFrom}; what came then until ${report.to} was not learnt but judged.`,
    '',
    ...verdictOf(report),
    ...toDecideOf(report),
    ...aloneOf(report),
    ...deniedOf(report),
    ...groupsOf(report),
    ...serversOf(report),
    ...agentsOf(report),
    ...readOf(report),
    '## How to go on',
    '',
    '1. Decide the lines above: where it is right, take `decide:` away from its whole policy, and from its lines in `actions.yaml`, `intents/` and `tests/`.',
    '2. Correct the risks in `actions.yaml`: they are guesses by name, except those of API descriptions.',
    '3. `remit policy validate`, `remit policy lint` and `remit policy test` with this folder.',
    '4. Give each agent its intent from `intents/`, with a purpose of its own.',
    '',
  ].join('\n');

function verdictOf({ judged }: LearnReport): readonly string[] {
  const { calls, allowed } = judged;
  const denied = calls - allowed;
  const not = denied === 0 ? '' : denied === 1 ? '; this one not' : `; these ${number(denied)} not`;
  return [
    calls === 0
      ? '**No call came in the part that is judged.** Learn from more days before you enforce.'
      : `**Of ${number(calls)} calls ${number(allowed)} would be allowed${not}${denied === 0 ? '.' : ' (below).'}**`,
    '',
  ];
}

const number = (count: number): string => count.toLocaleString('en-US');

const cell = (text: string): string =>
  `\`${printable(text).replaceAll('`', "'").replaceAll('|', '\\|').slice(0, 200)}\``;

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const shown = rows.slice(0, MAX_ROWS).map((row) => `| ${row.join(' | ')} |`);
  const more = rows.length - shown.length;
  return [
    `| ${head.join(' | ')} |`,
    `|${'---|'.repeat(head.length)}`,
    ...shown,
    ...(more > 0 ? ['', `And ${more} more: \`report.json\` has all.`] : []),
    '',
  ];
}

const who = (agents: readonly string[]): string =>
  agents.length === 1 ? cell(agents[0] ?? '') : `${agents.length} agents, such as ${cell(agents[0] ?? '')}`;

const decisionRow = ({ what, risk, agents, why, seen, file }: OpenDecision): readonly string[] => [
  risk,
  cell(what),
  who(agents),
  cell(why),
  sightingsText(seen),
  cell(file),
];

function toDecideOf({ toDecide }: LearnReport): readonly string[] {
  if (toDecide.length === 0) return ['## To decide', '', 'Nothing: all that was seen is in force.', ''];
  return [
    `## To decide: ${toDecide.length}, greatest risk first`,
    '',
    'These are comments in the files, and denied until somebody decides otherwise.',
    '',
    ...table(['risk', 'action', 'who', 'why', 'seen', 'file'], toDecide.map(decisionRow)),
  ];
}

function aloneOf({ alone }: LearnReport): readonly string[] {
  if (alone.length === 0) return [];
  return [
    '## In force, and unlike others of the group',
    '',
    'An agent that goes astray looks like this. Ask its owner.',
    '',
    ...table(
      ['agent', 'actions', 'seen most'],
      alone.map(({ agent, actions, seen }) => [cell(agent), cell(actions.join(' ')), sightingsText(seen)]),
    ),
  ];
}

function deniedOf({ judged: { denied } }: LearnReport): readonly string[] {
  if (denied.length === 0) return [];
  return [
    '## Judged, and denied',
    '',
    ...table(
      ['agent', 'what', 'reason', 'seen'],
      denied.map(({ agent, what, reason, seen }) => [cell(agent), cell(what), cell(reason), sightingsText(seen)]),
    ),
  ];
}

function groupsOf({ groups }: LearnReport): readonly string[] {
  return [
    `## Groups: ${groups.length}`,
    '',
    ...table(
      ['group', 'agents', 'actions that each of them did'],
      groups.map(({ id, agents, actions }) => [cell(id), who(agents), String(actions)]),
    ),
  ];
}

function serversOf({ servers, refusedServers }: LearnReport): readonly string[] {
  return [
    `## Servers: ${servers.length}`,
    '',
    ...table(
      ['server', 'audience', 'actions', 'as described', 'to decide'],
      servers.map((one) => [
        cell(one.id),
        cell(one.audience),
        String(one.actions),
        String(one.described),
        String(one.undecided),
      ]),
    ),
    ...refusedServers.map(({ server, why }) => `- left out: ${cell(server)}: ${cell(why)}`),
    ...(refusedServers.length === 0 ? [] : ['']),
  ];
}

function agentsOf({ agents }: LearnReport): readonly string[] {
  return [
    `## Agents: ${agents.length}`,
    '',
    ...table(
      ['agent', 'calls', 'most in a task or an hour', 'intent'],
      agents.map(({ id, calls, mostCalls, intent }) => [
        cell(id),
        number(calls),
        number(mostCalls),
        intent === null ? 'none' : cell(intent),
      ]),
    ),
  ];
}

function readOf({ read }: LearnReport): readonly string[] {
  return [
    '## What was read',
    '',
    `- ${number(read.records)} records, ${number(read.uses)} of them uses; learnt from ${number(read.learnt)}`,
    ...(read.missing === 0
      ? []
      : [`- **${number(read.missing)} records are missing** between others: \`remit ledger verify\` says why`]),
    ...(read.foreign === 0 ? [] : [`- **${number(read.foreign)} records could not be parsed**, and taught nothing`]),
    ...read.left.slice(0, MAX_ROWS).map(({ why, count }) => `- left out: ${number(count)} ${why}`),
    '',
  ];
}

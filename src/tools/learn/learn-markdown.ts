import { printable } from '../../core/ledger/timeline-text.ts';
import type { LearnReport, OpenDecision } from './learn-report.ts';
import { allSeen, sightingsText } from './sightings.ts';

/** Most rows of a table about risks, and of others: a reviewer reads the page in five minutes. The JSON report has all. */
const MAX_ROWS = 25;
const MAX_PLAIN_ROWS = 10;
/** From this number on, decisions about the same agents, of the same risk and for the same reason share a row. */
const ALIKE = 4;
/** Most names in a cell. */
const MAX_NAMES = 3;

/** The report as a page, greatest risk first. */
export const learnMarkdown = (report: LearnReport): string =>
  [
    '# What was learnt',
    '',
    `From ${report.from} to ${report.judgedFrom}; what came then until ${report.to} was not learnt but judged.`,
    '',
    ...verdictOf(report),
    ...summaryOf(report),
    ...widenedOf(report),
    ...toDecideOf(report),
    ...aloneOf(report),
    ...deniedOf(report),
    ...groupsOf(report),
    ...serversOf(report),
    ...agentsOf(report),
    ...readOf(report),
    '## How to go on',
    '',
    '1. Decide the lines above: if it is right, take `decide:` away from its whole policy, and from its lines in `actions.yaml`, `intents/` and `tests/`.',
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

/** What there is to read, in four lines. */
function summaryOf({ toDecide, alone, widened, agents, groups, servers, read }: LearnReport): readonly string[] {
  const of = (risk: OpenDecision['risk']): number => toDecide.filter((one) => one.risk === risk).length;
  const actions = servers.reduce((sum, one) => sum + one.actions - one.undecided, 0);
  const left = read.left.reduce((sum, { count }) => sum + count, 0);
  return [
    `- **To decide: ${number(toDecide.length)}**, of high risk ${number(of('high'))}, medium ${number(of('medium'))}, low ${number(of('low'))}. Denied until then.`,
    `- **Agents that do what no other of their group does: ${number(new Set(alone.map(({ agent }) => agent)).size)}.** That is in force.`,
    ...(widened.length === 0
      ? []
      : [
          `- **Agents that other policies of the folder permit what nobody was seen to do: ${number(new Set(widened.map(({ agent }) => agent)).size)}.** That is in force.`,
        ]),
    `- In the catalog: ${number(actions)} actions of ${number(servers.length)} servers, for ${number(agents.length)} agents in ${number(groups.length)} groups.`,
    `- Calls that taught nothing: ${number(left)} of ${number(read.uses)} (the end of the page says why).`,
    '',
  ];
}

const number = (count: number): string => count.toLocaleString('en-US');

const cell = (text: string): string =>
  `\`${printable(text).replaceAll('`', "'").replaceAll('|', '\\|').slice(0, 200)}\``;

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  most = MAX_PLAIN_ROWS,
): readonly string[] {
  const shown = rows.slice(0, most).map((row) => `| ${row.join(' | ')} |`);
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

const names = (all: readonly string[]): string =>
  all.length <= MAX_NAMES
    ? all.map(cell).join(' ')
    : `${number(all.length)}, such as ${all.slice(0, MAX_NAMES).map(cell).join(' ')}`;

/** A row for each decision; many about the same agents, of the same risk and for the same reason share a row. */
function decisionRows(toDecide: readonly OpenDecision[]): readonly (readonly string[])[] {
  const alike = Map.groupBy(toDecide, ({ risk, agents, why }) => JSON.stringify([risk, agents, why]));
  return [...alike.values()].flatMap((all) => (all.length < ALIKE ? all.map((one) => [one]) : [all])).map(decisionRow);
}

function decisionRow(all: readonly OpenDecision[]): readonly string[] {
  const [first] = all;
  return [
    first?.risk ?? '',
    names(all.map(({ what }) => what)),
    who(first?.agents ?? []),
    cell(first?.why ?? ''),
    sightingsText(allSeen(all.map(({ seen }) => seen))),
    names([...new Set(all.map(({ file }) => file))]),
  ];
}

function toDecideOf({ toDecide }: LearnReport): readonly string[] {
  if (toDecide.length === 0) return ['## To decide', '', 'Nothing: all that was seen is in force.', ''];
  return [
    `## To decide: ${toDecide.length}, greatest risk first`,
    '',
    'These are comments in the files, and denied until somebody decides otherwise.',
    '',
    ...table(['risk', 'action', 'who', 'why', 'seen', 'file'], decisionRows(toDecide), MAX_ROWS),
  ];
}

function widenedOf({ widened }: LearnReport): readonly string[] {
  if (widened.length === 0) return [];
  return [
    '## In force by other policies, and never seen',
    '',
    'A policy that the folder had permits actions that were added to its catalog. Narrow it, or their risk.',
    '',
    ...table(
      ['agent', 'may', 'actions'],
      widened.map(({ agent, kind, actions }) => [
        cell(agent),
        kind === 'use' ? 'use' : 'get tokens for',
        names(actions),
      ]),
      MAX_ROWS,
    ),
  ];
}

function aloneOf({ alone }: LearnReport): readonly string[] {
  if (alone.length === 0) return [];
  return [
    '## In force, and unlike others of the group',
    '',
    'An agent that goes astray looks like this, most of it first. Ask its owner.',
    '',
    ...table(
      ['agent', 'actions', 'seen'],
      alone.map(({ agent, actions, seen }) => [cell(agent), names(actions), sightingsText(seen)]),
      MAX_ROWS,
    ),
  ];
}

function deniedOf({ judged: { denied }, toDecide }: LearnReport): readonly string[] {
  if (denied.length === 0) return [];
  const open = new Set(toDecide.flatMap(({ what, agents }) => agents.map((agent) => `${agent} ${what}`)));
  return [
    '## Judged, and denied',
    '',
    ...table(
      ['agent', 'what', 'reason', 'why', 'seen'],
      denied.map(({ agent, what, reason, seen }) => [
        cell(agent),
        cell(what),
        cell(reason),
        open.has(`${agent} ${what}`) ? 'to be decided, above' : 'never seen before',
        sightingsText(seen),
      ]),
      MAX_ROWS,
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
    ...refusedServers.slice(0, MAX_PLAIN_ROWS).map(({ server, why }) => `- left out: ${cell(server)}: ${cell(why)}`),
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

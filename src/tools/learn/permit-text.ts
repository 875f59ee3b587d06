import { cedarString } from '../../core/policy/cedar-text.ts';
import { NAMESPACE } from '../../core/policy/namespace.ts';
import { cedarComment } from '../policy/write/comment.ts';
import type { AgentGroup } from './agent-groups.ts';
import type { LearntPermit } from './learnt-permits.ts';
import { sightingsText } from './sightings.ts';

/** How a line of a policy that a person has to decide begins. */
const TO_DECIDE = '// decide: ';

/** The policies of one server: each action with how often and when it was seen; undecided permits as comments. */
export function policyFileText(server: string, permits: readonly LearntPermit[]): string {
  const head = [
    cedarComment(`What agents were seen to do at ${server}. Made by \`remit learn\`.`),
    cedarComment(
      'A line that begins with `decide:` is not in force: take these words away from the whole policy to permit it.',
    ),
  ];
  return `${[...head, ...permits.flatMap((permit) => ['', ...permitLines(permit)])].join('\n')}\n`;
}

function permitLines(permit: LearntPermit): readonly string[] {
  const lines = [...useLines(permit), '', ...issueLines(permit)];
  if (permit.undecided === null) return lines;
  return [cedarComment(`to decide: ${permit.undecided}`), ...lines.map((line) => `${TO_DECIDE}${line}`.trimEnd())];
}

function useLines(permit: LearntPermit): readonly string[] {
  const { id, server, lines } = permit;
  return [
    `@id(${cedarString(id)})`,
    `@description(${cedarString(`learnt: ${whoIn(permit)}`)})`,
    'permit (',
    `  ${principal(permit)},`,
    '  action in [',
    ...lines.map(
      ({ action, seen }, at) =>
        `    ${NAMESPACE}::Action::${cedarString(action.id)}${at === lines.length - 1 ? '' : ','} ${cedarComment(`${sightingsText(seen)}; risk ${action.risk}`)}`,
    ),
    '  ],',
    `  resource in ${NAMESPACE}::Server::${cedarString(server)}`,
    ...(isHigh(permit) ? [')', 'when { context.intent.purpose != "" };'] : [');']),
  ];
}

/** The permit to be given tokens for the same actions. */
function issueLines(permit: LearntPermit): readonly string[] {
  const { id, server, lines } = permit;
  const names = lines.map(({ action }) => cedarString(action.id)).join(', ');
  return [
    `@id(${cedarString(`${id}-issue`)})`,
    `@description(${cedarString('learnt: tokens for the same actions')})`,
    'permit (',
    `  ${principal(permit)},`,
    `  action == ${NAMESPACE}::Action::"issue",`,
    `  resource in ${NAMESPACE}::Server::${cedarString(server)}`,
    ')',
    `when { [${names}].contains(context.requested.action)${isHigh(permit) ? ' && context.intent.purpose != ""' : ''} };`,
  ];
}

const isHigh = ({ lines }: LearntPermit): boolean => lines.some(({ action }) => action.risk === 'high');

const whoIn = ({ group, agents }: LearntPermit): string =>
  group === null ? (agents[0] ?? '') : `each of the ${agents.length} agents of the group did this`;

const principal = ({ group, agents }: LearntPermit): string =>
  group === null
    ? `principal == ${NAMESPACE}::Agent::${cedarString(agents[0] ?? '')}`
    : `principal in ${NAMESPACE}::AgentGroup::${cedarString(group.id)}`;

const groupUid = (id: string) => ({ type: `${NAMESPACE}::AgentGroup`, id });

/** The entities of a learnt folder: groups, and all agents. */
export function entitiesText(groups: readonly AgentGroup[], agents: Iterable<string>): string {
  const parents = new Map(groups.flatMap((group) => group.agents.map((agent) => [agent, group.id] as const)));
  const entities = [
    ...groups.map(({ id }) => ({ uid: groupUid(id), attrs: {}, parents: [] })),
    ...[...agents].toSorted().map((id) => {
      const parent = parents.get(id);
      return {
        uid: { type: `${NAMESPACE}::Agent`, id },
        attrs: {},
        parents: parent === undefined ? [] : [groupUid(parent)],
      };
    }),
  ];
  return `[\n${entities.map((entity) => `  ${JSON.stringify(entity)}`).join(',\n')}\n]\n`;
}

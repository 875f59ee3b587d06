import { agentGroups } from './agent-groups.ts';
import type { AgentGroup } from './agent-groups.ts';
import type { LearntAction, LearntServer } from './learnt-action.ts';
import { safeFileName } from './safe-name.ts';
import { allSeen } from './sightings.ts';
import type { Sightings } from './sightings.ts';

/** What was seen fewer times than this is for a person to decide. */
export const SEEN_ENOUGH = 3;

/** An action that an agent or each agent of a group did. */
export interface PermitLine {
  readonly action: LearntAction;
  /** Of the agents that are permitted it. */
  readonly seen: Sightings;
  /** Why it is a comment whatever was seen; absent if nothing speaks against it. */
  readonly doubt?: string;
}

/** A permit for actions of one server. */
export interface LearntPermit {
  readonly id: string;
  readonly group: AgentGroup | null;
  /** The agents that it permits: those of its group, or one. */
  readonly agents: readonly string[];
  readonly server: string;
  readonly lines: readonly PermitLine[];
  /** Why it is a comment, for a person to decide; `null` if it is in force. */
  readonly undecided: string | null;
  /** Set if the existing policies permit it already: it is not written. */
  readonly isGiven?: true;
}

/** Groups of agents, and permits for exactly what was seen. */
export interface LearntPermits {
  readonly groups: readonly AgentGroup[];
  readonly permits: readonly LearntPermit[];
}

/** Names that the existing policy folder has taken. */
export interface Taken {
  /** Ids of policies. */
  readonly policies: ReadonlySet<string>;
  /** Agents of its entities, which no group is added to. */
  readonly agents: ReadonlySet<string>;
}

/** The default: there is no existing policy folder. */
export const NOTHING_TAKEN: Taken = { policies: new Set(), agents: new Set() };

/**
 * Permits for what was seen, and nothing more. A permit of a group has the actions that each of its agents did; what else an
 * agent did is permitted to that agent alone. What was seen fewer than three times, is of high risk, or is undecided in the
 * catalog gets a permit of its own, as a comment.
 */
export function learntPermits(servers: readonly LearntServer[], taken: Taken = NOTHING_TAKEN): LearntPermits {
  const actions = servers.flatMap((server) => server.actions);
  const groups = agentGroups(doneByAgent(actions, taken.agents));
  const groupOf = new Map(groups.flatMap((group) => group.agents.map((agent) => [agent, group] as const)));
  const lines = new Map<string, Grantee & { readonly lines: PermitLine[] }>();
  const given: LearntPermit[] = [];
  const add = (group: AgentGroup | null, agent: string, line: PermitLine): void => {
    const key = `${group?.id ?? agent} ${line.action.server}`;
    const grantee = { group, agents: group?.agents ?? [agent], who: group?.id ?? safeFileName(agent) };
    const known = lines.get(key) ?? { ...grantee, lines: [] };
    known.lines.push(line);
    lines.set(key, known);
  };
  for (const action of actions) {
    const { agents } = action.calls;
    const isShared = (group: AgentGroup): boolean =>
      group.agents.every((agent) => agents.has(agent) && standing(action, agent) === 'learn');
    const shared = groups.filter(isShared);
    for (const group of shared)
      add(group, '', { action, seen: allSeen(group.agents.flatMap((agent) => agents.get(agent) ?? [])) });
    for (const [agent, seen] of agents) {
      const group = groupOf.get(agent);
      const how = standing(action, agent);
      if (how === 'given') given.push(givenPermit(agent, { action, seen }));
      else if (how !== 'learn') add(null, agent, { action, seen, doubt: how.doubt });
      else if (group === undefined || !shared.includes(group)) add(null, agent, { action, seen });
    }
  }
  const permits = [...lines.values()].flatMap(({ lines: all, ...grantee }) => permitsOf(grantee, all));
  return { groups, permits: [...withFreeIds(permits, taken.policies), ...given] };
}

/** How existing policies answer an agent's calls to an action: `given` if they permit all, `learn` if none, else a doubt. */
function standing({ known }: LearntAction, agent: string): 'given' | 'learn' | { readonly doubt: string } {
  if (known === undefined) return 'learn';
  const { permitted, forbidden, 'not-permitted': not } = known.answersTo(agent);
  if (forbidden > 0) return { doubt: 'a forbid of the policies denies it: no permit changes that' };
  if (not === 0) return 'given';
  if (permitted === 0) return 'learn';
  return { doubt: `the policies permit it under a condition that ${not} of its ${not + permitted} calls did not meet` };
}

const givenPermit = (agent: string, line: PermitLine): LearntPermit => ({
  id: '',
  group: null,
  agents: [agent],
  server: line.action.server,
  lines: [line],
  undecided: null,
  isGiven: true,
});

/** Permits whose ids, and those of their policies for tokens, no policy of the folder has. */
function withFreeIds(permits: readonly LearntPermit[], taken: ReadonlySet<string>): readonly LearntPermit[] {
  const isFree = (id: string): boolean => !taken.has(id) && !taken.has(`${id}-issue`);
  return permits.map((permit) => {
    let { id } = permit;
    for (let number = 2; !isFree(id); number += 1) id = `${permit.id}-${number}`;
    return id === permit.id ? permit : { ...permit, id };
  });
}

function doneByAgent(
  actions: readonly LearntAction[],
  without: ReadonlySet<string>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const done = new Map<string, Set<string>>();
  for (const { id, calls } of actions) {
    for (const agent of calls.agents.keys()) {
      if (without.has(agent)) continue;
      const known = done.get(agent) ?? new Set();
      known.add(id);
      done.set(agent, known);
    }
  }
  return done;
}

interface Grantee extends Pick<LearntPermit, 'group' | 'agents'> {
  /** Its name in ids. */
  readonly who: string;
}

function permitsOf({ group, agents, who }: Grantee, lines: readonly PermitLine[]): readonly LearntPermit[] {
  const judged = lines.map((line) => ({ line, why: whyUndecided(line) }));
  const inForce = judged.flatMap(({ line, why }) => (why === null ? [line] : []));
  const server = lines[0]?.action.server ?? '';
  return [
    ...(inForce.length === 0
      ? []
      : [{ id: `${who}-${server}`, group, agents, server, lines: inForce, undecided: null }]),
    ...judged.flatMap(({ line, why }) =>
      why === null
        ? []
        : [
            {
              id: `${who}-${line.action.id.replaceAll('.', '-')}`,
              group,
              agents,
              server,
              lines: [line],
              undecided: why,
            },
          ],
    ),
  ];
}

function whyUndecided({ action, seen, doubt }: PermitLine): string | null {
  if (doubt !== undefined) return doubt;
  if (action.undecided !== null) return action.undecided;
  if (action.doubt !== undefined) return action.doubt;
  if (action.risk === 'high') return 'of high risk';
  return seen.count < SEEN_ENOUGH ? `seen ${seen.count === 1 ? 'once' : `${seen.count} times`}` : null;
}

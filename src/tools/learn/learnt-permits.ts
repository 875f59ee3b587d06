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
}

/** Groups of agents, and permits for exactly what was seen. */
export interface LearntPermits {
  readonly groups: readonly AgentGroup[];
  readonly permits: readonly LearntPermit[];
}

/**
 * Permits for what was seen, and nothing more: a permit of a group has the actions that each of its agents did; what an agent did beside these
 * it is permitted alone. What was seen fewer than three times, is of high risk, or is undecided in the catalog gets a permit of its own, as a
 * comment.
 */
export function learntPermits(servers: readonly LearntServer[]): LearntPermits {
  const actions = servers.flatMap((server) => server.actions);
  const groups = agentGroups(doneByAgent(actions));
  const groupOf = new Map(groups.flatMap((group) => group.agents.map((agent) => [agent, group] as const)));
  const lines = new Map<
    string,
    { readonly group: AgentGroup | null; readonly agent: string; readonly lines: PermitLine[] }
  >();
  const add = (group: AgentGroup | null, agent: string, line: PermitLine): void => {
    const key = `${group?.id ?? agent} ${line.action.server}`;
    const known = lines.get(key) ?? { group, agent, lines: [] };
    known.lines.push(line);
    lines.set(key, known);
  };
  for (const action of actions) {
    const { agents } = action.calls;
    const shared = groups.filter((group) => group.agents.every((agent) => agents.has(agent)));
    for (const group of shared)
      add(group, '', { action, seen: allSeen(group.agents.flatMap((agent) => agents.get(agent) ?? [])) });
    for (const [agent, seen] of agents) {
      const group = groupOf.get(agent);
      if (group === undefined || !shared.includes(group)) add(null, agent, { action, seen });
    }
  }
  const permits = [...lines.values()].flatMap(({ group, agent, lines: all }) =>
    permitsOf({ group, agents: group?.agents ?? [agent], who: group?.id ?? safeFileName(agent) }, all),
  );
  return { groups, permits };
}

function doneByAgent(actions: readonly LearntAction[]): ReadonlyMap<string, ReadonlySet<string>> {
  const done = new Map<string, Set<string>>();
  for (const { id, calls } of actions) {
    for (const agent of calls.agents.keys()) {
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

function whyUndecided({ action, seen }: PermitLine): string | null {
  if (action.undecided !== null) return action.undecided;
  if (action.risk === 'high') return 'of high risk';
  return seen.count < SEEN_ENOUGH ? `seen ${seen.count === 1 ? 'once' : `${seen.count} times`}` : null;
}

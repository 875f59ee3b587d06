import { shortDigest } from './safe-name.ts';

/** Agents that do alike. */
export interface AgentGroup {
  /** `learnt-` and a digest of its members. */
  readonly id: string;
  /** At least two, sorted. */
  readonly agents: readonly string[];
}

/** Least part of the actions of two agents, of those that either does, that both do. */
const ALIKE = 0.5;

interface Cluster {
  readonly agents: string[];
  /** What its first agent does. */
  readonly does: ReadonlySet<string>;
}

/**
 * The groups of agents that do alike: at least half of what an agent and the first of its group do, both do. Which agents share a group says
 * nothing of what they may do: a permit of a group has only what each of its agents was seen to do.
 *
 * @param doneBy the ids of the actions of each agent
 */
export function agentGroups(doneBy: ReadonlyMap<string, ReadonlySet<string>>): readonly AgentGroup[] {
  const clusters: Cluster[] = [];
  // The busiest first: others are held against it.
  const byWork = [...doneBy].toSorted(([one, a], [other, b]) => b.size - a.size || (one < other ? -1 : 1));
  for (const [agent, does] of byWork) {
    const alike = clusters
      .map((cluster) => ({ cluster, part: commonPart(cluster.does, does) }))
      .reduce<{ cluster: Cluster; part: number } | null>(
        (best, one) => (one.part > (best?.part ?? 0) ? one : best),
        null,
      );
    if (alike !== null && alike.part >= ALIKE) alike.cluster.agents.push(agent);
    else clusters.push({ agents: [agent], does });
  }
  return clusters
    .filter(({ agents }) => agents.length > 1)
    .map(({ agents }) => agents.toSorted())
    .map((agents) => ({ id: `learnt-${shortDigest(agents.join('\n'))}`, agents }));
}

function commonPart(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const common = [...one].filter((action) => other.has(action)).length;
  return common === 0 ? 0 : common / (one.size + other.size - common);
}

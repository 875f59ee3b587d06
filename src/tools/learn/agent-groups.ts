import { shortDigest } from './safe-name.ts';

/** Agents with similar actions. */
export interface AgentGroup {
  /** `learnt-` and a digest of its members. */
  readonly id: string;
  /** At least two, sorted. */
  readonly agents: readonly string[];
}

/** Least similarity (Jaccard index) of two agents: the actions that both do, by the actions that either does. */
const ALIKE = 0.5;

interface Cluster {
  readonly agents: string[];
  /** What its first agent does. */
  readonly does: ReadonlySet<string>;
}

/**
 * Groups agents by similarity: of the actions of an agent and of the first agent of its group, at least half are done by both.
 * A group grants nothing by itself: a permit of a group has only what each of its agents was seen to do.
 *
 * @param doneBy the ids of the actions of each agent
 */
export function agentGroups(doneBy: ReadonlyMap<string, ReadonlySet<string>>): readonly AgentGroup[] {
  const clusters: Cluster[] = [];
  // The agent with the most actions comes first: others are compared with it.
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

import { flowYaml } from './catalog-text.ts';
import type { LearntAction, LearntServer } from './learnt-action.ts';

/** Most actions and bytes that are written, below the limits of a catalog: 10,000 actions in all, and 1 MiB a file. */
const MAX_ACTIONS = 4_000;
const MAX_BYTES = 900 * 1_024;
/** Bytes of a line beside its entry: its key, risk and comment, and its part of the lines around it. */
const LINE_BYTES = 320;

/**
 * The servers with as many actions as a catalog has room for: of each agent first what it calls most. So an agent that calls ten thousand
 * things leaves room for what others do. Also the number of calls to what is left out.
 *
 * @param used size of the largest file of the existing catalog, in UTF-16 code units
 */
export function withinCatalog(
  servers: readonly LearntServer[],
  used: number,
): { readonly servers: readonly LearntServer[]; readonly left: number } {
  const all = servers.flatMap(({ actions }) => actions.filter(({ section }) => section !== 'known'));
  const ranks = ranksOf(all);
  const kept = new Set<LearntAction>();
  let bytes = used;
  for (const action of all.toSorted((one, other) => (ranks.get(one) ?? 0) - (ranks.get(other) ?? 0))) {
    bytes += bytesOf(action);
    if (kept.size >= MAX_ACTIONS || bytes > MAX_BYTES) break;
    kept.add(action);
  }
  if (kept.size === all.length) return { servers, left: 0 };
  return {
    servers: servers
      .map((server) => ({
        ...server,
        actions: server.actions.filter((action) => action.section === 'known' || kept.has(action)),
      }))
      .filter(({ actions }) => actions.length > 0),
    left: all.filter((action) => !kept.has(action)).reduce((sum, { calls }) => sum + calls.all.count, 0),
  };
}

/** The rank of each action among the actions of an agent by calls, from 0 for the most: the best rank at any agent. */
function ranksOf(actions: readonly LearntAction[]): ReadonlyMap<LearntAction, number> {
  const byAgent = new Map<string, { readonly action: LearntAction; readonly count: number }[]>();
  for (const action of actions) {
    for (const [agent, { count }] of action.calls.agents) {
      const known = byAgent.get(agent);
      if (known === undefined) byAgent.set(agent, [{ action, count }]);
      else known.push({ action, count });
    }
  }
  const ranks = new Map<LearntAction, number>();
  for (const own of byAgent.values())
    for (const [rank, { action }] of own.toSorted((one, other) => other.count - one.count).entries())
      ranks.set(action, Math.min(rank, ranks.get(action) ?? rank));
  return ranks;
}

const bytesOf = ({ id, name, entry }: LearntAction): number =>
  LINE_BYTES + id.length + Buffer.byteLength(name) + Buffer.byteLength(flowYaml(entry));

import { coversSpiffeId } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Limit } from './limit.ts';

/** How many tasks of an agent on behalf of a subject are open. */
export interface OpenTaskCount {
  readonly agent: SpiffeId;
  readonly subject: string;
  readonly count: number;
}

/** Open tasks that a limit counts together. */
export interface OpenTaskUse {
  readonly limit: string;
  /** The values of `per`, in its order; a limit of open tasks has no `server`. */
  readonly who: readonly string[];
  readonly used: number;
  readonly max: number;
}

/**
 * How far limits of open tasks are used by the open tasks, the fullest first. Unused limits are left out.
 *
 * @param counts each pair of agent and subject once
 */
export function openTaskUses(limits: readonly Limit[], counts: readonly OpenTaskCount[]): readonly OpenTaskUse[] {
  const uses = limits.flatMap(({ id, agents, measures, per }) => {
    const max = measures.find(({ of }) => of === 'openTasks')?.max;
    if (max === undefined) return [];
    const keys = per.filter((key) => key !== 'server');
    const byKey = new Map<string, OpenTaskUse>();
    for (const { agent, subject, count } of counts) {
      if (!agents.some((pattern) => pattern === '*' || coversSpiffeId(pattern, agent))) continue;
      const who = keys.map((key) => (key === 'agent' ? agent : subject));
      const key = JSON.stringify(who);
      byKey.set(key, { limit: id, who, max, used: (byKey.get(key)?.used ?? 0) + count });
    }
    return [...byKey.values()];
  });
  return uses.toSorted((one, other) => other.used / Math.max(1, other.max) - one.used / Math.max(1, one.max));
}

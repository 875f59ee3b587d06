import type { UseRecord } from './record.ts';

/**
 * A use as enforcing would have decided it: an observed use gets the answer of enforcing in place of the answer that was given.
 * Code that replays or learns from decisions must not count a call that passed only because it was observed as allowed by
 * policies.
 */
export const enforcedUse = <Use extends UseRecord>(use: Use): Use => {
  const { mode, would } = use;
  if (mode === undefined || would === undefined) return use;
  const { decision, reason, detail, policyIds } = would;
  return { ...use, decision, reason, detail, policyIds };
};

import type { UseRecord } from './record.ts';

/**
 * A use as enforcing would have decided it: of an observed use with what it would have been in place of what was answered. Who decides again, or
 * learns from what was decided, must not take a call that was let through for one that policies allowed.
 */
export const enforcedUse = <Use extends UseRecord>(use: Use): Use => {
  const { mode, would } = use;
  if (mode === undefined || would === undefined) return use;
  const { decision, reason, detail, policyIds } = would;
  return { ...use, decision, reason, detail, policyIds };
};

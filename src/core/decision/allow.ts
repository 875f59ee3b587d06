import type { Allow, Deny } from './decision.ts';

/**
 * Makes an allow. INVARIANT: called in `core/policy/authorize.ts`, for what policies permit, and in `core/decide/enforce.ts`, for what would be
 * denied and is only observed, and nowhere else.
 *
 * @param observed the denial that enforcing would have answered; default none
 */
export const allowBy = (policyIds: readonly string[], observed: Deny | null = null): Allow => ({
  kind: 'allow',
  policyIds,
  observed,
});

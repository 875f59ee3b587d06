import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import type { LintFinding } from '../lint/lint.ts';
import type { PolicyUse, PolicyUses } from './policy-uses.ts';

/** A policy with what a reviewer asks of it. */
export interface ListedPolicy extends Pick<PolicyEntry, 'id' | 'effect' | 'file' | 'line' | 'column' | 'shadow'> {
  /** The team that answers for it; `null` if `owners.yaml` names none. */
  readonly owner: string | null;
  /** Its end, in milliseconds since the Unix epoch; `null` without an `@until`. */
  readonly untilMs: number | null;
  readonly isOver: boolean;
  /** `null` if no record was read. */
  readonly use: (PolicyUse & { readonly never: false }) | { readonly never: true; readonly sinceMs: number } | null;
  /** Why it has no effect at all, by lint; `null` if lint finds nothing of the kind. */
  readonly idle: string | null;
}

/** What is known of a set, besides its policies. */
export interface ListedBy {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly ownerOf: (policy: PolicyEntry) => string | null;
  readonly findings: readonly LintFinding[];
  /** `null` if no records are read. */
  readonly uses: PolicyUses | null;
}

/** Rules of lint that say that a policy decides nothing. */
const IDLE: ReadonlySet<string> = new Set(['never-matches', 'forbidden-anyway', 'permitted-anyway', 'expired-policy']);

/** The policies of a set as a list, in the order of the set. */
export function listedPolicies(
  policies: readonly PolicyEntry[],
  { nowMs, ownerOf, findings, uses }: ListedBy,
): readonly ListedPolicy[] {
  const idle = new Map(
    findings.flatMap(({ rule, policy, message }) => (policy !== null && IDLE.has(rule) ? [[policy, message]] : [])),
  );
  return policies.map((policy) => {
    const { id, effect, shadow, untilMs = null } = policy;
    const { file, line, column } = policy.link ?? policy;
    return {
      id,
      effect,
      file,
      line,
      column,
      shadow,
      owner: ownerOf(policy),
      untilMs,
      isOver: untilMs !== null && untilMs <= nowMs,
      use: uses === null ? null : useOf(id, uses),
      idle: idle.get(id) ?? null,
    };
  });
}

function useOf(id: string, uses: PolicyUses): ListedPolicy['use'] {
  const use = uses.of(id);
  if (use !== null) return { ...use, never: false };
  return uses.sinceMs === null ? null : { never: true, sinceMs: uses.sinceMs };
}

/** Whether a permit ends within a time, or has ended. */
export const endsWithin = ({ untilMs }: ListedPolicy, nowMs: number, ms: number): boolean =>
  untilMs !== null && untilMs - nowMs <= ms;

/** Whether a permit decided no record, or can decide none. */
export const isUnused = ({ effect, use, idle }: ListedPolicy): boolean =>
  effect === 'permit' && (idle !== null || use?.never === true);

import type { FullAnswer } from './cache.ts';
import type { PathReads, Reads } from './reads.ts';

/** A path of names, starting at the context. */
export type ContextPath = readonly string[];

/** Whether policies read what the paths lead to, or anything below, beyond presence and comparisons with bounds. */
export function readsAny({ everything, roots }: Reads, paths: readonly ContextPath[]): boolean {
  const context = roots.get('context');
  return everything || (context !== undefined && paths.some((path) => isReadAt(context, path)));
}

function isReadAt(from: PathReads, [name, ...below]: ContextPath): boolean {
  if (from.whole) return true;
  if (name === undefined) return isRead(from);
  const next = from.attrs.get(name);
  return next !== undefined && isReadAt(next, below);
}

const isRead = ({ whole, ancestors, allTags, attrs, tags }: PathReads): boolean =>
  whole || ancestors || allTags || tags.size > 0 || [...attrs.values()].some(isRead);

/** Policies by volatility: steady policies, whose answer is mostly cached, and the rest. Indices, ascending. */
export interface SplitPolicies {
  readonly steady: readonly number[];
  readonly varying: readonly number[];
}

/** Splits policies by volatility; `null` if a half would be empty. */
export function splitByVolatility(
  members: readonly number[],
  isVarying: (index: number) => boolean,
): SplitPolicies | null {
  const varying = members.filter(isVarying);
  if (varying.length === 0 || varying.length === members.length) return null;
  return { steady: members.filter((index) => !isVarying(index)), varying };
}

/** Combines the answers of separately evaluated policies: a matching `forbid` overrides every `permit`. Ids are sorted. */
export function combinedAnswer(...answers: readonly FullAnswer[]): FullAnswer {
  const errors = answers.flatMap((answer) => answer.errors).sort();
  const reasons = (decision: FullAnswer['decision']): string[] =>
    answers.flatMap((answer) => (answer.decision === decision ? answer.reason : [])).sort();
  const [permits, forbids] = [reasons('allow'), reasons('deny')];
  const isAllowed = forbids.length === 0 && permits.length > 0;
  return { decision: isAllowed ? 'allow' : 'deny', reason: isAllowed ? permits : forbids, errors };
}

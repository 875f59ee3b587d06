import type { FullAnswer } from './cache.ts';
import type { PathReads, Reads } from './reads.ts';

/** A path of names from the context of a question down. */
export type ContextPath = readonly string[];

/**
 * Whether policies with these reads look at what the paths lead to, or at what is below: at more than whether it is there, and on which
 * side of a bound it is.
 */
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

/** Policies apart from each other: those whose answer is mostly known already, and the others. Indices, ascending. */
export interface SplitPolicies {
  readonly steady: readonly number[];
  readonly varying: readonly number[];
}

/** Divides policies; `null` where all of them are of one half. */
export function splitByVolatility(
  members: readonly number[],
  isVarying: (index: number) => boolean,
): SplitPolicies | null {
  const varying = members.filter(isVarying);
  if (varying.length === 0 || varying.length === members.length) return null;
  return { steady: members.filter((index) => !isVarying(index)), varying };
}

/**
 * What all policies come to, by what each half of them does: Cedar evaluates each by itself, and a `forbid` that holds wins over
 * every `permit`. Ids are sorted.
 */
export function combinedAnswer(...answers: readonly FullAnswer[]): FullAnswer {
  const errors = answers.flatMap((answer) => answer.errors).sort();
  const reasons = (decision: FullAnswer['decision']): string[] =>
    answers.flatMap((answer) => (answer.decision === decision ? answer.reason : [])).sort();
  const [permits, forbids] = [reasons('allow'), reasons('deny')];
  const isAllowed = forbids.length === 0 && permits.length > 0;
  return { decision: isAllowed ? 'allow' : 'deny', reason: isAllowed ? permits : forbids, errors };
}

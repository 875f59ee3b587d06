import type { PathReads, Reads } from '../answers/reads.ts';
import type { Annotations } from './annotations.ts';
import type { Replaced } from './policy-template.ts';

/** What the end of a policy changes. */
interface Endable extends Pick<Annotations, 'untilMs'> {
  readonly text: string;
  readonly reads: Reads;
  readonly link?: { readonly replaced: readonly Replaced[] };
}

/**
 * A permit with `@until`, with its end as its last clause: from that instant on it counts as absent. The clause is text of the
 * policy, so that everything that reads policies judges the end alike: the engine, the key of a cached answer (which ends at the
 * instant), explanations, and tools. Other policies are returned unchanged.
 */
export function withEnd<Policy extends Endable>(policy: Policy): Policy {
  if (policy.untilMs === undefined) return policy;
  const clause = ` when { context.now < datetime("${new Date(policy.untilMs).toISOString()}") }`;
  // The text of a policy ends with its `;`.
  const at = policy.text.length - 1;
  return {
    ...policy,
    text: `${policy.text.slice(0, at)}${clause};`,
    reads: readsNow(policy.reads, policy.untilMs),
    ...(policy.link === undefined
      ? {}
      : {
          link: {
            ...policy.link,
            replaced: [...policy.link.replaced, { at, length: clause.length, writtenLength: 0 }],
          },
        }),
  };
}

/** The clauses that the author wrote: all but that of `@until`. */
export const writtenClauses = <Clause>(
  { untilMs }: Pick<Annotations, 'untilMs'>,
  clauses: readonly Clause[],
): readonly Clause[] => (untilMs === undefined ? clauses : clauses.slice(0, -1));

/** Reads may be shared by policies of one form, so they are not changed. */
function readsNow(reads: Reads, untilMs: number): Reads {
  const context = reads.roots.get('context') ?? nothingRead();
  const now = context.attrs.get('now') ?? nothingRead();
  const bounds = { ...now.bounds, datetime: new Set([...now.bounds.datetime, untilMs]) };
  const attrs = new Map([...context.attrs, ['now', { ...now, bounds }] as const]);
  return { ...reads, roots: new Map([...reads.roots, ['context', { ...context, attrs }] as const]) };
}

const nothingRead = (): PathReads => ({
  whole: false,
  ancestors: false,
  allTags: false,
  attrs: new Map(),
  tags: new Map(),
  bounds: { long: new Set(), datetime: new Set(), decimal: new Set() },
});

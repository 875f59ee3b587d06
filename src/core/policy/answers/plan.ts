/** Which parts of the context of a question go into its cache key, from what policies read. */
import type { BoundKind, PathReads, Reads } from './reads.ts';
import { member } from './scope.ts';

/** The context of a question, as far as it is read. */
export interface Contextual {
  /** Values in Cedar's JSON form. */
  readonly context: unknown;
  /** Returns a member of the context by name; absent if members cannot be read separately. */
  readonly part?: ((name: string) => unknown) | undefined;
}

/** What is read of a context value. */
export interface Plan {
  readonly whole: boolean;
  readonly ancestors: boolean;
  /** Whether tags of an entity are read. */
  readonly tags: boolean;
  /** Attributes by name, sorted. */
  readonly attrs: readonly (readonly [string, Plan])[];
  /** Ascending bounds by kind; kinds without bounds are absent. */
  readonly bounds: ReadonlyMap<BoundKind, readonly number[]>;
}

/** The plan for the context, from what policies read. */
export const contextPlan = ({ everything, roots }: Reads): Plan =>
  everything ? wholePlan : planOf(roots.get('context'));

const wholePlan: Plan = { whole: true, ancestors: false, tags: false, attrs: [], bounds: new Map() };
const nothing: Plan = { ...wholePlan, whole: false };

function planOf(path: PathReads | undefined): Plan {
  if (path === undefined) return nothing;
  const attrs = [...path.attrs].sort(([left], [right]) => (left < right ? -1 : 1));
  const bounds = Object.entries(path.bounds) as readonly (readonly [BoundKind, ReadonlySet<number>])[];
  const tags = path.allTags || path.tags.size > 0;
  return {
    // Only an entity has tags, and an entity is encoded as its name.
    whole: path.whole || tags,
    tags,
    ancestors: path.ancestors,
    attrs: attrs.map(([name, child]) => [name, planOf(child)]),
    bounds: new Map(
      bounds
        .filter(([, set]) => set.size > 0)
        .map(([kind, set]) => [kind, [...set].sort((left, right) => left - right)]),
    ),
  };
}

/** INVARIANT: if members can be read separately, never reads the whole context, because reading it builds it. */
export const partOf = (question: Contextual, name: string): unknown =>
  question.part === undefined ? member(question.context, name) : question.part(name);

/** Excludes arrays and objects that are not records: extension values (`fn` in short form) and raw numbers. */
export const isRecord = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !Object.hasOwn(value, '__extn') &&
  !Object.hasOwn(value, 'fn') &&
  !Object.hasOwn(value, 'rawJSON');

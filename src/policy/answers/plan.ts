import type { BoundKind, PathReads, Reads } from './reads.ts';
import { member } from './scope.ts';

/** The context of a question, as far as it is looked at. */
export interface Contextual {
  /** Values in Cedar's JSON form. */
  readonly context: unknown;
  /** A member of the context by its name, where it is a record whose members can be had one by one. */
  readonly part?: ((name: string) => unknown) | undefined;
}

/** What is looked at of a value in the context. */
export interface Plan {
  readonly whole: boolean;
  readonly ancestors: boolean;
  /** Of an entity. */
  readonly tags: boolean;
  /** By name, in order. */
  readonly attrs: readonly (readonly [string, Plan])[];
  /** Ascending, by kind; a kind without any is not there. */
  readonly bounds: ReadonlyMap<BoundKind, readonly number[]>;
}

/** What the policies with these reads look at of a context. */
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
    // Only an entity has tags, and what is written of it is its name.
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

/** INVARIANT: of a question that gives its members one by one, the whole is not touched, since it would be made. */
export const partOf = (question: Contextual, name: string): unknown =>
  question.part === undefined ? member(question.context, name) : question.part(name);

/** Neither an array nor a value that only looks like a record: of an extension (`fn` is its short form), or a long number. */
export const isRecord = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !Object.hasOwn(value, '__extn') &&
  !Object.hasOwn(value, 'fn') &&
  !Object.hasOwn(value, 'rawJSON');

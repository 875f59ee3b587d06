/** Exceptions that somebody holds: with owner, reason and end. */
import type { Problem } from '../../core/runtime/problem.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { JudgedSet } from './judged-set.ts';
import type { Tally } from './tally.ts';

/** An exception from enforcement, or a permit for a time. */
export interface HeldException {
  readonly kind: 'observed' | 'permit for a time' | 'emergency';
  /** Id of the entry, the policy or the order. */
  readonly id: string;
  /** The hash of the first set that has it; `null` for an emergency. */
  readonly set: string | null;
  /** What it is about, in words. */
  readonly about: string;
  /** Who answers for it; `null` if nobody is named. */
  readonly owner: string | null;
  /** `null` if no reason is given. */
  readonly because: string | null;
  /** Its end, in milliseconds since the Unix epoch; `null` if none is known. */
  readonly untilMs: number | null;
  /** Whether it had ended when the period did. */
  readonly isOver: boolean;
  /** The calls of the period that it let through, counted by id over all sets; `null` if that is not counted. */
  readonly calls: number | null;
}

/** What exceptions are read from. */
export interface ExceptionSources {
  readonly sets: ReadonlyMap<string, JudgedSet | Problem>;
  readonly tally: Pick<Tally, 'emergencies' | 'observedBy'>;
  /** The end of the period, in milliseconds since the Unix epoch. */
  readonly toMs: number;
  /** The team that owns a policy; `null` if none is known. */
  readonly ownerOf: (set: JudgedSet, policyId: string) => string | null;
}

/** The exceptions of a period, those that are open first, then by end. An entry that several sets have in the same words is named once. */
export function heldExceptions({ sets, tally, toMs, ownerOf }: ExceptionSources): readonly HeldException[] {
  const judged = [...sets.values()].flatMap((set) => (isProblem(set) ? [] : [set]));
  const all: HeldException[] = [
    ...judged.flatMap((set) => observedIn(set, { tally, toMs }).concat(endingIn(set, { toMs, ownerOf }))),
    ...emergenciesIn({ tally, toMs }),
  ];
  const known = new Set(all.map(({ id }) => id));
  all.push(...tally.observedBy.named.flatMap((of) => (known.has(of.name) ? [] : [unknownEntry(of)])));
  const once = new Map<string, HeldException>();
  for (const one of all) {
    const key = JSON.stringify({ ...one, set: null });
    if (!once.has(key)) once.set(key, one);
  }
  return [...once.values()].toSorted(
    (a, b) =>
      Number(a.isOver) - Number(b.isOver) ||
      (a.untilMs ?? Infinity) - (b.untilMs ?? Infinity) ||
      (a.id < b.id ? -1 : 1),
  );
}

const observedIn = (
  { hash, observed }: JudgedSet,
  { tally, toMs }: Pick<ExceptionSources, 'tally' | 'toMs'>,
): readonly HeldException[] =>
  observed.map(({ id, agents, servers, untilMs, owner, because }) => ({
    kind: 'observed',
    id,
    set: hash,
    about: aboutOf(agents ?? ['calls without an identity'], servers),
    owner,
    because,
    untilMs,
    isOver: untilMs <= toMs,
    calls: callsOf(tally, id),
  }));

const endingIn = (
  set: JudgedSet,
  { toMs, ownerOf }: Pick<ExceptionSources, 'toMs' | 'ownerOf'>,
): readonly HeldException[] =>
  set.policies.flatMap(({ id, untilMs, reason, file, shadow }) =>
    untilMs === null || shadow
      ? []
      : [
          {
            kind: 'permit for a time' as const,
            id,
            set: set.hash,
            about: file,
            owner: ownerOf(set, id),
            because: reason,
            untilMs,
            isOver: untilMs <= toMs,
            calls: null,
          },
        ],
  );

const emergenciesIn = ({ tally, toMs }: Pick<ExceptionSources, 'tally' | 'toMs'>): readonly HeldException[] =>
  tally.emergencies.map(({ order, by, because, agents, servers, untilMs, liftedAtMs }) => {
    const endMs = liftedAtMs ?? untilMs;
    return {
      kind: 'emergency',
      id: order,
      set: null,
      about: aboutOf(agents, servers.length === 0 ? null : servers),
      owner: by,
      because,
      untilMs: endMs,
      isOver: endMs !== null && endMs <= toMs,
      calls: callsOf(tally, order),
    };
  });

/** Calls were observed, and no text or order of the period says by which exception. */
const unknownEntry = ({ name, count }: { readonly name: string; readonly count: number }): HeldException => ({
  kind: 'observed',
  id: name,
  set: null,
  about: 'not known: no text of a set and no order of the period has it',
  owner: null,
  because: null,
  untilMs: null,
  isOver: false,
  calls: count,
});

const callsOf = ({ observedBy }: Pick<Tally, 'observedBy'>, id: string): number =>
  observedBy.named.find(({ name }) => name === id)?.count ?? 0;

const aboutOf = (agents: readonly string[], servers: readonly string[] | null): string =>
  `${agents.includes('*') ? 'every agent' : agents.join(', ')} at ${servers === null ? 'every server' : servers.join(', ')}`;

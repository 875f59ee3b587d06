/** Counts the records of one class of evidence. */
import { type CountedRecords, CountedByName, none, oneMore, type LedgerPlace } from './counted.ts';
import { type ClassId, evidenceClasses, isObserved } from './evidence-class.ts';
import { type EvidenceMembers, fieldText } from './record-members.ts';
import type { OpenPermits } from './open-permits.ts';
import { sampleOf, type RecordSample } from './sample.ts';

const MAX_CODES = 64;
/** Most policies of a class, and most sets, that are counted by name. */
export const MAX_NAMES = 1_000;
/** Most denied actions that are counted by name for one policy. */
const MAX_ACTIONS = 16;

/** The records of one class. */
export interface ClassTally extends CountedRecords {
  readonly id: ClassId;
  /** By code, most frequent first. */
  readonly exceptions: readonly { readonly code: string; readonly count: number }[];
  readonly sampled: readonly LedgerPlace[];
  /** The policies that decided its records, most frequent first. */
  readonly policies: readonly DecidingPolicy[];
  /** What was allowed of it, by the policy set that decided. */
  readonly bySet: readonly AllowedBySet[];
}

/** The calls, or intents, of a class that one policy set allowed. */
export interface AllowedBySet {
  /** Its hash; `null` if a record names no set or no policy. */
  readonly set: string | null;
  readonly allowed: number;
  /** Those that a permit of everything allowed. */
  readonly unrestricted: number;
}

/** A policy that decided records. */
export interface DecidingPolicy {
  readonly id: string;
  /** Hash of its set. */
  readonly set: string;
  readonly count: number;
  /** Those of the records that were allowed. */
  readonly allowed: number;
  /** Whether it permits everything; `null` if the text of the set is not here. */
  readonly isOpen: boolean | null;
  /** The actions of the records that it denied, most frequent first. */
  readonly denied: readonly { readonly action: string; readonly count: number }[];
}

/** How a record was decided by policies. */
export interface Judgement {
  readonly deciding: readonly { readonly set: string; readonly id: string }[];
  /** Whether it is a call or an intent that was allowed, and not only observed. */
  readonly isAllowed: boolean;
  /** Whether a permit of everything allowed it. */
  readonly isUnrestricted: boolean;
}

/** How policies decided a record. */
export function judgementIn(record: EvidenceMembers, openPermits: Pick<OpenPermits, 'has'>): Judgement {
  const deciding = isObserved(record) ? [] : decidingOf(record);
  const kind = fieldText(record, 'kind');
  const isAllowed = (kind === 'use' || kind === 'intent') && record['decision'] === 'allow' && !isObserved(record);
  const isUnrestricted = isAllowed && deciding.some(({ set, id }) => openPermits.has(set, id) === true);
  return { deciding, isAllowed, isUnrestricted };
}

/** The policies that decided a record, each with the hash of its set. */
function decidingOf(record: EvidenceMembers): Judgement['deciding'] {
  const set = fieldText(record, 'policySet');
  const { policyIds } = record;
  if (set === null || !Array.isArray(policyIds)) return [];
  return policyIds.flatMap((id) => (typeof id === 'string' ? [{ set, id }] : []));
}

/** The counts of one class. */
export class ClassCount {
  readonly #entry: (typeof evidenceClasses)[number];
  readonly #exceptions = new CountedByName(MAX_CODES);
  readonly #sample: RecordSample;
  readonly #policies = new Map<string, { count: number; allowed: number; readonly denied: CountedByName }>();
  readonly #bySet = new Map<string | null, { allowed: number; unrestricted: number }>();
  #counted = none;

  constructor(entry: (typeof evidenceClasses)[number], perClass: number) {
    this.#entry = entry;
    this.#sample = sampleOf(perClass);
  }

  get id(): ClassId {
    return this.#entry.id;
  }

  /** Counts a record, if it belongs to the class. */
  add(record: EvidenceMembers, counting: Judgement & { readonly place: LedgerPlace; readonly score: string }): void {
    if (!this.#entry.matches(record)) return;
    const { place, score } = counting;
    this.#counted = oneMore(this.#counted, place);
    this.#sample.offer(place, score);
    const code = this.#entry.exceptionOf(record);
    if (code !== null) this.#exceptions.add(code, place);
    this.#addPolicies(record, counting);
    if (counting.isAllowed) this.#addAllowed(counting);
  }

  #addPolicies(
    record: EvidenceMembers,
    { deciding, isAllowed, place }: Judgement & { readonly place: LedgerPlace },
  ): void {
    for (const { set, id } of deciding) {
      const key = JSON.stringify([set, id]);
      let of = this.#policies.get(key);
      if (of === undefined) {
        if (this.#policies.size >= MAX_NAMES) continue;
        of = { count: 0, allowed: 0, denied: new CountedByName(MAX_ACTIONS) };
        this.#policies.set(key, of);
      }
      of.count += 1;
      if (isAllowed) of.allowed += 1;
      else of.denied.add(fieldText(record, 'action') ?? 'no action', place);
    }
  }

  /** Calls of sets beyond the bound count as those of no set: nothing is known of what allowed them. */
  #addAllowed({ deciding, isUnrestricted }: Judgement): void {
    const named = deciding[0]?.set ?? null;
    const set = this.#bySet.has(named) || this.#bySet.size < MAX_NAMES ? named : null;
    const of = this.#bySet.get(set) ?? { allowed: 0, unrestricted: 0 };
    of.allowed += 1;
    if (isUnrestricted) of.unrestricted += 1;
    this.#bySet.set(set, of);
  }

  found(openPermits: Pick<OpenPermits, 'has'>): ClassTally {
    const { named, others } = this.#exceptions.found();
    const codes = named.map(({ name: code, count }) => ({ code, count }));
    return {
      id: this.id,
      ...this.#counted,
      exceptions: others.count === 0 ? codes : [...codes, { code: 'others', count: others.count }],
      sampled: this.#sample.chosen(),
      policies: Array.from(this.#policies, ([key, of]) => decidingPolicy(key, of, openPermits)).toSorted(byCount),
      bySet: Array.from(this.#bySet, ([set, of]): AllowedBySet => ({ set, ...of })),
    };
  }
}

function decidingPolicy(
  key: string,
  of: { readonly count: number; readonly allowed: number; readonly denied: CountedByName },
  openPermits: Pick<OpenPermits, 'has'>,
): DecidingPolicy {
  const [set = '', id = ''] = JSON.parse(key) as readonly string[];
  const { named, others } = of.denied.found();
  const denied = named.map(({ name: action, count }) => ({ action, count }));
  return {
    id,
    set,
    count: of.count,
    allowed: of.allowed,
    isOpen: openPermits.has(set, id),
    denied: others.count === 0 ? denied : [...denied, { action: '(others)', count: others.count }],
  };
}

/** Most frequent first, then by id and set. */
export const byCount = (
  a: Pick<DecidingPolicy, 'count' | 'id' | 'set'>,
  b: Pick<DecidingPolicy, 'count' | 'id' | 'set'>,
): number => b.count - a.count || (a.id === b.id ? (a.set < b.set ? -1 : 1) : a.id < b.id ? -1 : 1);

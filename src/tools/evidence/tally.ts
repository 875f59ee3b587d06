import { type CountedRecords, CountedByName, none, oneMore, refOf, type LedgerPlace } from './counted.ts';
import { type ClassId, evidenceClasses, isObserved, type RecordMembers, fieldText } from './evidence-class.ts';
import { UseFates, type UsesByFate } from '../../core/ledger/use-fates.ts';
import type { OpenPermits } from './open-permits.ts';
import { sampleOf, scoreOf } from './sample.ts';
import type { RecordSample } from './sample.ts';

/** The records of one class. */
export interface ClassTally extends CountedRecords {
  readonly id: ClassId;
  /** By code, most frequent first. */
  readonly exceptions: readonly { readonly code: string; readonly count: number }[];
  readonly sampled: readonly LedgerPlace[];
  /** The policies that decided its records, most frequent first. */
  readonly policies: readonly DecidingPolicy[];
  /** Its calls that a policy set allowed, and those of them that a permit of everything allowed. */
  readonly allowed: number;
  readonly unrestricted: number;
}

/** A policy that decided records. */
export interface DecidingPolicy {
  readonly id: string;
  /** Hash of its set. */
  readonly set: string;
  readonly count: number;
  /** Whether it permits everything; `null` if the text of the set is not here. */
  readonly isOpen: boolean | null;
}

/** The recorded values of one argument in the allowed uses of an action; those beyond 1,000 arguments together, as `(others)`. */
export interface RecordedArgument {
  readonly action: string;
  readonly argument: string;
  readonly uses: number;
  /** Exact sum of whole numbers; `null` if the values are not whole. */
  readonly sum: string | null;
  readonly largest: number | null;
}

/** The records of a period. */
export interface Tally {
  readonly records: CountedRecords;
  /** Calls that were only observed, whatever their answer. */
  readonly observed: CountedRecords;
  readonly classes: ReadonlyMap<ClassId, ClassTally>;
  /** Who ended, suspended, resumed and changed tasks, and loaded policies. */
  readonly actors: ReturnType<CountedByName['found']>;
  readonly agents: ReturnType<CountedByName['found']>;
  readonly actions: ReturnType<CountedByName['found']>;
  /** The policy sets, by hash, that decided uses and intents. */
  readonly policySets: ReturnType<CountedByName['found']>;
  readonly args: readonly RecordedArgument[];
  /** Allowed uses by outcome. */
  readonly uses: UsesByFate;
}

const MAX_CODES = 64;
const MAX_NAMES = 1_000;
/** The name of what is beyond the bound. */
const OTHERS = '(others)';

interface TallyOptions {
  readonly seed: string;
  readonly perClass: number;
  readonly openPermits: Pick<OpenPermits, 'has'>;
}

/** Tallies the records of a period, each log in its order, in bounded memory. */
export function tally({ seed, perClass, openPermits }: TallyOptions): {
  readonly add: (place: LedgerPlace, record: RecordMembers) => void;
  readonly found: () => Tally;
} {
  let records = none;
  let observed = none;
  const classes = evidenceClasses.map((entry) => new ClassCount(entry, perClass));
  const [actors, agents, actions, policySets] = Array.from({ length: 4 }, () => new CountedByName(MAX_NAMES));
  const args = new ArgumentTally();
  const fates = new UseFates();
  return {
    add: (place, record) => {
      records = oneMore(records, place);
      fates.see(record);
      const counting = { place, score: scoreOf(seed, refOf(place)), ...judgementIn(record, openPermits) };
      for (const one of classes) one.add(record, counting);
      addNamed(actors, actorOf(record), place);
      const kind = fieldText(record, 'kind');
      if (kind === 'use') addNamed(agents, fieldText(record, 'agent'), place);
      if (kind === 'use') addNamed(actions, fieldText(record, 'action'), place);
      if (kind === 'use' || kind === 'intent') addNamed(policySets, fieldText(record, 'policySet'), place);
      if (kind === 'use' && isObserved(record)) observed = oneMore(observed, place);
      else if (kind === 'use' && record['decision'] === 'allow') args.add(record);
    },
    found: () => ({
      records,
      observed,
      classes: new Map(classes.map((one) => [one.id, one.found(openPermits)])),
      actors: foundIn(actors),
      agents: foundIn(agents),
      actions: foundIn(actions),
      policySets: foundIn(policySets),
      args: args.found(),
      uses: fates.found(),
    }),
  };
}

/** How a record was decided by policies. */
interface Judgement {
  readonly deciding: ReturnType<typeof decidingOf>;
  readonly isAllowed: boolean;
  /** Whether a permit of everything allowed it. */
  readonly isUnrestricted: boolean;
}

function judgementIn(record: RecordMembers, openPermits: TallyOptions['openPermits']): Judgement {
  const deciding = decidingOf(record);
  const isAllowed = record['decision'] === 'allow' && !isObserved(record) && deciding.length > 0;
  const isUnrestricted = isAllowed && deciding.some(({ set, id }) => openPermits.has(set, id) === true);
  return { deciding, isAllowed, isUnrestricted };
}

/** Counts the records of one class. */
class ClassCount {
  readonly #entry: (typeof evidenceClasses)[number];
  readonly #exceptions = new CountedByName(MAX_CODES);
  readonly #sample: RecordSample;
  readonly #policies = new CountedByName(MAX_NAMES);
  #counted = none;
  #allowed = 0;
  #unrestricted = 0;

  constructor(entry: (typeof evidenceClasses)[number], perClass: number) {
    this.#entry = entry;
    this.#sample = sampleOf(perClass);
  }

  get id(): ClassId {
    return this.#entry.id;
  }

  /** Counts a record, if it belongs to the class. */
  add(
    record: RecordMembers,
    {
      place,
      score,
      deciding,
      isAllowed,
      isUnrestricted,
    }: Judgement & { readonly place: LedgerPlace; readonly score: string },
  ): void {
    if (!this.#entry.matches(record)) return;
    this.#counted = oneMore(this.#counted, place);
    this.#sample.offer(place, score);
    const code = this.#entry.exceptionOf(record);
    if (code !== null) this.#exceptions.add(code, place);
    for (const policy of deciding) this.#policies.add(JSON.stringify([policy.set, policy.id]), place);
    if (isAllowed) this.#allowed += 1;
    if (isUnrestricted) this.#unrestricted += 1;
  }

  found(openPermits: TallyOptions['openPermits']): ClassTally {
    const { named, others } = this.#exceptions.found();
    const codes = named.map(({ name: code, count }) => ({ code, count }));
    return {
      id: this.id,
      ...this.#counted,
      exceptions: others.count === 0 ? codes : [...codes, { code: 'others', count: others.count }],
      sampled: this.#sample.chosen(),
      policies: this.#policies.found().named.map(({ name, count }) => {
        const [set = '', id = ''] = JSON.parse(name) as readonly string[];
        return { id, set, count, isOpen: openPermits.has(set, id) };
      }),
      allowed: this.#allowed,
      unrestricted: this.#unrestricted,
    };
  }
}

/** The policies that decided a record, each with the hash of its set. */
function decidingOf(record: RecordMembers): readonly { readonly set: string; readonly id: string }[] {
  const set = fieldText(record, 'policySet');
  const { policyIds } = record;
  if (set === null || !Array.isArray(policyIds)) return [];
  return policyIds.flatMap((id) => (typeof id === 'string' ? [{ set, id }] : []));
}

const foundIn = (counted: CountedByName | undefined): ReturnType<CountedByName['found']> =>
  counted?.found() ?? { named: [], others: none };

function addNamed(counted: CountedByName | undefined, name: string | null, place: LedgerPlace): void {
  if (name !== null) counted?.add(name, place);
}

/** Who caused a record; `null` for what happens at each call by itself. */
function actorOf(record: RecordMembers): string | null {
  const kind = fieldText(record, 'kind');
  const by = fieldText(record, 'by');
  // For a policy it is a machine account; elsewhere `remit` is Remit itself.
  if (kind === 'policy') return by === null ? null : `account ${by}`;
  return kind === 'end' || kind === 'event' ? by : null;
}

class ArgumentTally {
  readonly #byName = new Map<
    string,
    { action: string; argument: string; uses: number; sum: bigint | null; largest: number | null }
  >();
  #others = 0;

  add(record: RecordMembers): void {
    const action = fieldText(record, 'action');
    const { args } = record;
    if (action === null || typeof args !== 'object' || args === null || Array.isArray(args)) return;
    for (const [argument, value] of Object.entries(args)) {
      const key = JSON.stringify([action, argument]);
      const before = this.#byName.get(key);
      if (before === undefined && this.#byName.size >= MAX_NAMES) {
        this.#others += 1;
        continue;
      }
      const { uses, sum, largest } = before ?? { uses: 0, sum: 0n, largest: null };
      const whole = typeof value === 'number' && Number.isSafeInteger(value) ? value : null;
      this.#byName.set(key, {
        action,
        argument,
        uses: uses + 1,
        sum: sum === null || whole === null ? null : sum + BigInt(whole),
        largest: whole === null ? null : Math.max(largest ?? whole, whole),
      });
    }
  }

  found(): readonly RecordedArgument[] {
    const named = Array.from(this.#byName.values(), ({ sum, largest, ...rest }) => ({
      ...rest,
      sum: sum === null ? null : String(sum),
      largest: sum === null ? null : largest,
    }));
    const others = { action: OTHERS, argument: OTHERS, uses: this.#others, sum: null, largest: null };
    return this.#others === 0 ? named : [...named, others];
  }
}

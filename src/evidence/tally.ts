import { type CountedRecords, CountedByName, none, oneMore, refOf, type LedgerPlace } from './counted.ts';
import { type ClassId, evidenceClasses, type RecordMembers, fieldText } from './evidence-class.ts';
import { sampleOf, scoreOf } from './sample.ts';

/** The records of one class. */
export interface ClassTally extends CountedRecords {
  readonly id: ClassId;
  /** By code, most frequent first. */
  readonly exceptions: readonly { readonly code: string; readonly count: number }[];
  readonly sampled: readonly LedgerPlace[];
}

/** The recorded values of one argument in the allowed uses of an action. */
export interface RecordedArgument {
  readonly action: string;
  readonly argument: string;
  readonly uses: number;
  /** Exact sum of whole numbers; `null` where the values are not. */
  readonly sum: string | null;
  readonly largest: number | null;
}

/** The records of a period. */
export interface Tally {
  readonly records: CountedRecords;
  readonly classes: ReadonlyMap<ClassId, ClassTally>;
  /** Who ended, suspended, resumed and changed tasks, and loaded policies. */
  readonly actors: ReturnType<CountedByName['found']>;
  readonly agents: ReturnType<CountedByName['found']>;
  readonly actions: ReturnType<CountedByName['found']>;
  /** The policy sets, by hash, that decided uses and intents. */
  readonly policySets: ReturnType<CountedByName['found']>;
  readonly args: readonly RecordedArgument[];
}

const MAX_CODES = 64;
const MAX_NAMES = 1_000;

/** Tallies the records of a period, each log in its order, in bounded memory. */
export function tally({ seed, perClass }: { readonly seed: string; readonly perClass: number }): {
  readonly add: (place: LedgerPlace, record: RecordMembers) => void;
  readonly found: () => Tally;
} {
  let records = none;
  const classes = evidenceClasses.map((entry) => ({
    entry,
    counted: none,
    exceptions: new CountedByName(MAX_CODES),
    sample: sampleOf(perClass),
  }));
  const [actors, agents, actions, policySets] = Array.from({ length: 4 }, () => new CountedByName(MAX_NAMES));
  const args = new ArgumentTally();
  return {
    add: (place, record) => {
      records = oneMore(records, place);
      const score = scoreOf(seed, refOf(place));
      for (const of of classes) {
        if (!of.entry.matches(record)) continue;
        of.counted = oneMore(of.counted, place);
        of.sample.offer(place, score);
        const code = of.entry.exceptionOf(record);
        if (code !== null) of.exceptions.add(code, place);
      }
      addNamed(actors, actorOf(record), place);
      const kind = fieldText(record, 'kind');
      if (kind === 'use') addNamed(agents, fieldText(record, 'agent'), place);
      if (kind === 'use') addNamed(actions, fieldText(record, 'action'), place);
      if (kind === 'use' || kind === 'intent') addNamed(policySets, fieldText(record, 'policySet'), place);
      if (kind === 'use' && record['decision'] === 'allow') args.add(record);
    },
    found: () => ({
      records,
      classes: new Map(
        classes.map(({ entry: { id }, counted, exceptions, sample }) => {
          const { named, others } = exceptions.found();
          const codes = named.map(({ name: code, count }) => ({ code, count }));
          const rest = others.count === 0 ? [] : [{ code: 'others', count: others.count }];
          return [id, { id, ...counted, exceptions: [...codes, ...rest], sampled: sample.chosen() }];
        }),
      ),
      actors: foundIn(actors),
      agents: foundIn(agents),
      actions: foundIn(actions),
      policySets: foundIn(policySets),
      args: args.found(),
    }),
  };
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

  add(record: RecordMembers): void {
    const action = fieldText(record, 'action');
    const { args } = record;
    if (action === null || typeof args !== 'object' || args === null || Array.isArray(args)) return;
    for (const [argument, value] of Object.entries(args)) {
      const key = JSON.stringify([action, argument]);
      const before = this.#byName.get(key);
      if (before === undefined && this.#byName.size >= MAX_NAMES) continue;
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
    return Array.from(this.#byName.values(), ({ sum, largest, ...rest }) => ({
      ...rest,
      sum: sum === null ? null : String(sum),
      largest: sum === null ? null : largest,
    }));
  }
}

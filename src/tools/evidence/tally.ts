import { type CountedRecords, CountedByName, none, oneMore, refOf, type LedgerPlace } from './counted.ts';
import { type ClassId, evidenceClasses, isObserved } from './evidence-class.ts';
import { type EvidenceMembers, fieldText } from './record-members.ts';
import { ArgumentTally, type RecordedArgument } from './argument-tally.ts';
import { ClassCount, type ClassTally, judgementIn } from './class-count.ts';
import { type Emergency, type OversightAct, OversightTally } from './oversight.ts';
import { UseFates, type UsesByFate } from '../../core/ledger/use-fates.ts';
import type { OpenPermits } from './open-permits.ts';
import { scoreOf } from './sample.ts';

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
  /** Acts of operators and signatures of policy sets. */
  readonly acts: readonly OversightAct[];
  /** The emergencies that operators began. */
  readonly emergencies: readonly Emergency[];
  /** Records by which the ledger says that it will never have some records of a database. */
  readonly gaps: CountedRecords;
  /** Observed calls by the entry of `enforcement.yaml`, or the emergency, that covered them. */
  readonly observedBy: ReturnType<CountedByName['found']>;
}

const MAX_NAMES = 1_000;

interface TallyOptions {
  readonly seed: string;
  readonly perClass: number;
  readonly openPermits: Pick<OpenPermits, 'has'>;
}

/** Tallies the records of a period, each log in its order, in bounded memory. */
export function tally({ seed, perClass, openPermits }: TallyOptions): {
  readonly add: (place: LedgerPlace, record: EvidenceMembers) => void;
  readonly found: () => Tally;
} {
  let records = none;
  let observed = none;
  const classes = evidenceClasses.map((entry) => new ClassCount(entry, perClass));
  const [actors, agents, actions, policySets] = Array.from({ length: 4 }, () => new CountedByName(MAX_NAMES));
  const args = new ArgumentTally();
  const oversight = new OversightTally();
  const observedBy = new CountedByName(MAX_NAMES);
  let gaps = none;
  const fates = new UseFates();
  return {
    add: (place, record) => {
      records = oneMore(records, place);
      fates.see(record);
      oversight.add(place, record);
      const counting = { place, score: scoreOf(seed, refOf(place)), ...judgementIn(record, openPermits) };
      for (const one of classes) one.add(record, counting);
      addNamed(actors, actorOf(record), place);
      const kind = fieldText(record, 'kind');
      if (kind === 'event' && fieldText(record, 'event') === 'records-missing') gaps = oneMore(gaps, place);
      if (kind === 'use') addNamed(agents, fieldText(record, 'agent'), place);
      if (kind === 'use') addNamed(actions, fieldText(record, 'action'), place);
      if (kind === 'use' || kind === 'intent') addNamed(policySets, fieldText(record, 'policySet'), place);
      if (kind === 'use' && isObserved(record)) {
        observed = oneMore(observed, place);
        addNamed(observedBy, fieldText(record, 'entry') ?? 'an entry that is not named', place);
      } else if (kind === 'use' && record['decision'] === 'allow') args.add(record);
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
      ...oversight.found(),
      gaps,
      observedBy: observedBy.found(),
    }),
  };
}

const foundIn = (counted: CountedByName | undefined): ReturnType<CountedByName['found']> =>
  counted?.found() ?? { named: [], others: none };

function addNamed(counted: CountedByName | undefined, name: string | null, place: LedgerPlace): void {
  if (name !== null) counted?.add(name, place);
}

/** Who caused a record; `null` for what happens at each call by itself. */
function actorOf(record: EvidenceMembers): string | null {
  const kind = fieldText(record, 'kind');
  const by = fieldText(record, 'by');
  // For a policy it is a machine account; elsewhere `remit` is Remit itself.
  if (kind === 'policy') return by === null ? null : `account ${by}`;
  return kind === 'end' || kind === 'event' ? by : null;
}

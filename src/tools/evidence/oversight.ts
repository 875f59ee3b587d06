/** Acts of people that a ledger records: stops, ends, emergencies and what lifted them; signatures of policy sets. */
import { type CountedRecords, CountedByName, type LedgerPlace, type RecordRef, refOf } from './counted.ts';
import { type EvidenceMembers, fieldText } from './record-members.ts';
import { operatorAct } from './operator-act.ts';

const MAX_NAMES = 1_000;
const MAX_EMERGENCIES = 1_000;

/** Acts of one kind by one operator, or by the holder of one key. */
export interface OversightAct extends CountedRecords {
  readonly act: string;
  /** As recorded: `operator NAME (account NAME)`, a SPIFFE ID, or `key NAME`. */
  readonly by: string;
}

/** An emergency: calls that it covered were only observed. */
export interface Emergency {
  readonly order: string;
  readonly ref: RecordRef;
  /** When it was begun; milliseconds since the Unix epoch. */
  readonly atMs: number;
  readonly by: string;
  readonly because: string;
  readonly agents: readonly string[];
  readonly servers: readonly string[];
  /** Its end as it was ordered; `null` if the record has none. */
  readonly untilMs: number | null;
  /** Who ended it before that; `null` if nobody did in the period. */
  readonly liftedBy: string | null;
  readonly liftedAtMs: number | null;
}

/** Counts acts of oversight. */
export class OversightTally {
  readonly #acts = new CountedByName(MAX_NAMES);
  /** Set and key of each signature that was counted. */
  readonly #signed = new Set<string>();
  readonly #emergencies = new Map<string, Emergency>();

  /** Takes a record; any that shows no act of a person is skipped. */
  add(place: LedgerPlace, record: EvidenceMembers): void {
    if (fieldText(record, 'kind') === 'policy') return this.#addSignatures(place, record);
    const act = operatorAct(record);
    if (act === null) return;
    this.#acts.add(JSON.stringify([act, fieldText(record, 'by') ?? 'not recorded']), place);
    this.#addEmergency(place, record);
  }

  found(): { readonly acts: readonly OversightAct[]; readonly emergencies: readonly Emergency[] } {
    const { named, others } = this.#acts.found();
    const acts = named.map(({ name, ...counted }) => {
      const [act = '', by = ''] = JSON.parse(name) as readonly string[];
      return Object.assign(counted, { act, by });
    });
    const rest = others.count === 0 ? [] : [{ act: '(others)', by: '(others)', ...others }];
    return { acts: [...acts, ...rest], emergencies: [...this.#emergencies.values()] };
  }

  /** A set that is put in force again is signed once. */
  #addSignatures(place: LedgerPlace, record: EvidenceMembers): void {
    const { origin } = record;
    if (typeof origin !== 'object' || origin === null || Array.isArray(origin)) return;
    const signers = textsIn((origin as EvidenceMembers)['signers']);
    for (const signer of signers) {
      const key = JSON.stringify([fieldText(record, 'policySet'), signer]);
      if (this.#signed.has(key) || this.#signed.size >= MAX_NAMES) continue;
      this.#signed.add(key);
      this.#acts.add(JSON.stringify(['signed a policy set that came into force', `key ${signer}`]), place);
    }
  }

  #addEmergency(place: LedgerPlace, record: EvidenceMembers): void {
    const { details } = record;
    if (typeof details !== 'object' || details === null || Array.isArray(details)) return;
    const { order, until, agents, servers, of } = details as EvidenceMembers;
    if (of !== 'observe' || typeof order !== 'string') return;
    const by = fieldText(record, 'by') ?? 'not recorded';
    const known = this.#emergencies.get(order);
    if (fieldText(record, 'event') === 'order-lifted') {
      if (known !== undefined) this.#emergencies.set(order, { ...known, liftedBy: by, liftedAtMs: place.at });
    } else if (known === undefined && this.#emergencies.size < MAX_EMERGENCIES) {
      this.#emergencies.set(order, {
        order,
        ref: refOf(place),
        atMs: place.at,
        by,
        because: fieldText(record, 'note') ?? 'not recorded',
        agents: textsIn(agents),
        servers: textsIn(servers),
        untilMs: typeof until === 'number' ? until : null,
        liftedBy: null,
        liftedAtMs: null,
      });
    }
  }
}

const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];

import type { JsonValue } from './canonical-json.ts';
import { encodedRecord } from './encoded-record.ts';
import type { EncodedRecord } from './encoded-record.ts';
import { recordsText } from './proof/verdict.ts';
import type { RecordRange, RelayedRecords } from './proof/verdict.ts';

/** Collects the relayed records from the records of a ledger. */
export interface RelayWatch {
  readonly see: (record: { readonly [name: string]: JsonValue }) => void;
  readonly found: () => readonly RelayedRecords[];
}

/**
 * Most gaps of a database and most databases of a ledger: more than a fleet has. More gaps merge with the last, more databases
 * are ignored.
 */
const MAX_GAPS = 1_000;
const MAX_DATABASES = 100;

/** The record which says that a ledger will never have some records of a database. */
export function missingRecords(
  { from, to }: RecordRange,
  { database, atMs }: { readonly database: string; readonly atMs: number },
): EncodedRecord {
  const note = `${recordsText({ from, to })} not in this ledger: other ledgers had them before it was back`;
  const details = { database, from, to };
  const about = { task: null, event: 'records-missing', cause: null, note, by: 'remit', details } as const;
  const encoded = encodedRecord({ kind: 'event', at: atMs, ...about });
  // It is short: numbers and the id of the database.
  if ('problem' in encoded) throw new Error(encoded.problem);
  return encoded;
}

/** Watches the records of a ledger, in log order. */
export function relayWatch(): RelayWatch {
  const found = new Map<string, { to: number; missing: RecordRange[] }>();
  const of = (database: string): { to: number; missing: RecordRange[] } | null => {
    const known = found.get(database);
    if (known !== undefined) return known;
    if (found.size >= MAX_DATABASES) return null;
    const first = { to: 0, missing: [] };
    found.set(database, first);
    return first;
  };
  return {
    see: ({ kind, event, details, relayed }) => {
      const isGap = kind === 'event' && event === 'records-missing';
      if (!isGap && kind !== 'checkpoint') return;
      const { database, from, to } = membersOf(isGap ? details : relayed);
      if (typeof database !== 'string' || typeof to !== 'number') return;
      const known = of(database);
      if (known === null) return;
      known.to = Math.max(known.to, to);
      if (isGap && typeof from === 'number' && from <= to) addGap(known.missing, { from, to });
    },
    found: () => [...found].map(([database, { to, missing }]) => ({ database, to, missing })),
  };
}

/** Records of a database that no verified ledger has, although a ledger shows that they existed. */
export interface LostRecords {
  readonly database: string;
  readonly records: RecordRange;
}

/**
 * The records that a ledger is missing and that no other ledger has. Records before the first record of a ledger are not missing in it:
 * an authority that joins a fleet begins there.
 *
 * @param ledgers what each verified ledger has
 */
export function lostToAll(ledgers: readonly (readonly RelayedRecords[])[]): readonly LostRecords[] {
  const lost = new Map<string, RecordRange[]>();
  for (const [at, ledger] of ledgers.entries()) {
    for (const { database, missing } of ledger) {
      const others = ledgers.filter((_, other) => other !== at).flatMap((all) => ofDatabase(all, database));
      const left = others.reduce(
        without,
        missing.filter(({ from }) => from > 1),
      );
      const known = lost.get(database) ?? [];
      lost.set(database, known);
      for (const records of left) addGap(known, records);
    }
  }
  return [...lost].flatMap(([database, all]) =>
    all.toSorted((a, b) => a.from - b.from).map((records) => ({ database, records })),
  );
}

const ofDatabase = (all: readonly RelayedRecords[], database: string): readonly RelayedRecords[] =>
  all.filter((relayed) => relayed.database === database);

/** The parts of gaps that another ledger does not have either. */
const without = (gaps: readonly RecordRange[], { to, missing }: RelayedRecords): readonly RecordRange[] =>
  gaps.flatMap((gap) =>
    [...missing, { from: to + 1, to: Number.POSITIVE_INFINITY }]
      .map((lacking) => ({ from: Math.max(gap.from, lacking.from), to: Math.min(gap.to, lacking.to) }))
      .filter(({ from, to: end }) => from <= end),
  );

/**
 * Adds a gap: merged with the last gap if they touch, or if there are `MAX_GAPS`. A gap after what was there before the ledger joined stays apart:
 * the ledger was there by then.
 */
function addGap(gaps: RecordRange[], { from, to }: RecordRange): void {
  const last = gaps.at(-1);
  const isAfterJoining = last?.from === 1 && from > last.to;
  const isTouching = last !== undefined && !isAfterJoining && from <= last.to + 1 && to >= last.from - 1;
  if (last !== undefined && (isTouching || gaps.length >= MAX_GAPS)) {
    gaps[gaps.length - 1] = { from: Math.min(from, last.from), to: Math.max(to, last.to) };
  } else gaps.push({ from, to });
}

const membersOf = (value: JsonValue | undefined): { readonly [name: string]: JsonValue } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? // Part of a parsed JSON value.
      (value as { readonly [name: string]: JsonValue })
    : {};

/** What else happened in the task of a call, and who else held its token. */
import { enforcedUse } from '../../core/ledger/enforced-use.ts';
import { useFrom } from '../../core/ledger/recorded-use.ts';
import type { UseRecord } from '../../core/ledger/record.ts';
import { UseFates } from '../../core/ledger/use-fates.ts';
import type { UsesByFate } from '../../core/ledger/use-fates.ts';
import type { ReuseClass } from '../../core/token/reuse.ts';
import { readAll, recordReaders } from './read-record.ts';
import type { Read, ReadEvent, ReadIntent } from './read-record.ts';
import type { PlacedRecord, SearchedLogs } from './searched-logs.ts';

/** The uses of a token by one caller at one place. */
export interface Sighting {
  /** The agent by its certificate, or what a refused caller showed, which nobody verified; `null` if it showed nothing. */
  readonly caller: string | null;
  readonly isVerified: boolean;
  /** Origin of the log that has them. */
  readonly log: string;
  readonly allowed: number;
  readonly denied: number;
  /** Milliseconds since the Unix epoch. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** How these uses differ from those before them, all classes. */
  readonly reuse: readonly ReuseClass[];
}

/** What else happened in a task. */
export interface TaskRest {
  readonly uses: UsesByFate & { readonly denied: number };
  /** The other uses nearest in time to the call, oldest first. */
  readonly others: readonly Read<UseRecord>[];
  /** How many further uses there are. */
  readonly more: number;
  readonly events: readonly Read<ReadEvent>[];
  /** The parts that it delegated. */
  readonly parts: readonly Read<ReadIntent>[];
  /** The uses of the token of the call, in any task, by caller and place; empty for a call without a token. */
  readonly sightings: readonly Sighting[];
  /** Whether only the first uses of the token were read: then nobody knows where else it was used. */
  readonly areSightingsCut: boolean;
  /** Whether only the first records of the task were read. */
  readonly isCut: boolean;
}

/** Most records read of a task, and most uses read of a token: the first. */
const MAX_RECORDS = 20_000;
/** Most other uses, events and parts that are shown. */
const MAX_SHOWN = 20;

/** What else happened in the task of a use, by the records of all logs. @param limits records to read, default 20,000 */
export function taskRest(
  task: string,
  { decisionId, jtiDigest, at }: UseRecord,
  logs: SearchedLogs,
  { maxRecords = MAX_RECORDS }: { readonly maxRecords?: number } = {},
): TaskRest {
  const records = logs.found({ task }, { limit: maxRecords, isNewestFirst: false });
  const uses = readAll(logs, ofKind(records, 'use'), useFrom);
  const others = uses.filter(({ value }) => value.decisionId !== decisionId && value.withdraws !== decisionId);
  const nearest = others.toSorted((a, b) => Math.abs(a.value.at - at) - Math.abs(b.value.at - at)).slice(0, MAX_SHOWN);
  const parts = logs.found({ parent: task, kind: 'intent' }, { limit: MAX_SHOWN, isNewestFirst: false });
  return {
    uses: { ...fatesIn(records), denied: uses.filter(({ value }) => enforcedUse(value).decision === 'deny').length },
    others: nearest.toSorted((a, b) => a.value.at - b.value.at),
    more: others.length - nearest.length,
    events: readAll(logs, ofKind(records, 'event'), recordReaders.event).slice(0, MAX_SHOWN),
    parts: readAll(logs, parts, recordReaders.intent),
    ...tokenSightings(jtiDigest, logs, maxRecords),
    isCut: records.length === maxRecords,
  };
}

/** Who used a token, and where. A search of its own, since a task may have too many records, and a use may be in no task. */
function tokenSightings(
  jtiDigest: string | null,
  logs: SearchedLogs,
  maxUses: number,
): Pick<TaskRest, 'sightings' | 'areSightingsCut'> {
  if (jtiDigest === null) return { sightings: [], areSightingsCut: false };
  const found = logs.found({ token: jtiDigest, kind: 'use' }, { limit: maxUses + 1, isNewestFirst: false });
  const uses = readAll(logs, found.slice(0, maxUses), useFrom).filter(({ value }) => value.jtiDigest === jtiDigest);
  return { sightings: sightingsOf(uses), areSightingsCut: found.length > maxUses };
}

const ofKind = (records: readonly PlacedRecord[], kind: string): readonly PlacedRecord[] =>
  records.filter(({ record }) => record['kind'] === kind);

function fatesIn(records: readonly PlacedRecord[]): UsesByFate {
  const fates = new UseFates();
  for (const { record } of records) fates.see(record);
  return fates.found();
}

function sightingsOf(uses: readonly Read<UseRecord>[]): readonly Sighting[] {
  const groups = Map.groupBy(uses, ({ value, placed }) => JSON.stringify([callerOf(value), placed.log]));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const instants = group.map(({ value }) => value.at);
    const allowed = group.filter(({ value }) => value.decision === 'allow').length;
    return [
      {
        caller: callerOf(first.value),
        isVerified: first.value.agent !== null,
        log: first.placed.log,
        allowed,
        denied: group.length - allowed,
        firstMs: Math.min(...instants),
        lastMs: Math.max(...instants),
        reuse: [...new Set(group.flatMap(({ value }) => value.reuse))],
      },
    ];
  });
}

const callerOf = ({ agent, refusedCaller }: UseRecord): string | null => agent ?? refusedCaller?.id ?? null;

/** Uses of a token that its agent did not make, or made from elsewhere: those that an investigation looks at. */
export const areElsewhere = (
  { caller, log, reuse }: Sighting,
  call: { readonly agent: string | null; readonly log: string },
): boolean => caller !== call.agent || log !== call.log || reuse.some((kind) => ELSEWHERE.has(kind));

const ELSEWHERE: ReadonlySet<ReuseClass> = new Set([
  'other-identity',
  'other-certificate',
  'other-node',
  'other-server',
  'after-end',
]);

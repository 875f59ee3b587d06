/** Readers of the records that an investigation joins: another version may have written them, and they may be damaged. */
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { integer, listOf, members, oneOf, optional, orNull, text } from '../../core/runtime/fields.ts';
import type { Members, Reader } from '../../core/runtime/fields.ts';
import { MAX_RECORD_BYTES } from '../../core/ledger/encoded-record.ts';
import type { PlacedRecord, SearchedLogs } from './searched-logs.ts';

const words = text({ min: 0, max: MAX_RECORD_BYTES });
/** The range of `Date`. */
const instant = integer(0, 8.64e15);
const anything: Reader<unknown> = (value) => value;
const rules = { others: 'ignored' } as const;
/** More than a bundle can have. */
const MAX_SIGNERS = 64;

const intentMembers = {
  at: instant,
  task: orNull(words),
  agent: orNull(words),
  subject: orNull(words),
  parent: orNull(words),
  purpose: orNull(words),
  intentHash: orNull(words),
  details: anything,
  deadline: orNull(instant),
  decisionId: words,
  decision: oneOf(['allow', 'deny']),
  policyIds: listOf(words, { min: 0, max: MAX_RECORD_BYTES }),
  policySet: orNull(words),
  traceId: words,
} as const;

const tokenMembers = {
  at: instant,
  task: words,
  agent: words,
  // Absent in records of earlier versions.
  delegate: optional(orNull(words)),
  jtiDigest: words,
  audience: words,
  expires: instant,
} as const;

const endMembers = { at: instant, state: words, note: words, by: words } as const;

const outcomeMembers = {
  at: instant,
  status: orNull(integer(0, 999)),
  details: words,
  attempts: integer(0, Number.MAX_SAFE_INTEGER),
} as const;

const eventMembers = { at: instant, event: words, note: words, by: words } as const;

const origin = members(
  {
    kind: words,
    folder: optional(words),
    name: optional(words),
    version: optional(words),
    signers: optional(listOf(words, { min: 0, max: MAX_SIGNERS })),
  },
  rules,
);

const policyMembers = { at: instant, policySet: words, by: words, origin } as const;

/** An accepted or refused intent. */
export type ReadIntent = Members<typeof intentMembers>;
/** An issued token. */
export type ReadToken = Members<typeof tokenMembers>;
/** The end of a task. */
export type ReadEnd = Members<typeof endMembers>;
/** What Envoy did with a call. */
export type ReadOutcome = Members<typeof outcomeMembers>;
/** An event of a task. */
export type ReadEvent = Members<typeof eventMembers>;
/** A policy set that took effect. */
export type ReadPolicySet = Members<typeof policyMembers>;

/** A record as read, with where it is. */
export interface Read<T> {
  readonly value: T;
  readonly placed: PlacedRecord;
}

/** The readers by kind. */
export const recordReaders = {
  intent: members(intentMembers, rules),
  token: members(tokenMembers, rules),
  end: members(endMembers, rules),
  outcome: members(outcomeMembers, rules),
  event: members(eventMembers, rules),
  policy: members(policyMembers, rules),
} as const;

/** Reads records; a record that cannot be read is noted as a fault of the logs and left out. */
export const readAll = <T>(
  logs: SearchedLogs,
  records: readonly PlacedRecord[],
  reader: (record: PlacedRecord['record']) => T | Problem,
): readonly Read<T>[] =>
  records.flatMap((placed) => {
    const value = reader(placed.record);
    if (!isProblem(value)) return [{ value, placed }];
    logs.fault(`record ${placed.seq} of \`${placed.log}\` ${value.problem}`);
    return [];
  });

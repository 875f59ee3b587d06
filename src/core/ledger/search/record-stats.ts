import { integer, listOf, members, orNull, text } from '../../runtime/fields.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { argTexts } from '../recorded-args.ts';
import { decimalSumText, scaledDecimal } from './decimal-sum.ts';
import { argsOf, queryMembers } from './query-member.ts';
import type { QueryMember, RecordMembers } from './query-member.ts';

/** Members of a record by which records are grouped, besides recorded arguments. */
export const GROUPED = [
  'kind',
  'decision',
  'reason',
  'agent',
  'action',
  'task',
  'subject',
  'purpose',
  'parent',
  'delegate',
  'policy',
  'policySet',
  'host',
  'method',
  'path',
  'credential',
  'refusedAddress',
  'status',
  'finding',
  'event',
] as const;

/** What records are grouped by: a member, or `arg:NAME`. */
export type GroupedBy = (typeof GROUPED)[number] | `arg:${string}`;

/** How records are counted. */
export interface StatsOf {
  readonly by: readonly GroupedBy[];
  /** Length of the intervals in which records are counted, aligned to the Unix epoch; `null` for no intervals. */
  readonly everyMs: number | null;
  /** Recorded arguments that are added up. */
  readonly sums: readonly string[];
}

/** A group of records with equal values. */
export interface StatsGroup {
  /** In the order of `by`; `null` for records without the member. */
  readonly values: readonly (string | null)[];
  /** Begin of the interval, in milliseconds since the Unix epoch; `null` without intervals. */
  readonly from: number | null;
  readonly count: number;
  /** When the first and the last of them happened; `null` if no record says it. */
  readonly firstMs: number | null;
  readonly lastMs: number | null;
  /** Decimals in the order of `sums`. Values that are not decimals are skipped. */
  readonly sums: readonly string[];
}

interface Growing {
  readonly values: readonly (string | null)[];
  readonly from: number | null;
  count: number;
  firstMs: number | null;
  lastMs: number | null;
  readonly sums: bigint[];
}

/** Most groups; records of further groups are in the group `OTHER`. */
const MAX_GROUPS = 100_000;
const OTHER = '(other)';
/** Longest value of a group. */
const MAX_VALUE = 256;

/** Counts records by their members in one pass: how many, since when, until when, and sums of arguments. Bounded. */
export class RecordStats {
  readonly of: StatsOf;
  /** Number of all records. */
  all = 0;
  readonly #groups = new Map<string, Growing>();

  constructor(of: StatsOf) {
    this.of = of;
  }

  /** Adds a record; `null` for a record that cannot be parsed. */
  add(record: RecordMembers | null): void {
    this.all += 1;
    const members = record ?? {};
    const atMs = typeof members['at'] === 'number' ? members['at'] : null;
    const { everyMs, sums } = this.of;
    const values = this.of.by.map((name) => valueOf(members, name));
    const from = everyMs === null || atMs === null ? null : Math.floor(atMs / everyMs) * everyMs;
    const group = this.#group(values, from);
    group.count += 1;
    if (atMs !== null) {
      group.firstMs = Math.min(group.firstMs ?? atMs, atMs);
      group.lastMs = Math.max(group.lastMs ?? atMs, atMs);
    }
    if (sums.length === 0) return;
    const args = argsOf(members);
    for (const [index, name] of sums.entries()) {
      const value = Object.hasOwn(args, name) ? scaledDecimal(args[name]) : null;
      if (value !== null) group.sums[index] = (group.sums[index] ?? 0n) + value;
    }
  }

  /** The groups: by interval if there are any, then the largest first. */
  groups(): readonly StatsGroup[] {
    return [...this.#groups.values()]
      .map((group): StatsGroup => Object.assign({}, group, { sums: group.sums.map(decimalSumText) }))
      .toSorted((a, b) => (a.from ?? 0) - (b.from ?? 0) || b.count - a.count);
  }

  /** All that is counted so far, as JSON for `statsFrom`. */
  state(): StatsState {
    return { all: this.all, groups: this.groups() };
  }

  /** Adds what was counted of other records. */
  merge({ all, groups }: StatsState): void {
    this.all += all;
    for (const { values, from, count, firstMs, lastMs, sums } of groups) {
      const group = this.#group(values, from);
      group.count += count;
      if (firstMs !== null) group.firstMs = Math.min(group.firstMs ?? firstMs, firstMs);
      if (lastMs !== null) group.lastMs = Math.max(group.lastMs ?? lastMs, lastMs);
      for (const [index, sum] of sums.entries())
        group.sums[index] = (group.sums[index] ?? 0n) + (scaledDecimal(sum) ?? 0n);
    }
  }

  #group(values: readonly (string | null)[], from: number | null): Growing {
    const key = keyOf(values, from);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    if (this.#groups.size >= MAX_GROUPS && values.some((value) => value !== OTHER))
      return this.#group(
        values.map(() => OTHER),
        null,
      );
    const group = { values, from, count: 0, firstMs: null, lastMs: null, sums: this.of.sums.map(() => 0n) };
    this.#groups.set(key, group);
    return group;
  }
}

/** What was counted up to a record. */
export interface StatsState {
  readonly all: number;
  readonly groups: readonly StatsGroup[];
}

const instant = orNull((value: unknown): number | Problem =>
  typeof value === 'number' && Number.isFinite(value) ? value : { problem: 'must be a number' },
);
const decimal = text({ max: 80, grammar: { matches: (value) => scaledDecimal(value) !== null, words: 'a decimal' } });
const stateFrom = members({
  all: integer(0, Number.MAX_SAFE_INTEGER),
  groups: listOf(
    members({
      values: listOf(orNull(text({ min: 0, max: MAX_VALUE + 1 })), { min: 0, max: 16 }),
      from: instant,
      count: integer(0, Number.MAX_SAFE_INTEGER),
      firstMs: instant,
      lastMs: instant,
      sums: listOf(decimal, { min: 0, max: 16 }),
    }),
    { min: 0, max: MAX_GROUPS + 1 },
  ),
});

/** Parses a state; `null` if it is not a state of these statistics. */
export function statsStateFrom(value: unknown, { by, sums }: StatsOf): StatsState | null {
  const state = stateFrom(value);
  if (isProblem(state)) return null;
  const isOf = state.groups.every((group) => group.values.length === by.length && group.sums.length === sums.length);
  return isOf ? state : null;
}

const keyOf = (values: readonly (string | null)[], from: number | null): string => JSON.stringify([from, ...values]);

/** The value of a member of a record, several as a list; `null` if the record does not have it. */
function valueOf(record: RecordMembers, name: GroupedBy): string | null {
  const texts = name.startsWith('arg:') ? argIn(record, name.slice('arg:'.length)) : textsOf(record, name);
  if (texts.length === 0) return null;
  const whole = texts.join(', ');
  return whole.length <= MAX_VALUE ? whole : `${whole.slice(0, MAX_VALUE)}…`;
}

function argIn(record: RecordMembers, name: string): readonly string[] {
  const args = argsOf(record);
  return Object.hasOwn(args, name) ? argTexts(args[name]) : [];
}

/** Members that are read as an index reads them: no member of a record has these names. */
const indexed: ReadonlySet<string> = new Set(['policy', 'refusedAddress']);

function textsOf(record: RecordMembers, name: string): readonly string[] {
  // Safe: these two are members of an index.
  if (indexed.has(name)) return queryMembers[name as QueryMember](record);
  const value = record[name];
  if (typeof value === 'number') return [String(value)];
  return typeof value === 'string' ? [value] : [];
}

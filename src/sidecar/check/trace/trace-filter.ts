import type { UseRecord } from '../../../core/ledger/record.ts';
import type { Problem } from '../../../core/runtime/problem.ts';

/** The names of filters, each compared with a member of the record of a check. */
export const FILTER_NAMES = ['agent', 'task', 'action', 'host', 'path', 'decision', 'reason', 'trace'] as const;

type FilterName = (typeof FILTER_NAMES)[number];

/** Which checks are wanted: a check must match every filter. A value that ends in `*` matches what begins so. */
export type TraceFilter = Readonly<Partial<Record<FilterName, string>>>;

const MAX_VALUE_CHARACTERS = 2_048;

/** Parses filters, each given at most once, by their names. */
export function traceFilterFrom(given: Iterable<readonly [string, string]>): TraceFilter | Problem {
  const filter: Partial<Record<FilterName, string>> = {};
  for (const [word, value] of given) {
    const name = FILTER_NAMES.find((known) => known === word);
    if (name === undefined) return { problem: `unknown filter \`${word.slice(0, 64)}\`` };
    if (filter[name] !== undefined) return { problem: `the filter \`${name}\` is given twice` };
    if (value === '' || value.length > MAX_VALUE_CHARACTERS) {
      return { problem: `the filter \`${name}\` must have 1 to ${MAX_VALUE_CHARACTERS} characters` };
    }
    filter[name] = value;
  }
  return filter;
}

/** What filters are compared with. */
export type FilteredRecord = Pick<
  UseRecord,
  'agent' | 'refusedCaller' | 'task' | 'action' | 'host' | 'path' | 'decision' | 'reason'
>;

/** Whether a check is wanted. `traceIds` are that of its span and that of the application. */
export function matchesFilter(
  filter: TraceFilter,
  record: FilteredRecord,
  traceIds: readonly (string | null)[],
): boolean {
  const values: Readonly<Record<FilterName, readonly (string | null)[]>> = {
    agent: [record.agent, record.refusedCaller?.id ?? null],
    task: [record.task],
    action: [record.action],
    host: [record.host],
    path: [record.path],
    decision: [record.decision],
    reason: [record.reason],
    trace: traceIds,
  };
  return FILTER_NAMES.every((name) => {
    const wanted = filter[name];
    return wanted === undefined || values[name].some((value) => isLike(value, wanted));
  });
}

const isLike = (value: string | null, wanted: string): boolean =>
  value !== null && (wanted.endsWith('*') ? value.startsWith(wanted.slice(0, -1)) : value === wanted);

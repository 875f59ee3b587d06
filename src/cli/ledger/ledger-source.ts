import { reasons } from '../../core/decision/reasons.ts';
import type { CommandIo } from '../command.ts';
import { LogReader } from '../../core/ledger/log/log-reader.ts';
import { TooManyUnindexed } from '../../core/ledger/search/executed-calls.ts';
import type { RecordFilter } from '../../core/ledger/log/segment/record-filter.ts';
import { failureOfSqlite } from '../../core/sqlite/sqlite-failure.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { openStoreForReading } from '../../authority/state/sqlite/open-store.ts';
import type { StoreReader } from '../../core/state/store-reader.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { instantFrom, INSTANT_RULE, UNTIL_RULE, withInstants } from '../task/instant.ts';
import type { RecordedIn } from '../policy/recorded-tasks.ts';
import { QUERY_HELP, queryFrom, queryOptions } from './query-options.ts';
import type { QueryValues } from './query-options.ts';
import type { StateSource } from '../state/state-source.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal, sourceOf, stateOf } from '../task/task-source.ts';

/** Options of commands that read one ledger. */
export const ledgerOptions = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  ledger: { type: 'string' },
} as const;

/** Options that select records. */
export const filterOptions = {
  task: { type: 'string' },
  agent: { type: 'string' },
  action: { type: 'string' },
  decision: { type: 'string' },
  reason: { type: 'string' },
  mode: { type: 'string' },
  would: { type: 'string' },
  kind: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  trace: { type: 'string' },
  'decision-id': { type: 'string' },
  ...queryOptions,
} as const;

/** The help for `ledgerOptions`. */
export const LEDGER_HELP = `  --ledger DIR        the folder of the ledger, or a copy of it
  --config FILE       the configuration that names it; default /etc/remit/remit.yaml
  --state FILE        the state file beside which it is`;

/** The help for `filterOptions`. */
export const FILTER_HELP = `  --task ID           records of this task
  --agent SPIFFE-ID   records of this agent
  --action ID         records of this action of the catalog
  --decision WORD     allow or deny
  --reason CODE       with this reason, OAuth error, or finding
  --mode WORD         observe: uses that were only observed; enforce: all other uses
  --would WORD        observed uses that enforcing would have answered so: allow, deny, or a reason
  --kind KIND         intent, token, use, settled, end, event, outcome, finding, policy, checkpoint, pruned or emitter
  --since TIME        start, inclusive: 2026-01-02T03:04:05Z, 2026-01-02, or -2h for two hours ago (s, m, h, d)
  --until TIME        end, exclusive
  --trace ID          records of this trace
  --decision-id ID    the use with this decision id, its outcome and findings
${QUERY_HELP}`;

const kinds = [
  'intent',
  'token',
  'use',
  'settled',
  'end',
  'event',
  'outcome',
  'finding',
  'policy',
  'checkpoint',
  'pruned',
  'emitter',
];

const WOULD: ReadonlySet<string> = new Set(['allow', 'deny', ...Object.keys(reasons)]);

/** The words of a command with `filterOptions`, prepared for the option parser. */
export const filterWords = (args: readonly string[]): readonly string[] => withInstants(args, ['--since', '--until']);

/** The filter in the options, or what is wrong with them. */
export function filterFrom(
  values: QueryValues & {
    readonly [name in Exclude<keyof typeof filterOptions, keyof typeof queryOptions>]?: string | undefined;
  },
  nowMs: number,
): RecordFilter | CommandRefusal {
  const {
    task,
    agent,
    action,
    decision,
    reason,
    mode,
    would,
    kind,
    trace: traceId,
    'decision-id': decisionId,
  } = values;
  if (decision !== undefined && decision !== 'allow' && decision !== 'deny') {
    return taskRefusal('--decision must be allow or deny');
  }
  if (mode !== undefined && mode !== 'observe' && mode !== 'enforce') {
    return taskRefusal('--mode must be observe or enforce');
  }
  if (would !== undefined && !WOULD.has(would)) return taskRefusal('--would must be allow, deny or a reason code');
  if (kind !== undefined && !kinds.includes(kind)) return taskRefusal(`--kind must be one of ${kinds.join(', ')}`);
  const [sinceMs, untilMs] = [values.since, values.until].map((text) =>
    text === undefined ? undefined : instantFrom(text, nowMs),
  );
  if (sinceMs === null) return taskRefusal(`--since must be ${INSTANT_RULE}`);
  if (untilMs === null) return taskRefusal(`--until must be ${INSTANT_RULE}`);
  if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) return taskRefusal(UNTIL_RULE);
  const query = queryFrom(values);
  if (isCommandRefusal(query)) return query;
  return { task, agent, action, decision, reason, mode, would, kind, sinceMs, untilMs, traceId, decisionId, ...query };
}

/** The ledger folder that the options name. */
export async function ledgerFolderOf(
  values: { readonly [name in keyof typeof ledgerOptions]?: string | undefined },
  io: Pick<CommandIo, 'environment'>,
): Promise<string | CommandRefusal> {
  if (values.ledger !== undefined) return values.ledger;
  const source = await sourceOf(values, io);
  return isCommandRefusal(source) ? source : source.ledger;
}

/** The state that the options name, for what the ledger does not contain; `null` if they name only a ledger. */
async function stateBeside(
  values: { readonly [name in keyof typeof ledgerOptions]?: string | undefined },
  io: Pick<CommandIo, 'environment'>,
): Promise<StateSource | null | CommandRefusal> {
  const { config, state, ledger } = values;
  return config === undefined && state === undefined && ledger !== undefined ? null : stateOf(values, io);
}

/** Opens the ledger and the state file of the options for reading, passes them to `use` and closes them. */
export async function withRecords<T>(
  values: { readonly [name in keyof typeof ledgerOptions]?: string | undefined },
  io: Pick<CommandIo, 'environment'>,
  use: (records: RecordedIn) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> {
  const folder = await ledgerFolderOf(values, io);
  if (isCommandRefusal(folder)) return folder;
  const state = await stateBeside(values, io);
  if (isCommandRefusal(state)) return state;
  return withLedger<T>(folder, async (log) => {
    const store = state === null ? null : openedReader(state);
    if (isCommandRefusal(store)) return store;
    try {
      return await use({ log, store });
    } finally {
      store?.close();
    }
  });
}

/** Opens a state file for reading; `null` for a PostgreSQL, since tasks are then reconstructed from their records. */
export function openedReader(source: StateSource): StoreReader | null | CommandRefusal {
  if (source.kind === 'postgres') return null;
  const store = openStoreForReading(source.path, systemPorts);
  return isStoreFailure(store) ? taskRefusal(store.detail) : store;
}

/** Opens a ledger for reading, passes it to `use` and closes it. Refuses what cannot be read, and what needs an index (`TooManyUnindexed`). */
export async function withLedger<T>(
  folder: string,
  use: (log: LogReader) => Promise<T | CommandRefusal>,
): Promise<T | CommandRefusal> {
  try {
    const log = openLedgerIn(folder);
    if (isCommandRefusal(log)) return log;
    try {
      return await use(log);
    } finally {
      log.close();
    }
  } catch (error) {
    if (error instanceof TooManyUnindexed) return taskRefusal(error.message);
    const failure = failureOfSqlite(error);
    if (failure === null) throw error;
    return taskRefusal(`the ledger \`${folder}\` cannot be read: ${failure.detail}`);
  }
}

/** Opens a ledger for reading; refuses a folder without a ledger. Throws errors of the system and SQLite. */
export function openLedgerIn(folder: string): LogReader | CommandRefusal {
  const log = LogReader.open(folder);
  if (log === null) return taskRefusal(`no ledger in \`${folder}\``);
  return isStoreFailure(log) ? taskRefusal(log.detail) : log;
}

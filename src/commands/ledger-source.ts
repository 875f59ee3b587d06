import type { CommandIo } from './command.ts';
import { LogReader } from '../store/ledger/log-reader.ts';
import type { RecordFilter } from '../store/ledger/record-filter.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import { instantFrom, INSTANT_RULE, withInstants } from './instant.ts';
import { isRefusal, type Refusal, refusal, sourceOf } from './task-source.ts';

/** Options of the commands that read one ledger. */
export const ledgerOptions = {
  config: { type: 'string', short: 'c' },
  state: { type: 'string' },
  ledger: { type: 'string' },
} as const;

/** Those that say which records. */
export const filterOptions = {
  task: { type: 'string' },
  agent: { type: 'string' },
  action: { type: 'string' },
  decision: { type: 'string' },
  reason: { type: 'string' },
  kind: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  trace: { type: 'string' },
  'decision-id': { type: 'string' },
} as const;

/** The lines of a help text about `ledgerOptions`. */
export const LEDGER_HELP = `  --ledger DIR        the folder of the ledger, or a copy of it
  --config FILE       the configuration that names it, instead; default /etc/remit/remit.yaml
  --state FILE        the state file it lies beside, instead`;

/** The lines of a help text about `filterOptions`. */
export const FILTER_HELP = `  --task ID           of this task
  --agent SPIFFE-ID   of this agent
  --action ID         of this action of the catalog
  --decision WORD     allow or deny
  --reason CODE       with this reason, OAuth error, or finding
  --kind KIND         intent, token, use, end, event, outcome, finding, policy or checkpoint
  --since TIME        from then on: 2026-01-02T03:04:05Z, 2026-01-02, or -2h for two hours ago (s, m, h, d)
  --until TIME        before then
  --trace ID          of this trace
  --decision-id ID    the use with this decision id, its outcome and findings`;

const kinds = ['intent', 'token', 'use', 'end', 'event', 'outcome', 'finding', 'policy', 'checkpoint'];

/** Words of a command that takes `filterOptions`, as its parser needs them. */
export const filterWords = (args: readonly string[]): readonly string[] => withInstants(args, ['--since', '--until']);

/** The filter that options name, or what is wrong with them. */
export function filterFrom(
  values: { readonly [name in keyof typeof filterOptions]?: string | undefined },
  nowMs: number,
): RecordFilter | Refusal {
  const { task, agent, action, decision, reason, kind, trace: traceId, 'decision-id': decisionId } = values;
  if (decision !== undefined && decision !== 'allow' && decision !== 'deny') {
    return refusal('--decision must be allow or deny');
  }
  if (kind !== undefined && !kinds.includes(kind)) return refusal(`--kind must be one of ${kinds.join(', ')}`);
  const [sinceMs, untilMs] = [values.since, values.until].map((text) =>
    text === undefined ? undefined : instantFrom(text, nowMs),
  );
  if (sinceMs === null) return refusal(`--since must be ${INSTANT_RULE}`);
  if (untilMs === null) return refusal(`--until must be ${INSTANT_RULE}`);
  return { task, agent, action, decision, reason, kind, sinceMs, untilMs, traceId, decisionId };
}

/** The folder that options name. */
export async function ledgerFolderOf(
  values: { readonly [name in keyof typeof ledgerOptions]?: string | undefined },
  io: Pick<CommandIo, 'environment'>,
): Promise<string | Refusal> {
  if (values.ledger !== undefined) return values.ledger;
  const source = await sourceOf(values, io);
  return isRefusal(source) ? source : source.ledger;
}

/** Opens a ledger to read; a folder without one is refused. Throws the system's error, and SQLite's. */
export function openLedgerIn(folder: string): LogReader | Refusal {
  const log = LogReader.open(folder);
  if (log === null) return refusal(`there is no ledger in \`${folder}\``);
  return isStoreFailure(log) ? refusal(log.detail) : log;
}

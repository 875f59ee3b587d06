import { secondsFrom } from '../../agent/run/duration.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { DAY_MS } from '../../core/runtime/day.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { observeReport } from '../../tools/observe/observe-report.ts';
import type { ObserveReport } from '../../tools/observe/observe-report.ts';
import { ObservedUses } from '../../tools/observe/observed-uses.ts';
import type { ReadinessRule } from '../../tools/observe/readiness.ts';
import { EXIT } from '../command.ts';
import { ledgerOptions } from '../ledger/ledger-source.ts';
import { receivedOptions } from '../ledger/received-source.ts';
import { optionsFrom } from '../options.ts';
import { instantFrom, INSTANT_RULE, withInstants } from '../task/instant.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { agentLines, entryLines } from './observe-lines.ts';
import { observedFolderOf, readingUses } from './observed-records.ts';
import type { ObserveIo } from './observed-records.ts';

const MAX_DECIDED = 256;
const NAME = 'remit observe';

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  policies: { type: 'string' },
  agent: { type: 'string' },
  since: { type: 'string', default: '14d' },
  days: { type: 'string', default: '7' },
  quiet: { type: 'string', default: '24h' },
  clean: { type: 'string', default: '3d' },
  decided: { type: 'string', multiple: true },
  json: { type: 'boolean', default: false },
} as const;

/** `remit observe` without a subcommand. */
export async function observeList(args: readonly string[], io: ObserveIo): Promise<number | CommandRefusal> {
  const options = optionsFrom(withInstants(args, ['--since']), OPTIONS, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { agent, since, json, decided = [] } = options.values;
  const nowMs = systemPorts.nowMs();
  const fromMs = instantFrom(since, nowMs);
  if (fromMs === null) return taskRefusal(`--since must be ${INSTANT_RULE}`);
  if (agent !== undefined && isDeny(spiffeIdFrom(agent))) return taskRefusal('--agent must be a SPIFFE ID');
  if (decided.length > MAX_DECIDED) return taskRefusal(`--decided can be given at most ${MAX_DECIDED} times`);
  const rule = ruleFrom(options.values, { fromMs, nowMs });
  if (isCommandRefusal(rule)) return rule;
  const policies = await observedFolderOf(options.values, { io, nowMs });
  if (isCommandRefusal(policies)) return policies;
  const span = { fromMs, toMs: nowMs };
  const uses = new ObservedUses({ recentFromMs: nowMs - rule.cleanMs, decided: new Set(decided) });
  const counts = await readingUses(options.values, { span, io, name: NAME }, (record) => uses.add(record));
  if (isCommandRefusal(counts)) return counts;
  if (uses.left > 0) io.err(`${NAME}: ${uses.left} calls were not counted: there are too many agents`);
  if (policies === null)
    io.err(`${NAME}: no policy folder is known, so the entries are those that records name; --policies names it`);
  const report = ofAgent(observeReport({ uses, counts, entries: policies?.entries ?? null, span, rule }), agent);
  if (json) io.out(JSON.stringify(report));
  else for (const line of agent === undefined ? entryLines(report) : agentLines(report, agent)) io.out(line);
  return agent === undefined || isReady(report) ? EXIT.good : EXIT.no;
}

function ruleFrom(
  { days, quiet, clean }: { readonly days: string; readonly quiet: string; readonly clean: string },
  { fromMs, nowMs }: { readonly fromMs: number; readonly nowMs: number },
): ReadinessRule | CommandRefusal {
  const [asked, quietSeconds, cleanSeconds] = [Number(days), secondsFrom(quiet), secondsFrom(clean)];
  if (!/^\d{1,2}$/.test(days) || asked < 1 || asked > 90) return taskRefusal('--days must be a whole number, 1 to 90');
  if (quietSeconds === null || cleanSeconds === null)
    return taskRefusal('--quiet and --clean must be a duration such as `24h` or `3d`, at most `30d`');
  if ((nowMs - fromMs) / DAY_MS < asked - 1)
    return taskRefusal(`nothing can be seen on ${asked} days since then: choose an earlier --since, or fewer --days`);
  return { days: asked, quietMs: quietSeconds * 1_000, cleanMs: cleanSeconds * 1_000, nowMs };
}

/** The report of one agent alone: the entries under which it was seen. */
const ofAgent = (report: ObserveReport, agent: string | undefined): ObserveReport => {
  if (agent === undefined) return report;
  const entries = report.entries.flatMap((entry) => {
    const agents = entry.agents.filter((one) => one.agent === agent);
    return agents.length === 0 ? [] : [{ ...entry, agents, ready: agents.filter(({ isReady }) => isReady).length }];
  });
  return { ...report, entries };
};

const isReady = ({ entries }: ObserveReport): boolean =>
  entries.length > 0 && entries.every(({ agents, ready }) => agents.length === ready);

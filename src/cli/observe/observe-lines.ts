/** What `remit observe` prints for people. */
import { aligned, printable } from '../../core/ledger/timeline-text.ts';
import { counted } from '../../tools/doctor/counted.ts';
import type { ObserveReport, ReportedAgent, ReportedEntry } from '../../tools/observe/observe-report.ts';
import { CURVE_DAYS } from '../../tools/observe/observe-report.ts';

/** All entries, with their agents. */
export function entryLines({ entries }: ObserveReport): readonly string[] {
  if (entries.length === 0) return ['nothing is observed'];
  return entries.flatMap((entry, index) => [
    ...(index === 0 ? [] : ['']),
    printable(headOf(entry)),
    ...(entry.agents.length === 0 ? ['  no call in that time: nothing is known of it'] : entry.agents.flatMap(linesOf)),
  ]);
}

/** One agent in detail. */
export function agentLines({ entries }: ObserveReport, agent: string): readonly string[] {
  if (entries.length === 0) return [printable(`${agent} was not seen as observed in that time`)];
  return entries.flatMap((entry, index) => [
    ...(index === 0 ? [] : ['']),
    printable(headOf(entry)),
    ...entry.agents.flatMap((one) => [...linesOf(one), ...detailOf(one)]),
  ]);
}

function headOf({ id, entry, agents, ready }: ReportedEntry): string {
  const counts = agents.length === 0 ? '' : `; ${ready} of ${counted(agents.length, 'agent')} ready`;
  if (entry === null) return `${id}: not in \`enforcement.yaml\`${counts}`;
  const { until, daysLeft, owner, because } = entry;
  const left = daysLeft === 0 ? 'over: its calls are enforced' : `in ${counted(daysLeft, 'day')}`;
  return `${id}: until ${until} (${left}), ${owner}, ${because}${counts}`;
}

function linesOf({
  agent,
  calls,
  days,
  actions,
  lastDays,
  wouldBeDenied,
  denied,
  isReady,
  notReady,
}: ReportedAgent): readonly string[] {
  const curve = lastDays.map((day) => day.new).join(' ');
  const would = wouldBeDenied.map(
    ({ reason, calls: count, decided, examples: [example] }) =>
      `${reason} ${count}${decided === 0 ? '' : ` (${decided} decided)`}, such as ${example?.decisionId ?? ''}`,
  );
  return [
    `  ${agent ?? 'calls without an identity'}`,
    `    ${counted(days, 'day')}, ${counted(calls, 'call')}, ${counted(actions.length, 'action')}; first seen on each of the last ${CURVE_DAYS} days: ${curve}`,
    ...(would.length === 0 ? [] : [`    would be denied: ${would.join('; ')}`]),
    ...(denied.length === 0
      ? []
      : [`    denied although observed: ${denied.map(({ reason, calls: count }) => `${reason} ${count}`).join(', ')}`]),
    ...(isReady ? ['    ready'] : notReady.map(({ why, help }) => `    not ready: ${why}: ${help}`)),
  ].map(printable);
}

/** Most actions that are printed; `--json` has all. */
const MAX_ACTIONS = 200;

function detailOf({ lastDays, actions, wouldBeDenied }: ReportedAgent): readonly string[] {
  const more = actions.length - MAX_ACTIONS;
  return [
    '',
    ...table(
      ['DAY', 'CALLS', 'NEW ACTIONS'],
      lastDays.map((day) => [day.day, String(day.calls), String(day.new)]),
    ),
    '',
    ...table(
      ['ACTION', 'CALLS', 'FIRST SEEN', 'LAST SEEN'],
      actions.slice(0, MAX_ACTIONS).map(({ name, calls, first, last }) => [name, String(calls), first, last]),
    ),
    ...(more > 0 ? [`    and ${more} more: --json has all`] : []),
    ...(wouldBeDenied.length === 0 ? [] : ['']),
    ...table(
      ['WOULD BE DENIED', 'CALLS', 'DECIDED', 'DECISION', 'WHAT'],
      wouldBeDenied.flatMap(({ reason, calls, decided, examples }) =>
        examples.map(({ decisionId, what }, index) =>
          index === 0 ? [reason, String(calls), String(decided), decisionId, what] : ['', '', '', decisionId, what],
        ),
      ),
    ),
  ];
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] =>
  rows.length === 0 ? [] : aligned([head, ...rows.map((row) => row.map(printable))]).map((line) => `    ${line}`);

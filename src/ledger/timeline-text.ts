import type { EventRecord, IntentRecord, LedgerRecord, UseRecord } from './record.ts';
import type { TimelineEntry } from './timeline.ts';

const HEAD: readonly string[] = ['TIME', 'WHAT', 'DECISION', 'REASON', 'POLICIES', 'TRACE'];
const NONE = '-';
/** A cell that is longer pushes its own row alone. */
const MAX_COLUMN = 72;

/** A timeline as a table for people, by time, a line each, the names of the columns first; times are UTC. */
export function timelineText(entries: readonly TimelineEntry[]): readonly string[] {
  const byTime = entries.toSorted((a, b) => a.at - b.at);
  const rows = [HEAD, ...byTime.map((entry) => [new Date(entry.at).toISOString(), ...cellsOf(entry)].map(printable))];
  const widths = HEAD.map((_, column) =>
    Math.min(MAX_COLUMN, Math.max(...rows.map((row) => row[column]?.length ?? 0))),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Text that a terminal shows and does not obey: records repeat words of clients. */
export const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');

/** What, decision, reason, policies, trace. */
function cellsOf(record: LedgerRecord): readonly string[] {
  switch (record.kind) {
    case 'intent':
      return [`intent: ${record.purpose || NONE}`, ...decided(record, record.error), record.traceId];
    case 'token': {
      const until = new Date(record.expires).toISOString().slice(11, 19);
      return [`token for ${record.audience} until ${until}`, NONE, NONE, NONE, record.traceId];
    }
    case 'use':
      return [useText(record), ...decided(record, null), record.traceId];
    case 'end':
      return [`${record.state} by ${record.by}: ${record.cause || NONE}`, NONE, NONE, NONE, NONE];
    case 'event':
      return [`${eventText[record.event]} by ${record.by}: ${record.cause || NONE}`, NONE, NONE, NONE, NONE];
    case 'policy': {
      const what = `policy set of ${record.policies} policies and ${record.actions} actions in force`;
      return [what, NONE, NONE, record.policySet, NONE];
    }
    case 'checkpoint':
      return [`checkpoint of ${record.size} records`, NONE, NONE, NONE, NONE];
    default:
      return [`unknown record ${String(record satisfies never)}`];
  }
}

const eventText: Readonly<Record<EventRecord['event'], string>> = {
  suspended: 'suspended',
  resumed: 'resumed',
  context: 'context changed',
  risk: 'risk changed',
  'token-revoked': 'token revoked',
  'binding-violation': 'token presented by another workload, noticed',
  signal: 'signal',
};

const useText = (use: UseRecord): string =>
  [
    use.tokenUse === null ? 'use' : `use ${use.tokenUse}`,
    `${use.action ?? NONE} ${use.method} ${use.host}${use.path}`,
  ].join(': ');

const decided = (record: UseRecord | IntentRecord, error: string | null): readonly string[] => [
  record.decision,
  record.reason ?? error ?? NONE,
  record.policyIds.join(' ') || NONE,
];

import type { JsonValue } from './canonical-json.ts';
import type { EventRecord, IntentRecord, LedgerRecord, PolicyRecord, UseRecord } from './record.ts';
import type { FindingRecord, OutcomeRecord } from './outcome-record.ts';
import type { EmitterRecord } from './log-record.ts';
import type { TimelineEntry } from './timeline.ts';

/** The columns of `cellsOf`. */
export const CELLS: readonly string[] = ['WHAT', 'CALLER', 'DECISION', 'REASON', 'POLICIES', 'TRACE'];
const HEAD: readonly string[] = ['TIME', ...CELLS];
const NONE = '-';
/** A longer cell shifts its own row only. */
const MAX_COLUMN = 72;

/**
 * A timeline as a table for people, sorted by time (UTC), one line per record after the column names. The outcome of a use
 * follows it.
 */
export function timelineText(entries: readonly TimelineEntry[]): readonly string[] {
  return aligned([
    HEAD,
    ...inOrder(entries).map((entry) => [new Date(entry.at).toISOString(), ...cellsOf(entry)].map(printable)),
  ]);
}

/** Aligns rows of cells in columns. The first row has the most cells. */
export function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((most, row) => Math.min(MAX_COLUMN, Math.max(most, row[column]?.length ?? 0)), 0),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function inOrder(entries: readonly TimelineEntry[]): readonly TimelineEntry[] {
  const uses = new Set(entries.flatMap((entry) => (entry.kind === 'use' ? [entry.decisionId] : [])));
  const under = Map.groupBy(entries, (entry) => {
    const isOfUse = entry.kind === 'outcome' || entry.kind === 'finding' || entry.kind === 'settled';
    return isOfUse && entry.decisionId !== null && uses.has(entry.decisionId) ? entry.decisionId : null;
  });
  const byTime = (under.get(null) ?? []).toSorted((a, b) => a.at - b.at);
  return byTime.flatMap((entry) => {
    const outcomes = entry.kind === 'use' ? under.get(entry.decisionId) : undefined;
    return outcomes === undefined ? entry : Array.of<TimelineEntry>(entry).concat(outcomes);
  });
}

/** Replaces control and format characters by `?`, so that a terminal never obeys text of clients. */
export const printable = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');

/** A record as cells for people: what, caller, decision, reason, policies, trace. Not yet passed through `printable`. */
export function cellsOf(record: LedgerRecord): readonly string[] {
  const [what = '', ...rest] = withoutCaller(record);
  return [what, callerOf(record), ...rest];
}

/** Who called, declared the intent, or was given the token. What a refused caller presented is not verified: its record says why it was refused. */
function callerOf(record: LedgerRecord): string {
  if (record.kind === 'intent' || record.kind === 'token') return record.agent ?? NONE;
  return record.kind === 'use' ? (record.agent ?? record.refusedCaller?.id ?? NONE) : NONE;
}

function withoutCaller(record: LedgerRecord): readonly string[] {
  switch (record.kind) {
    case 'intent':
      return [`intent: ${record.purpose || NONE}`, ...decided(record, record.error), record.traceId];
    case 'token': {
      const until = new Date(record.expires).toISOString().slice(11, 19);
      // Earlier versions did not record a delegate.
      const by = (record.delegate ?? null) === null ? '' : `, for the delegate ${record.delegate}`;
      return [`token for ${record.audience} until ${until}${by}`, NONE, NONE, NONE, record.traceId];
    }
    case 'use':
      return [useText(record), ...usedAs(record), record.traceId];
    case 'settled':
      return [`  recorded by an authority with the settlement of use ${record.decisionId}`, NONE, NONE, NONE, NONE];
    case 'end':
      return [`${record.state} by ${record.by}: ${record.note || NONE}`, NONE, NONE, NONE, NONE];
    case 'event':
      if (record.event === 'binding-violation')
        return [`token presented by ${record.by}, to whom it was not issued`, NONE, NONE, NONE, NONE];
      return [
        `${eventText[record.event]}${orderText(record)} by ${record.by}: ${record.note || NONE}`,
        NONE,
        NONE,
        NONE,
        NONE,
      ];
    case 'policy': {
      const what = `policy set of ${record.policies} policies and ${record.actions} actions in force${originText(record.origin)}`;
      return [what, NONE, NONE, record.policySet, NONE];
    }
    case 'checkpoint':
      return [`checkpoint of ${record.size} records`, NONE, NONE, NONE, NONE];
    case 'pruned': {
      const what = `records ${record.from} to ${record.to} pruned: ${record.segments} segments of ${record.bytes} bytes`;
      return [what, NONE, record.rules.join(' '), NONE, NONE];
    }
    case 'emitter': {
      const what = `${emitterText[record.event]}: ${record.size} records of \`${record.origin}\` from ${record.by}`;
      return [what, NONE, record.why ?? NONE, NONE, NONE];
    }
    case 'outcome':
      return [outcomeText(record), NONE, record.details || NONE, NONE, NONE];
    case 'finding': {
      const many = record.count === 1 ? '' : ` (${record.count} times)`;
      return [`  ! ${findingText[record.finding]}${many}`, NONE, record.finding, NONE, NONE];
    }
    default:
      return [`unknown record ${String(record satisfies never)}`];
  }
}

/** Decision, reason and policies of a use; of an observed use what it would have been. */
function usedAs(record: UseRecord): readonly string[] {
  const { mode, would } = record;
  if (mode === undefined || would === undefined) return decided(record, null);
  return [
    `${record.decision}, observed: would ${would.decision}`,
    would.reason ?? NONE,
    would.policyIds.join(' ') || NONE,
  ];
}

/** Empty for a version that did not record it. */
function originText(origin: PolicyRecord['origin'] | undefined): string {
  if (origin === undefined) return '';
  return origin.kind === 'folder'
    ? ` from ${origin.folder}`
    : ` from ${origin.from}, version ${origin.version}, signed by ${signersOf(origin).join(' and ')}`;
}

/** Earlier versions recorded one `keyId`. */
const signersOf = ({ signers, keyId }: { readonly signers?: readonly string[]; readonly keyId?: string | null }) =>
  signers ?? [keyId ?? 'a key without an id'];

const eventText: Readonly<Record<Exclude<EventRecord['event'], 'binding-violation'>, string>> = {
  suspended: 'suspended',
  resumed: 'resumed',
  context: 'context changed',
  risk: 'risk changed',
  'token-revoked': 'token revoked',
  signal: 'signal',
  refused: 'calls denied without a check',
  restored: 'state file restored from a backup',
  'stop-lifted': 'like tasks allowed again',
  'key-revoked': 'signing key revoked',
  receipt: 'receipt',
  'order-made': 'order given',
  'order-lifted': 'order lifted',
  'order-over': 'order ended',
  'records-missing': 'records of the database missing',
};

/** The kind, id and scope of the order that an event is about, such as ` stop 0123456789abcdef`; empty for other events. */
const orderText = ({ event, details: { of, order } }: EventRecord): string =>
  event.startsWith('order-') && typeof of === 'string' && typeof order === 'string' ? ` ${of} ${order}` : '';

const emitterText: Readonly<Record<EmitterRecord['event'], string>> = {
  joined: 'sidecar joined',
  checkpoint: 'checkpoint of a sidecar',
  left: 'sidecar left',
  lost: 'sidecar lost',
  refused: 'records of a sidecar refused',
  taken: 'log of a sidecar goes on at another authority',
  pruned: 'records of a sidecar deleted by the retention',
};

const findingText: Readonly<Record<FindingRecord['finding'], string>> = {
  bypass: 'sent to an upstream without a check',
  'failure-mode-allowed': 'sent to an upstream although the check failed',
  'denied-but-served': 'sent to an upstream although it was denied',
  'outcome-missing': 'the outcome is missing',
  'access-log-lost': 'the access log disconnected',
};

/** Status, duration, body sizes, and anything unusual. */
function outcomeText(outcome: OutcomeRecord): string {
  const { durationMs, upstreamMs, requestBytes, responseBytes, attempts, flags } = outcome;
  const upstream = upstreamMs === null ? '' : ` (upstream ${Math.round(upstreamMs)} ms)`;
  const words = [
    outcome.status === null ? 'no answer' : String(outcome.status),
    ...(durationMs === null ? [] : [`${Math.round(durationMs)} ms${upstream}`]),
    `${requestBytes} B in`,
    `${responseBytes} B out`,
    ...(attempts > 1 ? [`${attempts} attempts`] : []),
    ...(flags.length === 0 ? [] : [`flags ${flags.join(' ')}`]),
    ...(outcome.known ? [] : ['decided elsewhere or before a restart']),
  ];
  return `  outcome: ${words.join(', ')}`;
}

const useText = (use: UseRecord): string =>
  [
    use.tokenUse === null ? 'use' : `use ${use.tokenUse}`,
    `${use.action ?? NONE} ${use.method} ${use.host}${use.path}${argsText(use.args)}${carriedText(use.carried)}`,
    ...(use.usedElsewhere === undefined ? [] : [`used elsewhere before, span ${use.usedElsewhere.spanId}`]),
    ...(use.withdraws === undefined ? [] : [`withdraws ${use.withdraws}`]),
  ].join(': ');

/** Recorded arguments of a use, such as ` amount=250 currency="EUR"`. */
export const argsText = (args: UseRecord['args'] = {}): string =>
  Object.entries(args)
    .map(([name, value]) => ` ${name}=${JSON.stringify(value)}`)
    .join('');

/** What a call carried beside its arguments, such as ` carried=["inputResponses/amount"] headers=["x-user-id"]`. */
const carriedText = (carried: UseRecord['carried']): string =>
  carried === undefined ? '' : `${namesText('carried', carried)}${namesText('headers', carried['headers'] ?? null)}`;

/** The names of the parts, as a record has them. */
const namesText = (word: string, recorded: JsonValue): string =>
  recorded === null || typeof recorded !== 'object' || !('names' in recorded)
    ? ''
    : ` ${word}=${JSON.stringify(recorded['names'])}`;

const decided = (record: UseRecord | IntentRecord, error: string | null): readonly string[] => [
  record.decision,
  record.reason ?? error ?? NONE,
  record.policyIds.join(' ') || NONE,
];

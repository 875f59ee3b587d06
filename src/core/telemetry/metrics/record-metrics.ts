import type { EncodedRecord } from '../../ledger/encoded-record.ts';
import type { EndRecord, EventRecord, IntentRecord, LedgerRecord } from '../../ledger/record.ts';
import { kindOf } from '../../task/cause.ts';
import type { MetricFamilies } from './metrics.ts';

/** Called with records once they are on disk. It must not throw. */
export type RecordObserver = (records: readonly EncodedRecord[]) => void;

type Counted = Pick<
  MetricFamilies,
  'ledgerRecords' | 'intents' | 'intentsAfterStop' | 'tokensIssued' | 'taskEnds' | 'bindingViolations' | 'signals'
>;

/** Counts records. Uses, by far the most, are counted without parsing. */
export function recordMetrics(metrics: Counted): RecordObserver {
  const uses = metrics.ledgerRecords.of({ kind: 'use' });
  const tokens = metrics.tokensIssued.of({});
  return (records) => {
    for (const record of records) {
      if (record.kind === 'use') {
        uses.inc();
        continue;
      }
      metrics.ledgerRecords.of({ kind: record.kind }).inc();
      if (record.kind === 'token') tokens.inc();
      else if (COUNTED_BY_CONTENT.has(record.kind)) count(metrics, recordIn(record));
    }
  };
}

/** Kinds that are parsed again: there are few. */
const COUNTED_BY_CONTENT: ReadonlySet<LedgerRecord['kind']> = new Set(['intent', 'end', 'event']);

/** INVARIANT: only `encodedRecord` makes these bytes. */
const recordIn = ({ bytes }: EncodedRecord): LedgerRecord =>
  JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as LedgerRecord;

function count(metrics: Counted, record: LedgerRecord): void {
  if (record.kind === 'intent') countIntent(metrics, record);
  if (record.kind === 'end') countEnd(metrics, record);
  if (record.kind === 'event') countEvent(metrics, record);
}

function countIntent({ intents, intentsAfterStop }: Counted, { decision, reason }: IntentRecord): void {
  intents.of({ decision }).inc();
  if (reason === 'task.stopped') intentsAfterStop.of({}).inc();
}

const countEnd = ({ taskEnds }: Counted, record: EndRecord): void =>
  taskEnds.of({ state: record.state, cause: kindOf(record.cause) }).inc();

function countEvent({ bindingViolations, signals }: Counted, { event, details }: EventRecord): void {
  if (event === 'binding-violation') bindingViolations.of({}).inc();
  if (event === 'signal') signals.of({ effect: effectIn(details) }).inc();
}

const effects = ['revoke', 'suspend', 'risk', 'ask', 'attest', 'stop-agent', 'stop-user'] as const;

const effectIn = (details: EventRecord['details']) =>
  effects.find((effect) => effect === details['effect']) ?? 'ignore';

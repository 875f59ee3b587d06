import { getHeapStatistics } from 'node:v8';
import { servedCallFrom } from '../../src/sidecar/envoy/access-log/access-log-entry.ts';
import { logMessageFrom } from '../../src/sidecar/envoy/access-log/access-log-message.ts';
import type { ByteRange } from '../../src/core/protobuf/reader.ts';
import { encodedRecord } from '../../src/core/ledger/encoded-record.ts';
import { type LedgerRecord } from '../../src/core/ledger/record.ts';
import { Outcomes } from '../../src/sidecar/outcome/outcomes.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { capturedEntries } from '../sidecar/envoy/captured-entries.ts';
import { accessLogEntryType } from '../sidecar/envoy/protos.ts';
import { delimitedField } from '../sidecar/envoy/rewritten.ts';
import { sha256Of, shownText } from '../../src/core/action/secrets/static-secret.ts';
import { decisionId, useNumber } from '../sidecar/outcome/samples.ts';

/**
 * What an entry of Envoy's access log costs the main thread, in messages of 20 entries, as Envoy sends them: for the codec alone, which
 * builds objects of all fields in `proto/`; for the reader; for the join with a use among 500 waiting ones; and for that with the bytes of
 * the record. The contenders take turns in one run; medians count. Processor time is that of the thread. `node test/bench/access-log.ts`
 */
const ROUNDS = 25;
const MESSAGES = 2_000;
const MESSAGE_ENTRIES = 20;
const WAITING_MESSAGES = 25;
const ENTRIES = MESSAGES * MESSAGE_ENTRIES;

interface Contender {
  readonly name: string;
  /** Processes the message with this number. */
  readonly take: (bytes: Buffer, message: number) => void;
}

interface Cost {
  readonly us: number;
  readonly allocated: number;
}

const captured = capturedEntries['1.40.0, an allowed call'];
const idAt = captured.indexOf('decision_id') + 'decision_id'.length + 4;

/** An entry with its own decision id. */
function entryNumber(n: number): Buffer {
  const entry = Buffer.from(captured);
  entry.write(decisionId(n), idAt, 'latin1');
  return entry;
}

const numbersOf = (message: number): readonly number[] =>
  Array.from({ length: MESSAGE_ENTRIES }, (_, n) => message * MESSAGE_ENTRIES + n);
const messageNumbers = Array.from({ length: MESSAGES }, (_, message) => message);
const uses = messageNumbers.map((message) => numbersOf(message).map((n) => useNumber(n)));
const messages = messageNumbers.map((message) => {
  const entries = numbersOf(message).map((n) => delimitedField(1, entryNumber(n)).bytes);
  return delimitedField(2, Buffer.concat(entries)).bytes;
});

function ofEach(bytes: Buffer, take: (bytes: Buffer, entry: ByteRange) => void) {
  const message = logMessageFrom(bytes);
  if ('problem' in message) throw new Error(message.problem);
  for (const entry of message.entries) take(bytes, entry);
}

function readEntry(bytes: Buffer, entry: ByteRange) {
  const call = servedCallFrom(bytes, entry);
  if (call === null || 'problem' in call || call.decision === null) throw new Error('the entry could not be read');
  return call;
}

/** Reads and joins; each use is known. */
function joining(name: string, append: (record: LedgerRecord) => boolean): Contender {
  let unknown = 0;
  const outcomes = new Outcomes(
    {
      shown: (text) => shownText(text, sha256Of),
      ledger: {
        queued: 0,
        append: (record) => {
          if (record.kind !== 'outcome' || !record.known) unknown += 1;
          return append(record);
        },
      },
      ports: systemPorts,
      newDecisionId: () => '',
      after: () => () => undefined,
      log: () => undefined,
    },
    { expected: 'auto', timeoutSeconds: 60 },
  );
  const answerUsesOf = (message: number): void => {
    for (const use of uses[message] ?? []) outcomes.answered(use);
  };
  return {
    name,
    take: (bytes, message) => {
      if (message === 0) for (let ahead = 0; ahead < WAITING_MESSAGES; ahead += 1) answerUsesOf(ahead);
      if (message + WAITING_MESSAGES < MESSAGES) answerUsesOf(message + WAITING_MESSAGES);
      ofEach(bytes, (from, entry) => void outcomes.served(readEntry(from, entry)));
      if (unknown > 0) throw new Error('a use was not known');
    },
  };
}

const contenders: readonly Contender[] = [
  {
    name: 'the codec alone',
    take: (bytes) =>
      ofEach(bytes, (from, entry) => accessLogEntryType.deserialize(from.subarray(entry.from, entry.to))),
  },
  { name: 'read', take: (bytes) => ofEach(bytes, readEntry) },
  joining('read and joined', () => true),
  joining('and its record encoded', (record) => !('problem' in encodedRecord(record))),
];

const costs = contenders.map((): Cost[] => []);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [index, contender] of contenders.entries()) costs[index]?.push(costOf(contender));
}
process.stdout.write(`an entry of ${captured.length} bytes    us of processor   bytes allocated\n`);
for (const [index, { name }] of contenders.entries()) {
  const column = (of: keyof Cost, digits: number): string =>
    median((costs[index] ?? []).map((cost) => cost[of])).toFixed(digits);
  process.stdout.write(
    `${[name.padEnd(24), column('us', 2).padStart(15), column('allocated', 0).padStart(15)].join('   ')}\n`,
  );
}

/** What one entry costs. */
function costOf({ take }: Contender): Cost {
  const [atFirst, before] = [allocated(), process.threadCpuUsage()];
  for (const [number, message] of messages.entries()) take(message, number);
  const { user, system } = process.threadCpuUsage(before);
  return { us: (user + system) / ENTRIES, allocated: (allocated() - atFirst) / ENTRIES };
}

/** Bytes ever allocated on the heap. */
function allocated(): number {
  return getHeapStatistics().total_allocated_bytes;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

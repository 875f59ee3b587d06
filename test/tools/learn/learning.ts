/** Learning from records that a test makes. */
import type { Command } from '../../../src/cli/command.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { learn } from '../../../src/tools/learn/learn.ts';
import type { Learnt, LearnRequest } from '../../../src/tools/learn/learn.ts';
import type { RecordSource } from '../../../src/tools/learn/record-window.ts';
import { must } from '../../builders/must.ts';
import { useRecord } from '../../builders/ledger-record.ts';
import { ran } from '../../cli/ledgers.ts';

/** The leaf of a record as a ledger has it. */
export const leafOf = (record: object, seq: number): { readonly seq: number; readonly bytes: Uint8Array } => ({
  seq,
  bytes: Buffer.from(`{"boot":"${'0'.repeat(32)}","mono":1,"prev":"","record":${JSON.stringify(record)},"seq":${seq}}`),
});

/** A log of these records. */
export const logOf =
  (records: readonly object[]): RecordSource =>
  () =>
    records.map((record, index) => leafOf(record, index + 1));

/** What is learnt from records. The span is theirs, and so long after them that nothing is judged, unless it is given. */
export const learnFrom = async (records: readonly UseRecord[], change: Partial<LearnRequest> = {}): Promise<Learnt> =>
  must(await learningFrom(records, change));

/** The same, with a problem where nothing is learnt. */
export const learningFrom = (
  records: readonly UseRecord[],
  change: Partial<LearnRequest> = {},
): ReturnType<typeof learn> => {
  const instants = records.map(({ at }) => at);
  const [fromMs, lastMs] = [Math.min(...instants), Math.max(...instants)];
  return learn({
    sources: [logOf(records)],
    span: { fromMs, toMs: lastMs + Math.ceil((lastMs - fromMs + 10) / 2) },
    agents: [],
    described: { tools: new Map(), methods: new Map(), operations: new Map(), descriptorSet: null },
    descriptorFiles: new Map(),
    operationOf: () => null,
    beside: null,
    onProgress: () => undefined,
    ...change,
  });
};

let made = 0;

/** The record of an observed call that no catalog knows. */
export const observedUse = (change: Partial<UseRecord> = {}): UseRecord => {
  made += 1;
  return useRecord({
    agent: 'spiffe://acme.test/ns/a/sa/one',
    at: Date.UTC(2026, 10, 20) + made * 1_000,
    credential: 'workload-identity',
    decisionId: `use-${made}`,
    host: 'shop.acme.test',
    mode: 'observe',
    path: '/',
    policyGeneration: 1,
    shape: { protocol: 'http', query: [] },
    would: { decision: 'deny', reason: 'action.unknown', detail: null, policyIds: [] },
    ...change,
  });
};

/** The same call several times. */
export const times = (count: number, change: Partial<UseRecord>): readonly UseRecord[] =>
  Array.from({ length: count }, () => observedUse(change));

/** Runs a command on a folder, as a user would. */
export const ranOn = ({ run }: Pick<Command, 'run'>, folder: string): ReturnType<typeof ran> => ran(run, folder);

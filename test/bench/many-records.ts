import { appendFileSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packText } from '../../src/authority/records/pack.ts';
import { packFilesIn, packPath } from '../../src/authority/records/received-pack.ts';
import { recordFileName, recordFilesIn } from '../../src/authority/records/record-files.ts';
import { encodedRecord } from '../../src/core/ledger/encoded-record.ts';
import { leafBytes } from '../../src/core/ledger/proof/leaf.ts';
import type { LedgerRecord } from '../../src/core/ledger/record.ts';
import type { SpiffeId } from '../../src/core/identity/spiffe-id.ts';
import { must } from '../builders/must.ts';
import { mustOpenLog, settingsIn } from '../core/ledger/log/logs.ts';

/**
 * Records as a fleet makes them: 5,000 tasks at a time of 400 agents at 40 sidecars, for each use its outcome, one in 50 denied, one in 10,000 allowed and
 * not executed. Record `n` is the same in each run.
 */

/** 1 Jan 2026. */
export const START_MS = 1_767_225_600_000;
/** Milliseconds between two records of the fleet. */
const EVERY_MS = 40;

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');
const idOf = (kind: number, n: number): string => `019b7000-${hex(kind, 4)}-7000-8000-${hex(n, 12)}`;

/** Each task has so many uses. */
const USES_OF_TASK = 40;
const TASKS_AT_ONCE = 5_000;

const taskOf = (use: number): number =>
  Math.floor(use / (TASKS_AT_ONCE * USES_OF_TASK)) * TASKS_AT_ONCE + (use % TASKS_AT_ONCE);

const isDenied = (use: number): boolean => use % 50 === 7;
const isLost = (use: number): boolean => use % 10_000 === 9_999;

/** Record `n` of a fleet: uses and outcomes in turn. */
export function recordOfFleet(n: number): LedgerRecord {
  const use = Math.floor(n / 2);
  const task = taskOf(use);
  const decision = isDenied(use) ? 'deny' : 'allow';
  const common = {
    at: START_MS + n * EVERY_MS,
    task: idOf(1, task),
    agent: `spiffe://acme.test/ns/agents/sa/agent-${task % 400}` as SpiffeId,
    action: `payments.${['read', 'list', 'pay', 'refund'][task % 4] ?? ''}`,
    decision,
    decisionId: idOf(2, use),
  } as const;
  if (n % 2 === 1) {
    const isAnswered = decision === 'allow' && !isLost(use);
    return {
      ...common,
      kind: 'outcome',
      known: true,
      status: isAnswered ? 200 : 503,
      details: isAnswered ? 'via_upstream' : 'upstream_reset_before_response_started',
      flags: [],
      durationMs: 3,
      upstreamMs: 2,
      requestBytes: 100,
      responseBytes: 900,
      attempts: isAnswered ? 1 : 0,
      upstreamCluster: 'payments',
    };
  }
  return {
    ...common,
    kind: 'use',
    args: { amount: use % 5_000, payment: `p-${use}` },
    credential: 'task-token',
    detail: null,
    host: 'payments.acme.test',
    jtiDigest: Buffer.from(hex(task, 64), 'hex').toString('base64url'),
    method: 'POST',
    path: `/v1/payments/p-${use}`,
    policyGeneration: 1,
    policyIds: [decision === 'allow' ? `payments-${task % 200}` : 'payments-forbid'],
    policySet: `sha-256:set-${Math.floor(use / 1_000_000)}`,
    reason: decision === 'allow' ? null : 'policy.forbidden',
    refusedCaller: use % 5_000 === 1_234 ? { address: `10.0.${(use >>> 8) % 256}.${use % 256}`, id: 'x' } : null,
    reuse: ['same-trace'],
    spanId: hex(use, 16),
    tokenUse: 1 + (use % USES_OF_TASK),
    traceId: hex(use, 32),
  };
}

/**
 * Writes the ledger of one Remit, in segments of 256 MiB; the log's clock goes with the records. Calls back with the number of records so far. Returns the
 * folder of the log.
 */
export function writeLedger(
  at: string,
  { count, recordAt }: { readonly count: number; readonly recordAt: (n: number) => LedgerRecord },
  onRecords: (count: number) => void,
): string {
  const settings = settingsIn(at, {
    segment: { maxBytes: 256 * 1024 ** 2, maxAgeMs: Number.MAX_SAFE_INTEGER },
    retain: { maxBytes: Number.MAX_SAFE_INTEGER, maxAgeMs: Number.MAX_SAFE_INTEGER },
  });
  const clock = { nowMs: START_MS };
  const log = mustOpenLog(settings, {
    nowMs: () => clock.nowMs,
    monotonicMs: () => clock.nowMs,
    randomBytes: (length) => Buffer.alloc(length, 7),
  });
  const batch = 1_000;
  for (let n = 0; n < count; n += batch) {
    const records = Array.from({ length: Math.min(batch, count - n) }, (_, index) => recordAt(n + index));
    clock.nowMs = records[0]?.at ?? clock.nowMs;
    const outcome = log.append(
      records.map((each) => ({ bytes: must(encodedRecord(each)).bytes, outbox: null })),
      'f'.repeat(32),
    );
    must(outcome ?? 'done');
    if (log.isCheckpointDue) log.checkpoint();
    onRecords(n + records.length);
  }
  log.close();
  return settings.folder;
}

const SIDECARS = 40;
const SECTION = 400;
const FILE_BYTES = 64 * 1024 ** 2;

/** Writes records into files as an authority keeps them, each sidecar's in sections. Calls back with the number of records so far. */
export function writeReceived(folder: string, count: number, onRecords: (count: number) => void): number {
  mkdirSync(folder, { recursive: true });
  const sizes = Array.from({ length: SIDECARS }, () => 0);
  let bytes = 0;
  let file = '';
  let inFile = FILE_BYTES;
  for (let n = 0; n < count; n += SECTION) {
    const sidecar = (n / SECTION) % SIDECARS;
    const from = sizes[sidecar] ?? 0;
    const leaves = Array.from({ length: Math.min(SECTION, count - n) }, (_, index) => {
      const encoded = must(encodedRecord(recordOfFleet(n + index)));
      const seq = from + index + 1;
      const prev = seq === 1 ? null : PREV;
      return must(leafBytes(encoded.bytes, { boot: 'a'.repeat(32), mono: n + index, prev, seq }));
    });
    sizes[sidecar] = from + leaves.length;
    const text = packText([
      {
        origin: `remit.acme.test/tools-${sidecar}/${hex(sidecar, 32)}`,
        id: `spiffe://acme.test/ns/tools/sa/tools-${sidecar}`,
        verifierKey: 'key',
        term: 0,
        from,
        tree: 'tree',
        last: '',
        leaves,
        checkpoints: [],
      },
    ]);
    if (inFile >= FILE_BYTES) {
      file = join(folder, recordFileName(START_MS + n * EVERY_MS, Buffer.from(hex(n, 8), 'hex')));
      inFile = 0;
    }
    appendFileSync(file, text);
    inFile += text.length;
    bytes += text.length;
    onRecords(n + leaves.length);
  }
  return bytes;
}

const PREV = new Uint8Array(32);

/**
 * Makes the records and the packs of a folder many: each copy has the same files under other names (hard links) and packs of its own, of other logs. So a
 * value is found as many times as there are copies, and the pages of the files are in memory once.
 */
export function copyReceived(folder: string, copies: number): void {
  const packs = packFilesIn(folder);
  const files = recordFilesIn(folder);
  let number = packs.at(-1)?.number ?? 0;
  for (let copy = 1; copy < copies; copy += 1) {
    for (const file of files) linkSync(file, join(folder, nameOf(basename(file), copy)));
    for (const { path } of packs) {
      const bytes = readFileSync(path);
      const length = bytes.readUInt32BE(MAGIC_BYTES);
      const head = JSON.parse(bytes.toString('utf8', MAGIC_BYTES + 4, MAGIC_BYTES + 4 + length)) as PackHead;
      const text = Buffer.from(
        JSON.stringify({
          ...head,
          extents: head.extents.map(([name, from, to]) => [nameOf(name, copy), from, to]),
          origins: head.origins.map((origin) => `${origin}-${copy}`),
        }),
      );
      const start = Buffer.from(bytes.subarray(0, MAGIC_BYTES + 4));
      start.writeUInt32BE(text.length, MAGIC_BYTES);
      number += 1;
      writeFileSync(packPath(folder, number), Buffer.concat([start, text, bytes.subarray(MAGIC_BYTES + 4 + length)]));
    }
  }
}

/** The head of a pack, as far as it is changed. */
interface PackHead {
  readonly extents: readonly (readonly [name: string, from: number, to: number])[];
  readonly origins: readonly string[];
}

const MAGIC_BYTES = 8;

/** The name of a file in a copy: begun a millisecond later for each. */
const nameOf = (name: string, copy: number): string =>
  name.replace(
    /^records-(\d{16})/,
    (_, digits: string) => `records-${String(Number(digits) + copy).padStart(16, '0')}`,
  );

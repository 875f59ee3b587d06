import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Command } from '../../src/cli/command.ts';
import type { LogSettings } from '../../src/core/ledger/log/log-settings.ts';
import type { SegmentLog } from '../../src/core/ledger/log/log.ts';
import { mustOpenLog, portsAt, settingsIn } from '../core/ledger/log/logs.ts';
import { commandRun } from '../builders/command-run.ts';
import { allowedUse } from '../builders/ledger-record.ts';

/** 1 Jan 2026. */
export const START_MS = 1_767_225_600_000;

/** A ledger on disk. */
export interface DiskLedger {
  readonly folder: string;
  /** Its verifier key. */
  readonly key: string;
  /** Its checkpoint file. */
  readonly anchors: string;
  readonly settings: LogSettings;
}

const FILE = 'f'.repeat(32);

/** Writes the use of task `n`, one second after the previous one. Every fourth use is denied. */
export const addUse = (log: SegmentLog, n: number): void => {
  const use = allowedUse(n, START_MS + n * 1_000, n % 4 === 0 ? 'deny' : 'allow');
  const failure = log.append([{ bytes: use.bytes, outbox: null }], FILE);
  if (failure !== null) throw new Error(failure.detail);
};

/** A ledger of `uses`, with a checkpoint and a new segment after every three; with a bare tail unless `closed`. */
export function diskLedger(
  folder: string,
  uses: number,
  { isClosed = true, change = {} }: { readonly isClosed?: boolean; readonly change?: Partial<LogSettings> } = {},
): DiskLedger & { readonly log: SegmentLog } {
  const settings = settingsIn(folder, { segment: { maxBytes: 1, maxAgeMs: 3_600_000 }, ...change });
  const clock = { nowMs: START_MS };
  const log = mustOpenLog(settings, { ...portsAt(0), nowMs: () => clock.nowMs });
  for (let n = 1; n <= uses; n++) {
    clock.nowMs = START_MS + n * 1_000;
    addUse(log, n);
    if (n % 3 === 0) log.checkpoint();
  }
  if (isClosed) log.close();
  return { folder: settings.folder, key: log.verifierKey, anchors: settings.checkpointFile ?? '', settings, log };
}

/** The segments of a ledger, oldest first. */
export const segmentsOf = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => /^segment-\d+\.db$/.test(name))
    .toSorted()
    .map((name) => join(folder, name));

/** Changes a segment by SQL that no writer would run. */
export function tamper(path: string, sql: string, ...values: readonly (string | number | Uint8Array)[]): number {
  const db = new DatabaseSync(path);
  try {
    return Number(db.prepare(sql).run(...values).changes);
  } finally {
    db.close();
  }
}

/** Runs a ledger command and returns its output. */
export async function ran(
  command: Command['run'],
  ...args: readonly string[]
): Promise<{ readonly exit: number; readonly out: string; readonly err: string }> {
  const stdout: string[] = [];
  const { code, err } = await commandRun(command, args, {
    out: (line) => void stdout.push(`${line}\n`),
    stdout: { writable: true, writableLength: 0, write: (text) => void stdout.push(text) },
  });
  return { exit: code, out: stdout.join(''), err: err.map((line) => `${line}\n`).join('') };
}

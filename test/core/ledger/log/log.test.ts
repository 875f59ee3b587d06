import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { openedCheckpoint } from '../../../../src/core/ledger/proof/checkpoint.ts';
import { appended, emptyRange } from '../../../../src/core/ledger/proof/compact-range.ts';
import { leafHash, rootOf } from '../../../../src/core/ledger/proof/merkle.ts';
import { noteKeyFrom } from '../../../../src/core/ledger/proof/note-key.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { lastNotesIn } from '../../../../src/core/ledger/log/checkpoint-file.ts';
import { SegmentLog } from '../../../../src/core/ledger/log/log.ts';
import { LogReader, readLog } from '../../../../src/core/ledger/log/log-reader.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { encoded, useRecord } from '../../../builders/ledger-record.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { contents, failureOf, incoming, mustOpenLog, portsAt, settingsIn } from './logs.ts';
import { mustFind } from '../../../builders/must.ts';
import { notesIn } from './verified.ts';

const folder = testFolders();

const FILE = 'f'.repeat(32);

/** The content of the last note of a log, verified with the pinned key. */
const headIn = (notes: readonly string[], verifierKey: string) => {
  const key = noteKeyFrom(verifierKey);
  if (isProblem(key)) throw new Error(key.problem);
  const head = openedCheckpoint(notes.at(-1) ?? '', key);
  if (isProblem(head)) throw new Error(head.problem);
  return head;
};

const rootOfLog = (ledger: string): Uint8Array =>
  mustFind(
    readLog(ledger, (log) =>
      rootOf([...log.leaves()].reduce((range, { bytes }) => appended(range, leafHash(bytes)), emptyRange).nodes),
    ),
  );

describe('Log.append', () => {
  it('numbers records from 1, links each to the record before, and frames them as canonical JSON', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings, portsAt(1_234));
    expect(log.append([incoming(1), incoming(2)], FILE)).toBeNull();
    expect(log.append([incoming(3)], FILE)).toBeNull();
    const leaves = mustFind(
      readLog(settings.folder, (reader) => [...reader.leaves()].map(({ bytes }) => Buffer.from(bytes))),
    );
    const prevs = ['', ...leaves.map((leaf) => leafHash(leaf).toString('base64'))];
    for (const [index, leaf] of leaves.entries()) {
      expect(leaf.toString()).toMatch(
        /^\{"boot":"[0-9a-f]{32}","mono":1234,"prev":"[^"]*","record":\{.*\},"seq":\d+\}$/,
      );
      expect(JSON.parse(leaf.toString())).toMatchObject({
        prev: prevs[index],
        seq: index + 1,
        record: { at: index + 1 },
      });
    }
    log.close();
  });

  it('accepts no number of an outbox twice, even after a restart, separately for each file', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    log.append([incoming(1, 1), incoming(2, 2)], FILE);
    log.append([incoming(2, 2), incoming(3, 3), incoming(9)], FILE);
    expect(log.takenOf(FILE)).toBe(3);
    log.close();
    const again = mustOpenLog(settings);
    again.append([incoming(3, 3), incoming(4, 4)], FILE);
    again.append([incoming(5, 1)], 'other');
    expect([again.takenOf(FILE), again.takenOf('other')]).toEqual([4, 1]);
    again.close();
    expect(
      contents(settings.folder)
        .records.filter(([, kind]) => kind === 'end')
        .map(([, , at]) => at),
    ).toEqual([1, 2, 3, 9, 4, 5]);
  });

  it('writes nothing of a batch if the file is locked, and continues once it is not', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    log.append([incoming(1)], FILE);
    const segment =
      readdirSync(settings.folder).find((name) => name.startsWith('segment-') && name.endsWith('.db')) ?? '';
    // Another connection holds the write lock longer than the writer waits: a temporary failure.
    const holder = new DatabaseSync(join(settings.folder, segment));
    holder.exec('BEGIN IMMEDIATE');
    expect(failureOf(log.append([incoming(2)], FILE))).toMatchObject({ code: 'busy' });
    holder.exec('ROLLBACK');
    holder.close();
    expect(log.append([incoming(3)], FILE)).toBeNull();
    log.close();
    expect(contents(settings.folder).records.map(([seq, , at]) => [seq, at])).toEqual([
      [1, 1],
      [2, 3],
      [3, 1_000],
    ]);
  });
});

describe('Log.checkpoint', () => {
  it('signs the root of all records including its own, and stores and returns the note', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings, portsAt(7_000));
    log.append([incoming(1), incoming(2)], FILE);
    const made = log.checkpoint();
    expect(made).toMatchObject({ atMs: 7_000, size: 3, problem: null });
    const { records, notes } = contents(settings.folder);
    expect(records.at(-1)).toEqual([3, 'checkpoint', 7_000]);
    expect(notesIn(settings.checkpointFile ?? '')).toEqual(notes);
    const head = headIn(notes, log.verifierKey);
    expect(head.origin).toMatch(/^remit\.acme\.test\/main\/[0-9a-f]{32}$/);
    expect(head.size).toBe(3);
    expect(Buffer.from(head.root)).toEqual(Buffer.from(rootOfLog(settings.folder)));
    expect(log.checkpoint()).toBeNull();
    log.close();
    expect(contents(settings.folder).notes).toHaveLength(1);
  });

  it('is due after 1,000 records, and made when the log is closed', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    log.append(
      Array.from({ length: 999 }, (_, n) => incoming(n)),
      FILE,
    );
    expect(log.isCheckpointDue).toBe(false);
    log.append([incoming(1_000)], FILE);
    expect(log.isCheckpointDue).toBe(true);
    const { verifierKey } = log;
    expect(log.close()).toBeNull();
    expect(headIn(contents(settings.folder).notes, verifierKey).size).toBe(1_001);
  });

  it('continues if the checkpoint file cannot be written, and reports it', () => {
    const settings = settingsIn(folder(), { checkpointFile: '/proc/none/checkpoints.txt' });
    const log = mustOpenLog(settings);
    log.append([incoming(1)], FILE);
    expect(log.checkpoint()).toMatchObject({
      size: 2,
      problem: 'the checkpoint could not be appended to `/proc/none/checkpoints.txt`: ENOENT',
    });
    log.close();
  });
});

/** A text in the form of a note. */
const note = (n: number): string => `origin\n${n}\nroot\n\n— origin ${'k'.repeat(96)}\n`;

/** The write-ahead logs of a ledger whose first segment was closed while it was read. */
function leftBehind() {
  const settings = settingsIn(folder(), { segment: { maxBytes: 1, maxAgeMs: 3_600_000 } });
  const log = mustOpenLog(settings);
  log.append([incoming(1)], FILE);
  const reader = LogReader.open(settings.folder);
  if (!(reader instanceof LogReader)) throw new Error('there is no log');
  log.checkpoint();
  const wals = () => readdirSync(settings.folder).filter((name) => name.endsWith('-wal'));
  return { settings, log, reader, wals };
}

describe('a closed segment that a reader had open when it was closed', () => {
  const first = `segment-${'0'.repeat(16)}.db-wal`;

  it('keeps its write-ahead log while it is read, and loses it when the next is closed', () => {
    const { settings, log, reader, wals } = leftBehind();
    log.append([incoming(2)], FILE);
    log.checkpoint();
    expect(wals()).toContain(first);
    reader.close();
    expect(wals()).toContain(first);
    log.append([incoming(3)], FILE);
    log.checkpoint();
    expect(wals()).toEqual([expect.not.stringContaining(first)]);
    log.close();
    expect(contents(settings.folder).records).toHaveLength(6);
  });

  it('loses its write-ahead log at the start of the next process', () => {
    const { settings, log, reader, wals } = leftBehind();
    log.close();
    reader.close();
    expect(wals()).toEqual([first]);
    mustOpenLog(settings).close();
    expect(wals()).toEqual([]);
    expect(contents(settings.folder).records).toHaveLength(2);
  });
});

describe('lastNotesIn', () => {
  it('reads only the end of a large file', () => {
    const file = join(folder(), 'checkpoints.txt');
    const count = 20_000;
    writeFileSync(file, Array.from({ length: count }, (_, n) => `${note(n)}\n`).join(''));
    const last = lastNotesIn(file);
    expect(last.at(-1)).toBe(note(count - 1));
    expect(last.length).toBeLessThan(count);
    expect(last.slice(1)).toEqual(notesIn(file).slice(1 - last.length));
    writeFileSync(file, `${note(1)}\n${note(2).slice(0, 20)}`);
    expect(lastNotesIn(file)).toEqual([note(1), note(2).slice(0, 20)]);
  });
});

describe('segments', () => {
  it('are rotated at a size, and continue tree, numbers and name', () => {
    const settings = settingsIn(folder(), { segment: { maxBytes: 1, maxAgeMs: 3_600_000 } });
    const log = mustOpenLog(settings);
    for (let n = 1; n <= 4; n++) {
      log.append([incoming(n, n)], FILE);
      log.checkpoint();
    }
    const { verifierKey } = log;
    log.close();
    const files = readdirSync(settings.folder).filter((name) => name.endsWith('.db') && name !== 'lock.db');
    expect(files).toEqual([0, 2, 4, 6, 8].map((size) => `segment-${String(size).padStart(16, '0')}.db`));
    const { records, notes } = contents(settings.folder);
    expect(records.map(([seq]) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const head = headIn(notes, verifierKey);
    expect(head.size).toBe(8);
    expect(Buffer.from(head.root)).toEqual(Buffer.from(rootOfLog(settings.folder)));
    const again = mustOpenLog(settings);
    expect([again.size, again.takenOf(FILE)]).toEqual([8, 4]);
    again.close();
  });

  it('are rotated at an age', () => {
    const settings = settingsIn(folder(), { segment: { maxBytes: 1024 ** 3, maxAgeMs: 500 } });
    const clock = { nowMs: 1_000 };
    const log = mustOpenLog(settings, { ...portsAt(0), nowMs: () => clock.nowMs });
    log.append([incoming(1)], FILE);
    log.checkpoint();
    clock.nowMs = 1_500;
    log.append([incoming(2)], FILE);
    log.checkpoint();
    expect(
      readdirSync(settings.folder).filter((name) => name.startsWith('segment-') && name.endsWith('.db')),
    ).toHaveLength(2);
    log.close();
  });

  it('are created again if creation was interrupted', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    log.append([incoming(1)], FILE);
    log.close();
    writeFileSync(join(settings.folder, 'segment-0000000000000002.db'), '', { mode: 0o600 });
    const again = mustOpenLog(settings);
    expect(again.append([incoming(2)], FILE)).toBeNull();
    again.close();
    expect(contents(settings.folder).records.map(([seq]) => seq)).toEqual([1, 2, 3, 4]);
  });
});

/** A log with a checkpoint at 3 and another record, as a killed process leaves it. */
const killed = () => {
  const settings = settingsIn(folder());
  const log = mustOpenLog(settings);
  log.append([incoming(1), incoming(2)], FILE);
  log.checkpoint();
  log.append([incoming(3), incoming(4)], FILE);
  const copy = settingsIn(folder());
  cpSync(settings.folder, copy.folder, { recursive: true });
  cpSync(settings.keyFile, copy.keyFile);
  cpSync(settings.checkpointFile ?? '', copy.checkpointFile ?? '');
  log.close();
  return copy;
};
const altered = (settings: { readonly folder: string }, sql: string): void => {
  const db = new DatabaseSync(join(settings.folder, 'segment-0000000000000000.db'));
  db.exec(sql);
  db.close();
};

describe('Log.open', () => {
  it('continues after a kill, with files that only the owner can read', () => {
    const settings = killed();
    const log = mustOpenLog(settings);
    expect(log.size).toBe(5);
    log.close();
    const names = readdirSync(settings.folder).filter((name) => !name.endsWith('-journal'));
    for (const path of [
      ...names.map((name) => join(settings.folder, name)),
      settings.keyFile,
      settings.checkpointFile ?? '',
    ]) {
      expect([path, statSync(path).mode & 0o777]).toEqual([path, 0o600]);
    }
    expect(statSync(settings.folder).mode & 0o777).toBe(0o700);
  });

  it('lets one process write at a time', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    expect(failureOf(SegmentLog.open(settings, portsAt(1)))).toMatchObject({
      code: 'busy',
      detail: `the ledger \`${settings.folder}\` is in use by another process`,
    });
    log.close();
    mustOpenLog(settings).close();
  });

  it.each<[string, (settings: ReturnType<typeof killed>) => void, RegExp]>([
    [
      'a record since the last checkpoint was changed',
      (settings) =>
        altered(
          settings,
          "UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), 'completed', 'cancelled') AS BLOB) WHERE seq = 5",
        ),
      /its records since the last checkpoint do not match its stored state/,
    ],
    [
      'a record is missing',
      (settings) => altered(settings, 'DELETE FROM records WHERE seq = 4'),
      /record 4 is missing/,
    ],
    [
      'the tail was deleted and the state reset to the checkpoint',
      (settings) => {
        altered(settings, 'DELETE FROM records WHERE seq > 3');
        altered(settings, 'UPDATE log SET range = (SELECT range FROM checkpoints)');
        const db = new DatabaseSync(join(settings.folder, 'segment-0000000000000000.db'));
        const { bytes } = db.prepare('SELECT bytes FROM records WHERE seq = 3').get() ?? {};
        db.prepare('UPDATE log SET head = ?').run(leafHash(bytes as Uint8Array));
        db.close();
      },
      /^$/,
    ],
    [
      'the same, except for the hash that the next record links to',
      (settings) => {
        altered(settings, 'DELETE FROM records WHERE seq > 3');
        altered(settings, 'UPDATE log SET range = (SELECT range FROM checkpoints)');
      },
      /its stored head does not match record 3/,
    ],
    [
      'the hash that the next record links to was changed',
      (settings) => altered(settings, 'UPDATE log SET head = zeroblob(32)'),
      /its records since the last checkpoint do not match its stored state/,
    ],
    [
      'the key is another',
      (settings) => rmSync(settings.keyFile),
      /its last checkpoint is not signed by a known key, read with `.*ledger-key\.pem`/,
    ],
    [
      'it was reset to a state before a published checkpoint',
      (settings) => {
        altered(settings, 'DELETE FROM records; DELETE FROM checkpoints');
        altered(settings, 'UPDATE log SET range = carried, head = carried_head');
      },
      /it ends at record 0, but `.*checkpoints\.txt` has a checkpoint of 3 records/,
    ],
    [
      'its index has more records than it has',
      (settings) => altered(settings, 'INSERT INTO index_blocks VALUES (0, 6)'),
      /its index does not match its records/,
    ],
    [
      'it is from an earlier build',
      (settings) => altered(settings, 'PRAGMA user_version = 2'),
      /^ledger segment `.*` was written by an earlier build of Remit: it has schema version 2, this build has version 3: move the folder of this ledger away, name its new place in `ledger\.others`/,
    ],
    [
      'the key has another type',
      (settings) => writeFileSync(settings.keyFile, readFileSync(settings.checkpointFile ?? '')),
      /^ledger key `.*` is not an Ed25519 key in PKCS#8 PEM$/,
    ],
  ])('if %s', (_name, harm, detail) => {
    const settings = killed();
    harm(settings);
    const opened = SegmentLog.open(settings, portsAt(1));
    if (detail.source === '^$') {
      // Records without a checkpoint can be deleted without a trace, which a checkpoint every 5 s bounds.
      expect(isStoreFailure(opened)).toBe(false);
      if (!isStoreFailure(opened)) opened.close();
      return;
    }
    const code = detail.source.startsWith('^ledger') ? 'unusable' : 'unfit';
    expect(failureOf(opened)).toMatchObject({ code, detail: expect.stringMatching(detail) });
    // A refused log is not locked.
    expect(failureOf(SegmentLog.open(settings, portsAt(1))).detail).toMatch(detail);
  });
});

const use = (decisionId: string, path: string) =>
  encoded(
    useRecord({
      at: 1,
      decisionId,
      decision: 'deny',
      reason: 'token.missing',
      host: 'a.test',
      path,
    }),
  );

describe('LogReader.useOf', () => {
  it('finds the last record of a decision by its id, and no other record', () => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    const uses = [use('d1', '/allowed'), use('d1', '/withdrawn'), use('d2', '/"decisionId":"d3"')];
    log.append([...uses.map(({ bytes }) => ({ bytes, outbox: null })), incoming(4)], FILE);
    log.close();
    const pathOf = (id: string): unknown => {
      const stored = readLog(settings.folder, (reader) => reader.useOf(id));
      if (stored === undefined || stored === null || isStoreFailure(stored)) return stored;
      return JSON.parse(Buffer.from(stored.bytes).toString()).record.path;
    };
    expect(['d1', 'd2', 'd3', 'd4', 'd', '%'].map(pathOf)).toEqual([
      '/withdrawn',
      '/"decisionId":"d3"',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

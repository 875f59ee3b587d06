import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { appended, rangeBytes, rangeFrom } from '../../src/core/ledger/proof/compact-range.ts';
import { leafHash } from '../../src/core/ledger/proof/merkle.ts';
import { DRAWERS } from '../../src/core/ledger/log/segment/index-block.ts';
import { mustOpenLog, portsAt } from '../core/ledger/log/logs.ts';
import { allowedUse } from '../builders/ledger-record.ts';
import { mustFind } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { thoroughly } from '../thoroughly.ts';
import { independentExit } from '../verifier/independent.ts';
import { diskLedger, ran, segmentsOf, START_MS, tamper, type DiskLedger } from './ledgers.ts';

/**
 * The attack table of the threat model on real segment files, through the command. `test/core/ledger/attacks.test.ts` has 200 instances of each
 * on logs in memory. Each attack is tried `INSTANCES` times at random places, others in each run, of 16 uses in segments of three with their
 * checkpoints. Everything is signed, and records 1 to 12 are anchored.
 */
const INSTANCES = thoroughly(40, 6);
/** Each instance copies and rewrites a ledger of six segments, every commit synced. */
const ANCHORED = 12;
const SIZE = 22;

const folder = testFolders();

let honest: DiskLedger;
let anchor: string;
beforeAll(() => {
  honest = diskLedger(folder(), 16);
  anchor = join(honest.folder, '../anchor.txt');
  writeFileSync(anchor, (readFileSync(honest.anchors, 'utf8').split(/(?<=\n— [^\n]*\n)\n/u)[2] ?? '').trimStart());
});

const copyOf = (): string => {
  const at = join(folder(), 'ledger');
  cpSync(honest.folder, at, { recursive: true });
  return at;
};

const verified = async (at: string, anchors: string | null = null) => {
  const more = anchors === null ? [] : ['--anchors', anchors];
  const { exit, out } = await ran(ledgerVerify, '--key', honest.key, '--ledger', at, '--json', ...more);
  // The verifier in Go, which has no code of ours, finds the same.
  expect([out, independentExit({ key: honest.key, folder: at, anchors }, exit)]).toEqual([out, exit]);
  return { exit, ledgers: JSON.parse(out).ledgers as { verdict: Record<string, unknown> }[] };
};
const anchored = (at: string) => verified(at, anchor);

const attacked = (seq: { readonly min: number; readonly max: number }, attack: (seq: number) => Promise<void>) =>
  fc.assert(fc.asyncProperty(fc.integer(seq), attack), { numRuns: INSTANCES });

/** The segment file of a record. */
const homeOf = (at: string, seq: number): string =>
  segmentsOf(at).findLast((path) => Number(/(\d{16})/.exec(path)?.[1]) < seq) ?? '';

/** Removes the part of a segment's index after a record. */
const cutIndex = (path: string, size: number): void => {
  tamper(path, 'DELETE FROM index_blocks WHERE upto > ?', size);
  tamper(path, 'DELETE FROM index_drawers WHERE id >= ? * (SELECT count(*) FROM index_blocks)', DRAWERS);
};

/** Makes the header of a segment that of its last record. */
const endHere = (path: string): void => {
  const db = new DatabaseSync(path, { readOnly: true });
  const { carried, carried_head: carriedHead } = db.prepare('SELECT * FROM log').get() ?? {};
  const leaves = db.prepare('SELECT bytes FROM records ORDER BY seq').all();
  db.close();
  if (!(carried instanceof Uint8Array) || !(carriedHead instanceof Uint8Array)) throw new Error('no such segment');
  let range = mustFind(rangeFrom(carried));
  let head: Uint8Array = carriedHead;
  for (const { bytes } of leaves) {
    head = leafHash(bytes instanceof Uint8Array ? bytes : new Uint8Array());
    range = appended(range, head);
  }
  tamper(path, 'UPDATE log SET range = ?, head = ?', rangeBytes(range), head);
};

/** Truncates a ledger after a record, with everything that refers to later ones. */
const cut = (at: string, size: number): void => {
  for (const path of segmentsOf(at)) {
    if (Number(/(\d{16})/.exec(path)?.[1]) > size) rmSync(path);
    else {
      tamper(path, 'DELETE FROM records WHERE seq > ?', size);
      tamper(path, 'DELETE FROM checkpoints WHERE size > ?', size);
      cutIndex(path, size);
      endHere(path);
    }
  }
};

it('the untouched ledger is whole', async () => {
  expect(await anchored(copyOf())).toMatchObject({
    exit: 0,
    ledgers: [{ verdict: { size: SIZE, anchored: { from: 1, to: ANCHORED }, signed: { to: SIZE }, remarkCount: 0 } }],
  });
});

describe('L-1, inside the log', () => {
  it.each<[string, (path: string, seq: number) => void]>([
    [
      'a byte of a record changed',
      (path, seq) =>
        void tamper(
          path,
          `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"at":1', '"at":2') AS BLOB) WHERE seq = ?`,
          seq,
        ),
    ],
    ['a record deleted', (path, seq) => void tamper(path, 'DELETE FROM records WHERE seq = ?', seq)],
    [
      'a record duplicated',
      (path, seq) => {
        tamper(path, 'UPDATE records SET seq = -seq WHERE seq >= ?', seq);
        tamper(path, 'UPDATE records SET seq = 1 - seq WHERE seq < 0');
        tamper(path, 'INSERT INTO records SELECT ?, keys, bytes FROM records WHERE seq = ?', seq, seq + 1);
      },
    ],
    [
      'the bytes of two records swapped',
      (path, seq) => {
        tamper(
          path,
          'UPDATE records SET bytes = (SELECT b.bytes FROM records b WHERE b.seq <> records.seq LIMIT 1) WHERE seq = ?',
          seq,
        );
      },
    ],
  ])('%s is detected by the chain alone, at that record or the next', async (_name, attack) => {
    await attacked({ min: 1, max: SIZE - 2 }, async (seq) => {
      const at = copyOf();
      attack(homeOf(at, seq), seq);
      for (const path of segmentsOf(at)) tamper(path, 'DELETE FROM checkpoints');
      const { exit, ledgers } = await verified(at);
      expect(exit).toBe(3);
      const { part, at: where } = ledgers[0]?.verdict ?? {};
      // After the last record of a segment comes the seam, not a record.
      if (part === 'record') expect([seq, seq + 1]).toContain(where);
      else expect(part).toBe('log');
    });
  });
});

describe('L-2 and L-7, the tail truncated, or everything replaced by a backup', () => {
  it('is detected up to the last anchor; beyond it, the remaining records are unchanged', async () => {
    await attacked({ min: 1, max: SIZE - 1 }, async (size) => {
      const at = copyOf();
      cut(at, size);
      const { exit, ledgers } = await anchored(at);
      if (size < ANCHORED) {
        expect(exit).toBe(3);
        expect(ledgers[0]?.verdict).toMatchObject({
          part: 'anchor',
          problem: expect.stringContaining(`ends at ${size}`),
        });
      } else {
        expect([0, 2]).toContain(exit);
        expect(ledgers[0]?.verdict).toMatchObject({ size, anchored: { from: 1, to: ANCHORED } });
      }
    });
  });
});

describe('L-3, the whole ledger deleted', () => {
  it('is detected by any anchor', async () => {
    const at = copyOf();
    for (const path of segmentsOf(at)) rmSync(path);
    expect(await anchored(at)).toMatchObject({ exit: 3, ledgers: [{ ledger: null, verdict: { part: 'log' } }] });
  });
});

/** The ledger after a writer with this key has rewritten it from a record on. */
const rewritten = (from: number, keyFile: string, { maxBytes = 1 } = {}): string => {
  const at = copyOf();
  cut(at, from - 1);
  for (const path of segmentsOf(at)) if (Number(/(\d{16})/.exec(path)?.[1]) >= from) rmSync(path);
  const last = segmentsOf(at).at(-1) ?? '';
  // The writer needs a checkpoint from which to continue, so the segment is reset to its beginning.
  tamper(last, 'DELETE FROM records');
  cutIndex(last, 0);
  tamper(last, 'DELETE FROM checkpoints WHERE size > ?', Number(/(\d{16})/.exec(last)?.[1]));
  tamper(last, 'UPDATE log SET range = carried, head = carried_head');
  const segment = { ...honest.settings.segment, maxBytes };
  const settings = { ...honest.settings, folder: at, keyFile, segment, checkpointFile: null };
  const log = mustOpenLog(settings, { ...portsAt(0), nowMs: () => START_MS + 60_000 });
  for (let n = 0; log.size < SIZE + 3; n++) {
    log.append([{ bytes: allowedUse(900 + n, START_MS + 60_000 + n).bytes, outbox: null }], 'f'.repeat(32));
    if (n % 3 === 2) log.checkpoint();
  }
  log.close();
  return at;
};

describe('L-4, rewritten by somebody who can write the files', () => {
  it('is detected if another key signs the rewritten records', async () => {
    const other = diskLedger(folder(), 1).settings.keyFile;
    await attacked({ min: 1, max: 4 }, async (from) => {
      // Only the first segment does not begin with a checkpoint of the old key, from which the writer would refuse to continue.
      const { exit, ledgers } = await verified(rewritten(from, other));
      expect([exit, ledgers[0]?.verdict]).toEqual([3, expect.objectContaining({ part: 'checkpoint' })]);
    });
  });

  it('is the bare tail if all later checkpoints are deleted', async () => {
    await attacked({ min: 1, max: SIZE }, async (from) => {
      // All in one segment: without the key none can be begun.
      const at = rewritten(from, honest.settings.keyFile, { maxBytes: 1024 ** 3 });
      const home = segmentsOf(at).findIndex((path) => path === homeOf(at, from));
      const start = Number(/(\d{16})/.exec(segmentsOf(at)[home] ?? '')?.[1]);
      for (const path of segmentsOf(at)) tamper(path, 'DELETE FROM checkpoints WHERE size > ?', start);
      const { exit, ledgers } = await verified(at);
      expect(exit).toBe(2);
      expect(ledgers[0]?.verdict).toMatchObject({ kind: 'sound', bare: { from: start + 1 } });
    });
  });
});

describe('L-5, L-6 and L-8, rewritten by the holder of the key: a different view, at least as long', () => {
  it('is not detected by signatures, but for every anchored size', async () => {
    await attacked({ min: 1, max: SIZE }, async (from) => {
      const at = rewritten(from, honest.settings.keyFile);
      expect((await verified(at)).exit).toBe(0);
      const start = Number(/(\d{16})/.exec(homeOf(at, from))?.[1]);
      const { exit, ledgers } = await anchored(at);
      if (start < ANCHORED)
        expect([exit, ledgers[0]?.verdict]).toEqual([3, expect.objectContaining({ part: 'anchor', at: ANCHORED })]);
      else
        expect([exit, ledgers[0]?.verdict]).toEqual([
          0,
          expect.objectContaining({ anchored: { from: 1, to: ANCHORED } }),
        ]);
    });
  });
});

describe('L-10, a wrong clock', () => {
  it('is remarked on if an anchor has its time of receipt', async () => {
    await attacked({ min: 2, max: 9 }, async (hours) => {
      const dated = join(folder(), 'anchor.txt');
      const received = new Date(START_MS - hours * 3_600_000).toISOString();
      writeFileSync(dated, `# received ${received}\n${readFileSync(anchor, 'utf8')}`);
      const { exit, ledgers } = await verified(copyOf(), dated);
      expect(exit).toBe(0);
      expect(ledgers[0]?.verdict).toMatchObject({
        remarkCount: 1,
        remarks: [{ seq: 1, remark: expect.stringMatching(/^the clock was ahead: the record claims/) }],
      });
    });
  });
});

/** A non-empty drawer of a segment's index, selected by a random number. */
const drawerIn = (path: string, drawn: number): { readonly id: number; readonly entries: Buffer } => {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare('SELECT id, entries FROM index_drawers WHERE length(entries) > 0 ORDER BY id').all();
  db.close();
  const { id, entries } = rows[drawn % rows.length] ?? {};
  if (typeof id !== 'number' || !(entries instanceof Uint8Array)) throw new Error('the index is empty');
  return { id, entries: Buffer.from(entries) };
};

/** Replaces the entries of a non-empty drawer. */
const changeDrawer = (path: string, drawn: number, change: (entries: Buffer) => Uint8Array): void => {
  const { id, entries } = drawerIn(path, drawn);
  expect(tamper(path, 'UPDATE index_drawers SET entries = ? WHERE id = ?', change(entries), id)).toBe(1);
};

const flipped = (entries: Buffer, at: number): Buffer => {
  entries.writeUInt8(entries.readUInt8(at) ^ 1, at);
  return entries;
};

/** Runs SQL on the schema itself, which SQLite refuses for an open file. */
const rewriteSchema = (path: string, sql: string): void => {
  const db = new DatabaseSync(path, { defensive: false });
  db.exec(`PRAGMA writable_schema = ON; ${sql}`);
  db.close();
};

describe('a record hidden by the index, although every record is intact', () => {
  it.each<[string, (path: string, drawn: number) => void]>([
    ['an entry is removed', (path, drawn) => changeDrawer(path, drawn, (entries) => entries.subarray(6))],
    ['entries are added', (path, drawn) => changeDrawer(path, drawn, (entries) => Buffer.concat([entries, entries]))],
    ['an entry has another key', (path, drawn) => changeDrawer(path, drawn, (entries) => flipped(entries, 3))],
    ['an entry points to another record', (path, drawn) => changeDrawer(path, drawn, (entries) => flipped(entries, 5))],
    [
      'the record has no keys',
      (path, drawn) =>
        void tamper(
          path,
          "UPDATE records SET keys = x'' WHERE seq = ? AND length(keys) > 0",
          drawn - (drawn % 4 === 0 ? 1 : 0),
        ),
    ],
    [
      'the record has the keys of another',
      (path, drawn) => {
        const seq = drawn - (drawn % 4 === 0 ? 1 : 0);
        tamper(
          path,
          'UPDATE records SET keys = (SELECT max(keys) FROM records WHERE seq <> ?) WHERE seq = ?',
          seq,
          seq,
        );
      },
    ],
    ['a drawer is emptied', (path, drawn) => changeDrawer(path, drawn, () => new Uint8Array())],
    [
      'a drawer is missing',
      (path, drawn) => void tamper(path, 'DELETE FROM index_drawers WHERE id = ?', drawerIn(path, drawn).id),
    ],
    [
      'a drawer has another number',
      (path, drawn) =>
        void tamper(path, 'UPDATE index_drawers SET id = id + ? WHERE id = ?', DRAWERS, drawerIn(path, drawn).id),
    ],
    [
      'a drawer belongs to no block',
      (path) => void tamper(path, 'INSERT INTO index_drawers VALUES (-1, ?)', new Uint8Array()),
    ],
    [
      'the whole index is missing',
      (path) => {
        tamper(path, 'DELETE FROM index_blocks');
        tamper(path, 'DELETE FROM index_drawers');
      },
    ],
    ['a block ends before its last record', (path) => void tamper(path, 'UPDATE index_blocks SET upto = upto - 1')],
    ['a block ends after its last record', (path) => void tamper(path, 'UPDATE index_blocks SET upto = upto + 1')],
    ['a block has another number', (path) => void tamper(path, 'UPDATE index_blocks SET block = block + 1')],
    [
      'an index of SQLite has other records',
      (path) => {
        tamper(path, "CREATE INDEX records_task ON records (seq, json_extract(CAST(bytes AS TEXT), '$.record.task'))");
        rewriteSchema(
          path,
          `UPDATE sqlite_schema SET sql = replace(sql, 'task''', 'agent''') WHERE name = 'records_task'`,
        );
      },
    ],
    [
      'a view replaces the records',
      (path, drawn) => {
        tamper(path, 'ALTER TABLE records RENAME TO others');
        tamper(path, `CREATE VIEW records AS SELECT * FROM others WHERE seq <> ${drawn}`);
      },
    ],
    ['records have another column', (path) => void tamper(path, 'ALTER TABLE records ADD COLUMN task TEXT')],
  ])('is detected if %s', async (_name, attack) => {
    await attacked({ min: 1, max: SIZE - 2 }, async (drawn) => {
      const at = copyOf();
      attack(homeOf(at, drawn), drawn);
      const { exit, ledgers } = await verified(at);
      expect([exit, ledgers[0]?.verdict]).toEqual([3, expect.objectContaining({ kind: 'broken' })]);
    });
  });
});

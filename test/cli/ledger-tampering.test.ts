import {
  appendFileSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { canonicalJson } from '../../src/core/ledger/canonical-json.ts';
import { appended, rangeBytes, rangeFrom } from '../../src/core/ledger/proof/compact-range.ts';
import { leafBytes } from '../../src/core/ledger/proof/leaf.ts';
import { leafHash, rootOf } from '../../src/core/ledger/proof/merkle.ts';
import { SegmentLog } from '../../src/core/ledger/log/log.ts';
import type { LogSettings } from '../../src/core/ledger/log/log-settings.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import { mustOpenLog, portsAt } from '../core/ledger/log/logs.ts';
import { testFolders } from '../builders/test-folders.ts';
import { independentExit } from '../verifier/independent.ts';
import { addUse, diskLedger, ran, segmentsOf, START_MS, tamper, type DiskLedger } from './ledgers.ts';
import { must } from '../builders/must.ts';

/**
 * Ways to tamper with the files of a ledger, one row each: the verdict of `remit ledger verify` with the pinned key alone, the verdict with
 * anchors kept elsewhere, and what `remit serve` does at its next start. A start does not read every record; where it continues, the
 * verdict must stay the same after it has written and signed. `ledger-attacks.test.ts` has random instances of the attacks of the threat
 * model.
 */
const folder = testFolders();

const DAY_MS = 86_400_000;

/** Sixteen uses in segments of three with a checkpoint. The segments end with records 4, 8, 12, 16, 20 and, the newest, 22. */
let whole: DiskLedger;
/** `whole` when it had 18 records, the last two unsigned. */
let early: DiskLedger;
/** `whole` when it had 20 records, all signed, and an empty newest segment. */
let late: DiskLedger;
/** A ledger of nine uses whose first two segments were pruned: records 10 to 14 are left, and record 13 explains it. */
let pruned: DiskLedger;

/** A copy of everything an attacker finds on the machine. Anchors and the pinned key are elsewhere. */
interface Found {
  readonly at: string;
  readonly settings: LogSettings;
  readonly segment: (index: number) => string;
  readonly checkpoints: string;
}

function foundOf({ settings }: DiskLedger): Found {
  const home = join(folder(), 'machine');
  cpSync(dirname(settings.folder), home, { recursive: true });
  const moved = { ...settings, folder: join(home, 'ledger'), keyFile: join(home, 'ledger-key.pem') };
  const checkpoints = join(home, 'checkpoints.txt');
  return {
    at: moved.folder,
    settings: { ...moved, checkpointFile: checkpoints },
    segment: (index) => segmentsOf(moved.folder).at(index) ?? '',
    checkpoints,
  };
}

const copyOf = (ledger: DiskLedger): DiskLedger => {
  const { at, checkpoints, settings } = foundOf(ledger);
  return { ...ledger, folder: at, anchors: checkpoints, settings };
};

beforeAll(() => {
  const growing = diskLedger(folder(), 14, { isClosed: false });
  early = copyOf(growing);
  addUse(growing.log, 15);
  growing.log.close();
  late = copyOf(growing);
  const last = mustOpenLog(
    { ...growing.settings, segment: { maxBytes: 1024 ** 3, maxAgeMs: DAY_MS } },
    portsAt(START_MS),
  );
  addUse(last, 16);
  last.close();
  whole = growing;
  pruned = diskLedger(folder(), 9, { change: { retain: { maxBytes: 1, maxAgeMs: DAY_MS } } });
});

/** An expected verdict: the exit code, and a part of the output. */
type Said = readonly [exit: number, text: string | RegExp];

const verdict = async (
  found: Found,
  { key }: DiskLedger,
  anchors: string | null,
): Promise<readonly [number, string]> => {
  const more = anchors === null ? [] : ['--anchors', anchors];
  const { exit, out } = await ran(ledgerVerify, '--key', key, '--ledger', found.at, ...more);
  // The verifier in Go, which has no code of ours, finds the same.
  expect([out, independentExit({ key, folder: found.at, anchors }, exit)]).toEqual([out, exit]);
  return [exit, out];
};
const matching = ([exit, text]: Said) => [exit, expect.stringMatching(text)];

const changeByte = (path: string, seq: number): void => {
  const sql = `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"at":1', '"at":2') AS BLOB) WHERE seq = ?`;
  expect(tamper(path, sql, seq)).toBe(1);
};

/** Resets a segment to one of its checkpoints, or to its beginning, as if nothing had followed. */
const setBack = (path: string, size: number): void => {
  const db = new DatabaseSync(path);
  const kept = db.prepare('SELECT range FROM checkpoints WHERE size = ?').get(size);
  const last = db.prepare('SELECT bytes FROM records WHERE seq = ?').get(size);
  db.prepare('DELETE FROM records WHERE seq > ?').run(size);
  db.prepare('DELETE FROM checkpoints WHERE size > ?').run(size);
  db.exec('DELETE FROM index_blocks; DELETE FROM index_drawers');
  if (last === undefined) db.exec('UPDATE log SET range = carried, head = carried_head');
  else {
    const bytes = last['bytes'] instanceof Uint8Array ? last['bytes'] : new Uint8Array();
    db.prepare('UPDATE log SET range = ?, head = ?').run(kept?.['range'] ?? null, leafHash(bytes));
  }
  db.close();
};

/** Appends a valid record to the newest segment as the writer does, but without a signature. */
const appendUnsigned = ({ segment }: Found, record: { readonly [name: string]: string | number | null }): void => {
  const db = new DatabaseSync(segment(-1));
  const row = db.prepare('SELECT range, head FROM log').get() ?? {};
  const [stored, head] = [row['range'], row['head']];
  const range = stored instanceof Uint8Array ? rangeFrom(stored) : null;
  const text = canonicalJson(record);
  if (range === null || !(head instanceof Uint8Array) || typeof text !== 'string') throw new Error('no such log');
  const leaf = must(leafBytes(Buffer.from(text), { boot: 'b'.repeat(32), mono: 1, prev: head, seq: range.size + 1 }));
  const hash = leafHash(leaf);
  db.prepare("INSERT INTO records VALUES (?, x'', ?)").run(range.size + 1, leaf);
  db.prepare('UPDATE log SET range = ?, head = ?').run(rangeBytes(appended(range, hash)), hash);
  db.close();
};

/** A record that claims to prune what was deleted. */
const giveUp = (found: Found, to: number): void => {
  const db = new DatabaseSync(found.segment(0));
  const carried = db.prepare('SELECT carried FROM log').get()?.['carried'];
  db.close();
  const range = carried instanceof Uint8Array ? rangeFrom(carried) : null;
  const root = range === null ? '' : Buffer.from(rootOf(range.nodes)).toString('base64');
  appendUnsigned(found, { kind: 'pruned', at: START_MS + 60_000, task: null, from: 1, to, root, segments: 3 });
};

const removeSegments = ({ at }: Found, from: number, to?: number): void => {
  for (const path of segmentsOf(at).slice(from, to)) rmSync(path);
};

const swap = (one: string, other: string): void => {
  renameSync(one, `${one}.x`);
  renameSync(other, one);
  renameSync(`${one}.x`, other);
};

const goesOn = 'goes on';
const same = 'same' as const;

/** `[name, ledger, attack, verdict by the key alone, verdict with anchors, what a start does]` */
type Row = readonly [
  name: string,
  ledger: () => DiskLedger,
  attack: (found: Found) => void,
  alone: Said,
  anchored: Said | typeof same,
  start: RegExp | typeof goesOn,
];

const ofWhole = () => whole;
const ofPruned = () => pruned;
const isWhole: Said = [0, /verdict {4}whole$/m];
const isCut = (size: number): Said => [3, `BROKEN: the log ends at ${size}, an anchor says 22`];

const rows: readonly Row[] = [
  // Records.
  ['nothing', ofWhole, () => undefined, isWhole, same, goesOn],
  [
    'a byte of a record in a closed segment',
    ofWhole,
    ({ segment }) => changeByte(segment(1), 6),
    [3, /BROKEN at record 7: it does not follow/],
    same,
    goesOn,
  ],
  [
    'a byte of the last use',
    ofWhole,
    ({ segment }) => changeByte(segment(-1), 21),
    [3, /BROKEN/],
    same,
    /its records up to 22 are not those that were signed/,
  ],
  [
    'a record deleted in a closed segment',
    ofWhole,
    ({ segment }) => void tamper(segment(2), 'DELETE FROM records WHERE seq = 10'),
    [3, 'BROKEN at record 10: it is missing'],
    same,
    goesOn,
  ],
  [
    'a record deleted in the newest segment',
    ofWhole,
    ({ segment }) => void tamper(segment(-1), 'DELETE FROM records WHERE seq = 21'),
    [3, 'BROKEN at record 21: it is missing'],
    same,
    /its index does not match its records/,
  ],
  // The end of the log.
  [
    'the tail deleted with its checkpoints',
    ofWhole,
    ({ segment }) => setBack(segment(-1), 20),
    isWhole,
    isCut(20),
    /it ends at record 20, but `.*checkpoints\.txt` has a checkpoint of 22 records/,
  ],
  [
    'the tail deleted, and the end of the checkpoint file too',
    ofWhole,
    (found) => {
      setBack(found.segment(-1), 20);
      cutNotes(found.checkpoints, 1);
    },
    isWhole,
    isCut(20),
    goesOn,
  ],
  [
    'the tail rewritten without a signature',
    ofWhole,
    (found) => {
      setBack(found.segment(-1), 20);
      appendUnsigned(found, { kind: 'x', at: 1 });
      appendUnsigned(found, { kind: 'x', at: 1 });
    },
    [2, 'bare       21 to 22'],
    [3, /BROKEN: records 21 to 22 are not those of this anchor/],
    /its first 22 records do not match the checkpoint in/,
  ],
  // Segments.
  [
    'the newest segment deleted',
    ofWhole,
    (found) => removeSegments(found, -1),
    isWhole,
    isCut(20),
    /it ends at record 20, but/,
  ],
  [
    'the oldest segment deleted',
    ofWhole,
    (found) => removeSegments(found, 0, 1),
    [3, 'BROKEN: records 1 to 4 are missing, and no signed record says that they were pruned'],
    same,
    /records 1 to 4 are missing, and no signed record says that they were pruned/,
  ],
  [
    'the three oldest segments deleted',
    ofWhole,
    (found) => removeSegments(found, 0, 3),
    [3, 'BROKEN: records 1 to 12 are missing'],
    same,
    /records 1 to 12 are missing/,
  ],
  [
    'a segment in the middle deleted',
    ofWhole,
    (found) => removeSegments(found, 2, 3),
    [3, 'BROKEN: records 9 to 12 are missing'],
    same,
    /records 9 to 12 are missing/,
  ],
  [
    'all segments deleted but the newest',
    ofWhole,
    (found) => removeSegments(found, 0, -1),
    [3, 'BROKEN: records 1 to 20 are missing'],
    same,
    /records 1 to 20 are missing/,
  ],
  [
    'two segments swapped',
    ofWhole,
    ({ segment }) => swap(segment(1), segment(3)),
    [3, 'BROKEN: records 5 to 12 are missing'],
    same,
    /segment-0+4\.db` begins after record 12/,
  ],
  [
    'a segment replaced by another',
    ofWhole,
    ({ segment }) => cpSync(segment(1), segment(2)),
    [3, 'BROKEN: a part begins after record 4 a second time'],
    same,
    /segment-0+8\.db` begins after record 4/,
  ],
  [
    'a segment overwritten with other bytes',
    ofWhole,
    ({ segment }) => writeFileSync(segment(1), 'x'.repeat(4096)),
    [3, /BROKEN: ledger segment `.*` cannot be opened/],
    same,
    /segment-0+4\.db` cannot be opened/,
  ],
  [
    'a segment emptied',
    ofWhole,
    ({ segment }) => truncateSync(segment(1)),
    [3, 'BROKEN: records 5 to 8 are missing'],
    same,
    /segment-0+4\.db` is empty/,
  ],
  [
    'the oldest segment emptied',
    ofWhole,
    ({ segment }) => truncateSync(segment(0)),
    [3, 'BROKEN: records 1 to 4 are missing'],
    same,
    /segment-0+\.db` is empty/,
  ],
  [
    'a segment with the origin of another ledger',
    ofWhole,
    ({ segment }) => void tamper(segment(1), "UPDATE log SET origin = 'remit.acme.test/main/x'"),
    [3, 'BROKEN: the part after record 4 belongs to'],
    same,
    /the part after record 4 belongs to/,
  ],
  [
    'a segment deleted, and the end of the segment before it changed',
    ofWhole,
    (found) => {
      hideSegment(found, 2);
    },
    [3, 'BROKEN: records 9 to 12 are missing'],
    same,
    goesOn,
  ],
  // Old copies.
  [
    'an old copy of a closed segment',
    ofWhole,
    ({ segment }) => copySegment(early, -1, segment(-2)),
    [3, 'BROKEN: records 19 to 20 are missing'],
    same,
    /records 19 to 20 are missing/,
  ],
  [
    'an old copy of the newest segment',
    ofWhole,
    ({ segment }) => copySegment(late, -1, segment(-1)),
    isWhole,
    isCut(20),
    /it ends at record 20, but/,
  ],
  [
    'an old copy of the folder',
    ofWhole,
    (found) => restore(found),
    [2, 'bare       17 to 18'],
    isCut(18),
    /it ends at record 18, but/,
  ],
  [
    'an old copy of the folder and of the checkpoint file',
    ofWhole,
    (found) => {
      restore(found);
      cpSync(early.anchors, found.checkpoints);
    },
    [2, 'bare       17 to 18'],
    isCut(18),
    goesOn,
  ],
  // Index and keys of records.
  [
    'the index of a closed segment emptied',
    ofWhole,
    ({ segment }) => {
      tamper(segment(1), 'DELETE FROM index_blocks');
      tamper(segment(1), 'DELETE FROM index_drawers');
    },
    [3, /is damaged: its index lacks records 5 to 8/],
    same,
    goesOn,
  ],
  [
    'an index with entries beyond the records',
    ofWhole,
    ({ segment }) => void tamper(segment(-1), 'INSERT INTO index_blocks VALUES (0, 99)'),
    [3, /is damaged: its index has entries beyond its records/],
    same,
    /its index does not match its records/,
  ],
  // Checkpoints and keys.
  ['the checkpoint file deleted', ofWhole, ({ checkpoints }) => rmSync(checkpoints), isWhole, same, goesOn],
  [
    'a note of another key in the checkpoint file',
    ofWhole,
    ({ checkpoints }) => appendFileSync(checkpoints, readFileSync(pruned.anchors)),
    isWhole,
    same,
    goesOn,
  ],
  [
    'a checkpoint of a closed segment changed',
    ofWhole,
    ({ segment }) =>
      void tamper(segment(1), 'UPDATE checkpoints SET note = replace(note, char(10) || 8, char(10) || 7)'),
    [3, /BROKEN: a checkpoint after that of size 4 has a wrong signature/],
    same,
    goesOn,
  ],
  [
    'the last checkpoint changed',
    ofWhole,
    ({ segment }) =>
      void tamper(segment(-1), 'UPDATE checkpoints SET note = replace(note, char(10) || 22, char(10) || 21)'),
    [3, /has a wrong signature/],
    same,
    /its last checkpoint has a wrong signature/,
  ],
  [
    'the last checkpoint deleted',
    ofWhole,
    ({ segment }) => void tamper(segment(-1), 'DELETE FROM checkpoints WHERE size = 22'),
    [2, 'bare       21 to 22'],
    isWhole,
    goesOn,
  ],
  [
    'all checkpoints of the newest segment deleted',
    ofWhole,
    ({ segment }) => void tamper(segment(-1), 'DELETE FROM checkpoints'),
    [3, /is damaged: it lacks the checkpoint of the records before it/],
    same,
    /its last segment has no checkpoint/,
  ],
  [
    'the key replaced by another',
    ofWhole,
    ({ settings }) => cpSync(pruned.settings.keyFile, settings.keyFile),
    isWhole,
    same,
    /its last checkpoint is not signed by a known key/,
  ],
  // Records about pruning.
  [
    'an unsigned record that claims to have pruned what was deleted',
    ofWhole,
    (found) => {
      removeSegments(found, 0, 3);
      giveUp(found, 12);
    },
    [3, 'BROKEN: records 1 to 12 are missing, and no signed record says that they were pruned'],
    same,
    /records 1 to 12 are missing/,
  ],
  [
    'such a record in place of a signed record',
    ofWhole,
    (found) => {
      removeSegments(found, 0, 3);
      setBack(found.segment(-1), 20);
      giveUp(found, 12);
    },
    [3, /BROKEN: records 1 to 12 are missing/],
    same,
    /it ends at record 21, but/,
  ],
  [
    'the pruning record deleted',
    ofPruned,
    ({ segment }) => void tamper(segment(0), 'DELETE FROM records WHERE seq = 13'),
    [3, 'BROKEN at record 13: it is missing'],
    same,
    /record 13 is missing/,
  ],
  [
    'the range of the pruning record changed',
    ofPruned,
    ({ segment }) =>
      void tamper(
        segment(0),
        `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"to":9', '"to":8') AS BLOB) WHERE seq = 13`,
      ),
    [3, /BROKEN/],
    same,
    /its records up to 14 are not those that were signed/,
  ],
  [
    'more deleted than was pruned',
    ofPruned,
    (found) => removeSegments(found, 0, 1),
    [3, 'BROKEN: records 1 to 14 are missing'],
    same,
    /records 1 to 14 are missing/,
  ],
  // Everything.
  [
    'the whole ledger deleted',
    ofWhole,
    (found) => removeSegments(found, 0),
    [64, /^$/],
    [3, 'BROKEN: an anchor covers 22 records, but the ledger is missing'],
    goesOn,
  ],
];

/** Removes the last notes of a checkpoint file. */
function cutNotes(path: string, count: number): void {
  const notes = readFileSync(path, 'utf8').split(/(?<=\n— [^\n]*\n)\n/u);
  writeFileSync(
    path,
    notes
      .slice(0, -count - 1)
      .map((note) => `${note}\n`)
      .join(''),
  );
}

/** Deletes a segment, and makes the one before it end where the next begins. */
function hideSegment(found: Found, index: number): void {
  const next = new DatabaseSync(found.segment(index + 1));
  const { carried, carried_head: head } = next.prepare('SELECT carried, carried_head FROM log').get() ?? {};
  next.close();
  if (!(carried instanceof Uint8Array) || !(head instanceof Uint8Array)) throw new Error('no such segment');
  tamper(found.segment(index - 1), 'UPDATE log SET range = ?, head = ?', carried, head);
  rmSync(found.segment(index));
}

/** Replaces a segment, with the files that SQLite keeps beside it, by another. */
function copySegment(from: DiskLedger, index: number, to: string): void {
  const source = segmentsOf(from.folder).at(index) ?? '';
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(`${source}${suffix}`)) cpSync(`${source}${suffix}`, `${to}${suffix}`);
  }
}

/** Replaces the folder by its old copy. */
function restore(found: Found): void {
  rmSync(found.at, { recursive: true });
  cpSync(early.folder, found.at, { recursive: true });
}

describe('a ledger that was tampered with', () => {
  it.each(rows)('%s', async (_name, ledgerOf, attack, alone, anchored, start) => {
    const ledger = ledgerOf();
    const found = foundOf(ledger);
    attack(found);
    const withAnchors = matching(anchored === same ? alone : anchored);
    expect(await verdict(found, ledger, null)).toEqual(matching(alone));
    expect(await verdict(found, ledger, ledger.anchors)).toEqual(withAnchors);

    const log = SegmentLog.open(found.settings, portsAt(START_MS + 3_600_000));
    if (isStoreFailure(log)) {
      expect([start, log.code]).toEqual([expect.any(RegExp), 'unfit']);
      expect(log.detail).toMatch(start);
      // A refused ledger is left unchanged.
      expect(await verdict(found, ledger, ledger.anchors)).toEqual(withAnchors);
      return;
    }
    addUse(log, 99);
    log.close();
    expect(start).toBe(goesOn);
    expect((await verdict(found, ledger, ledger.anchors))[0]).toBe(withAnchors[0]);
  });
});

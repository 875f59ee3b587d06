import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerEvidence } from '../../src/cli/ledger/ledger-evidence.ts';
import { ledgerExport } from '../../src/cli/ledger/ledger-export.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { keepPolicies } from '../../src/core/ledger/log/kept-policies.ts';
import { indexLedger } from '../../src/core/ledger/log/indexed-ledger.ts';
import { SegmentLog } from '../../src/core/ledger/log/log.ts';
import type { LogSettings } from '../../src/core/ledger/log/log-settings.ts';
import { createSegment } from '../../src/core/ledger/log/segment/segment-format.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import { allowedUse, encoded } from '../builders/ledger-record.ts';
import { must } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { policyLoad, policySet, source } from '../tools/evidence/demo-ledger.ts';
import { mustOpenLog, portsAt, settingsIn } from '../core/ledger/log/logs.ts';
import { independentExit } from '../verifier/independent.ts';
import { ran, segmentsOf, START_MS, tamper } from './ledgers.ts';

/**
 * Issue 37, point 3: each column of each table of a segment, and each file of a ledger, changed by itself. The columns and the files are
 * listed by the program, so that a new one without a row fails. Everything is signed; no key is needed for any of it.
 */
const folder = testFolders();

/** Nine records in segments of three with a checkpoint; a state file handed over each use, and the text of a policy set is kept. */
let settings: LogSettings;
let key = '';
beforeAll(async () => {
  settings = settingsIn(folder(), { segment: { maxBytes: 1, maxAgeMs: 3_600_000 } });
  const clock = { nowMs: START_MS };
  const log = mustOpenLog(settings, { ...portsAt(0), nowMs: () => clock.nowMs });
  key = log.verifierKey;
  for (let n = 1; n <= 9; n++) {
    clock.nowMs = START_MS + n * 1_000;
    const { bytes } = n === 1 ? encoded(policyLoad) : allowedUse(n, clock.nowMs);
    log.append([{ bytes, outbox: n }], 'f'.repeat(32));
    if (n % 3 === 0) log.checkpoint();
  }
  must(await keepPolicies(settings.folder, { hash: policySet, source }));
  log.close();
  const large = { ...settings, segment: { maxBytes: 1024 ** 3, maxAgeMs: 3_600_000 } };
  const last = mustOpenLog(large, portsAt(clock.nowMs));
  last.append([{ bytes: allowedUse(10, clock.nowMs).bytes, outbox: 10 }], 'f'.repeat(32));
  last.close();
  must(indexLedger(settings.folder, { nowMs: clock.nowMs, suffix: 'a', partRecords: 2 }));
});

/** A copy of all that is on the machine. */
function machine(): { readonly at: string; readonly settings: LogSettings } {
  const home = join(folder(), 'machine');
  cpSync(dirname(settings.folder), home, { recursive: true });
  const moved = (path: string): string => join(home, relative(dirname(settings.folder), path));
  return {
    at: moved(settings.folder),
    settings: {
      ...settings,
      folder: moved(settings.folder),
      keyFile: moved(settings.keyFile),
      checkpointFile: moved(settings.checkpointFile ?? ''),
    },
  };
}

/** @param independently what the verifier in Go says, if that is not the same */
const verdict = async (at: string, independently: number | null = null): Promise<readonly [number, string]> => {
  const { exit, out } = await ran(ledgerVerify, '--key', key, '--ledger', at);
  // The verifier in Go, which has no code of ours, finds the same.
  const expected = independently ?? exit;
  expect([out, independentExit({ key, folder: at }, expected)]).toEqual([out, expected]);
  return [exit, out];
};

/** Changes one column, in the way of an attacker without the key. */
const change = (sql: string) => (path: string) => expect(tamper(path, sql)).toBeGreaterThan(0);

/** Against the CHECK of the table. */
const unchecked = (sql: string) => (path: string) => {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA ignore_check_constraints = ON; ${sql}`);
  db.close();
};

type Way = readonly [what: string, attack: (path: string) => unknown, segments?: readonly number[]];

/** The first one, which no checkpoint precedes, one between others, and the newest. */
const ALL = [0, 1, -1];
/** The newest is too small for a block of the index. */
const INDEXED = [0, 1];
/** Those that begin with a checkpoint of the records before them. */
const LATER = [1, -1];

const other = "(SELECT CAST(x AS BLOB) FROM (SELECT x'0000000000000001' || zeroblob(32) AS x))";

const columns: Readonly<Record<string, readonly Way[]>> = {
  'log.id': [['another', unchecked('UPDATE log SET id = 2'), ALL]],
  'log.origin': [['of another ledger', change("UPDATE log SET origin = 'remit.acme.test/main/x'")]],
  'log.carried': [['another tree', change(`UPDATE log SET carried = ${other}`)]],
  'log.carried_head': [['another hash', change('UPDATE log SET carried_head = zeroblob(32)')]],
  'log.range': [
    ['another tree', change(`UPDATE log SET range = ${other}`)],
    ['as it began', change('UPDATE log SET range = carried')],
  ],
  'log.head': [
    ['another hash', change('UPDATE log SET head = zeroblob(32)')],
    ['none', change("UPDATE log SET head = x''")],
  ],
  'log.created_ms': [
    ['in the year 2099', change('UPDATE log SET created_ms = 4070908800000')],
    ['in the year 1970', change('UPDATE log SET created_ms = 0')],
    ['a millisecond later', change('UPDATE log SET created_ms = created_ms + 1')],
  ],
  'records.seq': [
    [
      'the last record further on',
      change('UPDATE records SET seq = seq + 100 WHERE seq = (SELECT max(seq) FROM records)'),
    ],
  ],
  'records.keys': [
    ['none', change("UPDATE records SET keys = x'' WHERE seq IN (SELECT seq FROM records WHERE length(keys) > 0)")],
  ],
  'records.bytes': [
    [
      'another time',
      change(`UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"at":17', '"at":18') AS BLOB)`),
    ],
    ['none', change("UPDATE records SET bytes = x''")],
  ],
  'index_blocks.block': [['another number', change('UPDATE index_blocks SET block = block + 1'), INDEXED]],
  'index_blocks.upto': [['a record less', change('UPDATE index_blocks SET upto = upto - 1'), INDEXED]],
  'index_drawers.id': [
    ['another number', change('UPDATE index_drawers SET id = id + 64 WHERE length(entries) > 0'), INDEXED],
  ],
  'index_drawers.entries': [
    ['none', change("UPDATE index_drawers SET entries = x'' WHERE length(entries) > 0"), INDEXED],
  ],
  'checkpoints.size': [
    [
      'a record more',
      change('UPDATE checkpoints SET size = size + 1 WHERE size = (SELECT max(size) FROM checkpoints)'),
    ],
  ],
  'checkpoints.at_ms': [
    ['in the year 2099', change('UPDATE checkpoints SET at_ms = 4070908800000')],
    ['a millisecond later', change('UPDATE checkpoints SET at_ms = at_ms + 1')],
    [
      'of the record before, a millisecond later',
      change('UPDATE checkpoints SET at_ms = at_ms + 1 WHERE size = (SELECT min(size) FROM checkpoints)'),
      LATER,
    ],
  ],
  'checkpoints.range': [
    ['another tree', change(`UPDATE checkpoints SET range = ${other}`)],
    ['damaged', change("UPDATE checkpoints SET range = x'00'")],
  ],
  'checkpoints.note': [
    [
      'of another size',
      change('UPDATE checkpoints SET note = replace(note, char(10) || size || char(10), char(10) || 1 || char(10))'),
    ],
  ],
  'taken.file_id': [['another file', change("UPDATE taken SET file_id = replace(file_id, 'f', 'e')")]],
  'taken.outbox': [
    ['more than was taken, so that records are skipped', change('UPDATE taken SET outbox = outbox + 1000')],
    ['less than was taken, so that records are written twice', change('UPDATE taken SET outbox = outbox - 1')],
  ],
};

const rows: Readonly<Record<string, readonly Way[]>> = {
  log: [
    [
      'a second row',
      unchecked('INSERT INTO log SELECT 2, origin, carried, carried_head, range, head, created_ms FROM log'),
    ],
  ],
  taken: [
    ['of a file that was never taken', change("INSERT INTO taken VALUES ('e', 7)")],
    ['deleted', change('DELETE FROM taken')],
  ],
  checkpoints: [
    [
      'the first record deleted',
      change('DELETE FROM checkpoints WHERE size = (SELECT min(size) FROM checkpoints)'),
      LATER,
    ],
  ],
};

/** The columns of a segment, as `table.column`. */
function columnsOfSchema(): readonly string[] {
  const db = new DatabaseSync(':memory:');
  createSegment(db);
  const found = db
    .prepare(
      `SELECT t.name || '.' || c.name AS name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
      WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%'`,
    )
    .all();
  db.close();
  return found.map(({ name }) => String(name));
}

const cases = (ways: Readonly<Record<string, readonly Way[]>>) =>
  Object.entries(ways).flatMap(([name, each]) =>
    each.flatMap(([what, attack, segments = ALL]) => segments.map((index) => [name, what, index, attack] as const)),
  );

it('is whole before', async () => {
  expect(await verdict(machine().at)).toEqual([0, expect.stringMatching(/verdict {4}whole$/m)]);
});

describe('a column of a segment', () => {
  it('has a row for each that the schema has', () => {
    expect(Object.keys(columns).toSorted()).toEqual([...columnsOfSchema()].toSorted());
  });

  it.each([...cases(columns), ...cases(rows)])('%s, %s, of segment %i: found', async (_name, _what, index, attack) => {
    const found = machine();
    attack(segmentsOf(found.at).at(index) ?? '');
    const [exit, out] = await verdict(found.at);
    expect([exit, out]).toEqual([3, expect.stringContaining('BROKEN')]);
    // Where a start does not notice it, what it writes and signs does not hide it.
    const log = SegmentLog.open(found.settings, portsAt(START_MS + 60_000));
    if (!isStoreFailure(log)) {
      log.append([{ bytes: allowedUse(99, START_MS + 60_000).bytes, outbox: 2_000 }], 'f'.repeat(32));
      log.close();
    }
    expect((await verdict(found.at))[0]).toBe(3);
  });

  it.each([
    ['created_ms', 'UPDATE log SET created_ms = 4070908800000', /it was begun at 4070908800000, its records say/],
    ['taken', 'UPDATE taken SET outbox = 1000', /1000 records of state file f+ were taken, its records say 10/],
  ])('%s, changed in the newest segment, stops the next start', (_name, sql, says) => {
    const found = machine();
    tamper(segmentsOf(found.at).at(-1) ?? '', sql);
    const log = SegmentLog.open(found.settings, portsAt(START_MS + 60_000));
    expect(isStoreFailure(log) ? [log.code, log.detail] : []).toEqual(['unfit', expect.stringMatching(says)]);
  });
});

const numbersIn = (lines: string): readonly number[] =>
  lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).seq);

describe('a reader of a period', () => {
  const period = [new Date(START_MS - 1).toISOString(), new Date(START_MS + 3_600_000).toISOString()] as const;

  /** The numbers of the records that a command finds in a period. */
  const readers: readonly (readonly [string, (at: string) => Promise<readonly number[]>])[] = [
    [
      'query',
      async (at) =>
        numbersIn(
          (
            await ran(
              ledgerQuery,
              '--ledger',
              at,
              '--since',
              period[0],
              '--until',
              period[1],
              '--json',
              '--oldest-first',
            )
          ).out,
        ),
    ],
    [
      'export',
      async (at) =>
        numbersIn((await ran(ledgerExport, '--ledger', at, '--since', period[0], '--until', period[1])).out),
    ],
    [
      'evidence',
      async (at) => {
        const asked = ['--framework', 'csf-2.0', '--from', period[0], '--to', period[1], '--format', 'json'];
        const { out } = await ran(ledgerEvidence, '--ledger', at, '--key', key, ...asked);
        return Array.from({ length: JSON.parse(out).records.count }, (_, index) => index + 1);
      },
    ],
  ];
  it.each(readers)('%s finds all of its records, whatever a segment says of when it was begun', async (_name, read) => {
    const expected = Array.from({ length: 14 }, (_, index) => index + 1);
    expect(await read(machine().at)).toEqual(expected);
    for (const begun of [4_070_908_800_000, 0]) {
      const { at } = machine();
      for (const path of segmentsOf(at)) tamper(path, 'UPDATE log SET created_ms = ?', begun);
      expect(await read(at)).toEqual(expected);
    }
  });
});

/** The files of a machine, without what tells two of a kind apart. */
const kindOf = (file: string): string => file.replaceAll(/\d{16}/g, 'N').replace(/sha-256_[\w-]+/, 'HASH');

const flipped = (path: string): void => {
  const bytes = readFileSync(path);
  // In the middle of a segment may be space that nothing uses.
  const record = bytes.lastIndexOf('"record":');
  const at = record === -1 ? Math.floor(bytes.length / 2) : record;
  if (bytes.length > 0) bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
  writeFileSync(path, bytes);
};

const isFound = 3;
const isNoEvidence = 0;
/** The last segment: nothing that is left says that it was there. Anchors do, and the next start. */
const needsAnchors = 0;

/** `[deleted, emptied, a byte changed]` */
const files: Readonly<Record<string, readonly [number, number, number]>> = {
  'ledger/segment-N.db': [isFound, isFound, isFound],
  'ledger/segment-N.db, the newest': [needsAnchors, needsAnchors, isFound],
  'ledger/index/segment-N-N.index': [isNoEvidence, isFound, isFound],
  'ledger/policies/HASH.json': [isFound, isFound, isFound],
  'ledger/lock.db': [isNoEvidence, isNoEvidence, isNoEvidence],
  'ledger-key.pem': [isNoEvidence, isNoEvidence, isNoEvidence],
  'checkpoints.txt': [isNoEvidence, isNoEvidence, isNoEvidence],
};

const filesIn = (home: string): readonly string[] =>
  readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(home, join(parentPath, name)))
    .toSorted();
const named = (all: readonly string[], file: string): string =>
  file === all.findLast((each) => each.includes('segment-')) ? `${kindOf(file)}, the newest` : kindOf(file);

describe('a file of a ledger', () => {
  it('has a row for each that a ledger has', () => {
    const all = filesIn(dirname(machine().at));
    expect(new Set(all.map((file) => named(all, file)))).toEqual(new Set(Object.keys(files)));
  });

  it.each([
    ['deleted', 0, (path: string) => rmSync(path)],
    ['emptied', 1, (path: string) => truncateSync(path)],
    ['with a byte changed', 2, flipped],
  ] as const)('%s: found if it is evidence', async (_what, column, attack) => {
    const all = filesIn(dirname(settings.folder));
    for (const file of all) {
      const { at } = machine();
      attack(join(dirname(at), file));
      // What `remit ledger index` makes again at any time is no evidence, so an independent verifier does not read it.
      const isDerived = file.startsWith('ledger/index/');
      expect([file, (await verdict(at, isDerived ? 0 : null))[0]]).toEqual([file, files[named(all, file)]?.[column]]);
    }
  });
});

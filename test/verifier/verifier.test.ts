import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from '@jest/globals';
import { ledgerProve } from '../../src/cli/ledger/ledger-prove.ts';
import { indexKey } from '../../src/core/ledger/index-key.ts';
import { witnessKeyText } from '../../src/core/ledger/proof/note-key.ts';
import { leafHash, nodeHash } from '../../src/core/ledger/proof/merkle.ts';
import { createSegment } from '../../src/core/ledger/log/segment/segment-format.ts';
import { canonicalJson } from '../../src/core/ledger/canonical-json.ts';
import { must, mustFind } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { taskNumber } from '../builders/task.ts';
import { cosignedNote, witnessNumber } from '../core/ledger/proof/witnesses.ts';
import { diskLedger, ran, segmentsOf } from '../cli/ledgers.ts';
import { mustOpenLog } from '../core/ledger/log/logs.ts';
import { describeWith, verifierPart } from '../parts.ts';
import { independentVerdict } from './independent.ts';
import { workedLedger, workedWitness, WORKED_AT_SECONDS } from './worked-ledger.ts';

/**
 * The page that tells an auditor how to write a verifier, held to the code, and the verifier in Go that was written from it. What both find in
 * ledgers that were tampered with is compared in `test/cli/ledger-columns`, `ledger-tampering` and `ledger-attacks`.
 */
const folder = testFolders();

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'deploy/guide/security/write-a-verifier.md'), 'utf8');

const blobs = (rows: readonly Record<string, unknown>[], column: string): readonly Buffer[] =>
  rows.map((row) => Buffer.from(row[column] instanceof Uint8Array ? row[column] : []));

it('the page has the bytes of a ledger as it is written', async () => {
  const { settings, key, notes } = workedLedger(folder());
  const db = new DatabaseSync(mustFind(segmentsOf(settings.folder)[0]));
  const leaves = blobs(db.prepare('SELECT bytes FROM records ORDER BY seq').all(), 'bytes');
  const [, range = Buffer.alloc(0)] = blobs(db.prepare('SELECT range FROM checkpoints ORDER BY size').all(), 'range');
  const tables = db.prepare('SELECT sql FROM sqlite_schema ORDER BY rowid').all();
  const ids = ['application_id', 'user_version'].map((name) => Number(db.prepare(`PRAGMA ${name}`).get()?.[name]));
  db.close();
  const hashes = leaves.map((leaf) => leafHash(leaf));
  const [one, two, three, four, five, six] = hashes;
  if (!one || !two || !three || !four || !five || !six) throw new Error('too few records');
  const pairs = [nodeHash(one, two), nodeHash(three, four)] as const;
  const first = nodeHash(...pairs);
  const cosigned = cosignedNote(notes[1] ?? '', workedWitness, WORKED_AT_SECONDS);
  const proof = await ran(ledgerProve, '2', '--ledger', settings.folder);

  expect([...page.matchAll(/^```(?:sql)?\n([^]*?)\n```$/gm)].map(([, text]) => text).slice(1)).toEqual([
    key,
    leaves.map(String).join('\n'),
    hashes.map((hash) => hash.toString('hex')).join('\n'),
    [
      `records 1 to 2  ${pairs[0].toString('hex')}`,
      `records 3 to 4  ${pairs[1].toString('hex')}`,
      `records 1 to 4  ${first.toString('hex')}   root of 4 records`,
      `records 5 to 6  ${nodeHash(five, six).toString('hex')}`,
    ].join('\n'),
    range.toString('hex'),
    ...notes.map((note) => note.trimEnd()),
    witnessKeyText(workedWitness.key),
    cosigned.trimEnd(),
    `${tables.map(({ sql }) => String(sql)).join(';\n')};`,
    indexKey('task', taskNumber(1).id).toString(16).padStart(8, '0'),
    proof.out.split('\n').slice(2, 5).join('\n'),
  ]);
  expect(page).toContain(`\`prev\` of \`${one.toString('base64')}\``);
  expect(page).toContain(`application id \`${ids[0]?.toString(16)}\`, user version ${ids[1]},`);
});

it('the page has a row for each column of a segment', () => {
  const db = new DatabaseSync(':memory:');
  createSegment(db);
  const columns = db
    .prepare(
      `SELECT t.name AS tbl, c.name AS col FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
      WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%'`,
    )
    .all();
  db.close();
  const table = page.slice(page.indexOf('| column | must be |'), page.indexOf('If a segment is not the first'));
  // Only `taken` has one row for all of its columns.
  const named = new Set([...table.matchAll(/`([a-z_.]+)`/g)].map(([, name = '']) => name));
  const without = columns.filter(
    ({ tbl, col }) =>
      !String(tbl).startsWith('index_') &&
      tbl !== 'taken' &&
      ![`${String(tbl)}.${String(col)}`, `.${String(col)}`].some((name) => named.has(name)),
  );
  expect(without).toEqual([]);
});

describeWith(verifierPart(), 'the verifier in Go', () => {
  it('says of the ledger of the page that it is whole', () => {
    const { settings, key } = workedLedger(folder());
    expect(independentVerdict('-key', key, '-anchors', settings.checkpointFile ?? '', settings.folder)).toEqual({
      exit: 0,
      out: expect.stringContaining('anchored  up to 6\nsigned    up to 6\nverdict   whole\n'),
    });
  });

  it('counts the cosignature of the page, and no other', () => {
    const { settings, key, notes } = workedLedger(folder());
    const file = join(folder(), 'witnessed.txt');
    const said = (witness: string, note: string) => {
      writeFileSync(file, `${note}\n`);
      return independentVerdict('-key', key, '-witness', witness, '-witnessed', file, settings.folder);
    };
    const note = cosignedNote(notes[1] ?? '', workedWitness, WORKED_AT_SECONDS);
    const own = witnessKeyText(workedWitness.key);
    expect(said(own, note)).toEqual({ exit: 0, out: expect.stringContaining('anchored  up to 6\n') });
    // Not cosigned; by a key that was not named; at another time.
    expect(said(own, notes[1] ?? '').exit).toBe(2);
    expect(said(witnessKeyText(witnessNumber(3).key), note).exit).toBe(2);
    const [text = '', signature = ''] = note.split(`— ${workedWitness.key.name} `);
    const bytes = Buffer.from(signature.trimEnd(), 'base64');
    bytes.writeBigUInt64BE(1n, 4);
    expect(said(own, `${text}— ${workedWitness.key.name} ${bytes.toString('base64')}\n`).exit).toBe(3);
    expect(said(key, note).exit).toBe(64);
  });

  it('tells two witnesses of one name apart by their keys', () => {
    const { settings, key, notes } = workedLedger(folder());
    const file = join(folder(), 'witnessed.txt');
    const namesake = witnessNumber(3, workedWitness.key.name);
    const both = ['-witness', witnessKeyText(workedWitness.key), '-witness', witnessKeyText(namesake.key)];
    const exitWith = (note: string) => {
      writeFileSync(file, `${note}\n`);
      return independentVerdict('-key', key, ...both, '-witnessed', file, settings.folder).exit;
    };
    const one = cosignedNote(notes[1] ?? '', workedWitness, WORKED_AT_SECONDS);
    expect([exitWith(one), exitWith(cosignedNote(one, namesake, WORKED_AT_SECONDS))]).toEqual([2, 0]);
  });

  it('refuses a key of another ledger, and bad use', () => {
    const { settings } = workedLedger(folder());
    const other = diskLedger(folder(), 1).key;
    expect(independentVerdict('-key', other, settings.folder).exit).toBe(3);
    for (const args of [[], ['-x'], [settings.folder], ['-key', 'x', settings.folder], ['-key', other]])
      expect(independentVerdict(...args).exit).toBe(64);
  });

  it('reads each proof of a record, and refuses it with any one line changed', async () => {
    const { settings, key } = workedLedger(folder());
    const file = join(folder(), 'a.tlog-proof');
    const read = (text: string) => {
      writeFileSync(file, text);
      return independentVerdict('-key', key, '-proof', file);
    };
    for (const seq of ['1', '2', '5', '6']) {
      const { out: proof } = await ran(ledgerProve, seq, '--ledger', settings.folder);
      expect(read(proof)).toEqual({ exit: 0, out: expect.stringContaining(`"seq":${seq}}`) });
      const lines = proof.split('\n');
      for (const [index, line] of lines.entries()) {
        if (line === '') continue;
        const changed = line.replace(/.(?=.?$)/u, (char) => (char === 'A' ? 'B' : 'A'));
        expect([line, read(lines.with(index, changed).join('\n')).exit]).toEqual([line, 3]);
      }
    }
  });

  it('spells JSON as the ledger does: member names beyond the basic plane, numbers, controls, separators', () => {
    const settings = { ...workedLedger(folder()).settings, folder: join(folder(), 'other') };
    const log = mustOpenLog(settings);
    const values = [
      { '\u{10000}': 1, '\uFFFD': 2, '\uE000': 3, a: 4 },
      [0, -0, 1e21, 1e-7, 0.1, 123456789012345680000, 5e-324, 1.7976931348623157e308, 0.000001, 100],
      '\b\t\n\f\r\u0000\u001f"\\/\u007f\u2028\u2029<>&é\u{1F600}\\u2028',
      [{}, [], '', null, true, false],
    ];
    for (const [at, value] of values.entries()) {
      const text = must(canonicalJson({ at, kind: 'x', task: null, value }) as string);
      expect(log.append([{ bytes: Buffer.from(text), outbox: null }], 'f'.repeat(32))).toBeNull();
    }
    log.close();
    expect(independentVerdict('-key', log.verifierKey, settings.folder)).toEqual({
      exit: 0,
      out: expect.stringContaining('whole'),
    });
  });
});

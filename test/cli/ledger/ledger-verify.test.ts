import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { ledgerExport } from '../../../src/cli/ledger/ledger-export.ts';
import { ledgerVerify } from '../../../src/cli/ledger/ledger-verify.ts';
import { mustOpenLog, portsAt } from '../../core/ledger/log/logs.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { witnessKeyText } from '../../../src/core/ledger/proof/note-key.ts';
import { cosignedNote, witnessNumber } from '../../core/ledger/proof/witnesses.ts';
import { independentExit } from '../../verifier/independent.ts';
import { addUse, diskLedger, ran, segmentsOf, START_MS, tamper } from '../ledgers.ts';

const folder = testFolders();

const verify = (...args: readonly string[]) => ran(ledgerVerify, ...args);
const originOf = (key: string): string => key.split('+')[0] ?? '';

describe('remit ledger verify', () => {
  it('prints the signed range of a whole ledger of several segments, and exits with 0', async () => {
    const ledger = diskLedger(folder(), 7);
    expect(segmentsOf(ledger.folder)).toHaveLength(4);
    expect(await verify('--key', ledger.key, '--ledger', ledger.folder)).toEqual({
      exit: 0,
      err: '',
      out: [
        `ledger     ${ledger.folder}`,
        `origin     ${originOf(ledger.key)}`,
        'records    10',
        'anchored   none',
        'signed     1 to 10',
        'bare       none',
        'verdict    whole',
        '',
      ].join('\n'),
    });
  });

  it('verifies segments of the former schema, and refuses those of a later build with the way out', async () => {
    const ledger = diskLedger(folder(), 7);
    const [first = '', second = ''] = segmentsOf(ledger.folder);
    const words = ['--key', ledger.key, '--ledger', ledger.folder, '--anchors', ledger.anchors];
    tamper(first, 'PRAGMA user_version = 2');
    expect(await verify(...words)).toMatchObject({ exit: 0, out: expect.stringContaining('anchored   1 to 10') });
    expect((await ran(ledgerExport, '--ledger', ledger.folder)).out.split('\n')).toHaveLength(11);
    tamper(second, 'PRAGMA user_version = 4');
    expect(await verify(...words)).toEqual({
      exit: 64,
      out: '',
      err: `remit ledger verify: ledger segment \`${second}\` was written by a later build of Remit: it has schema version 4, this build has version 3: run that build or a later build\n`,
    });
  });

  it('prints the three ranges, and exits with 2 for a bare tail beside a running writer', async () => {
    const ledger = diskLedger(folder(), 7, { isClosed: false });
    const notes = readFileSync(ledger.anchors, 'utf8').split(/(?<=\n— [^\n]*\n)\n/u);
    const anchor = join(ledger.folder, '../anchor.txt');
    writeFileSync(anchor, `# received 2026-01-01T00:00:03Z\n${notes[0] ?? ''}`);
    const { exit, out } = await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', anchor);
    expect(exit).toBe(2);
    expect(out).toContain(
      'records    9\nanchored   1 to 4\nsigned     5 to 8\nbare       9\nverdict    sound, with a bare tail\n',
    );
    ledger.log.close();
    const { exit: closed } = await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', ledger.anchors);
    expect(closed).toBe(0);
  });

  it('reads the key from a file, and prints one object with --json', async () => {
    const ledger = diskLedger(folder(), 4);
    const keyFile = join(ledger.folder, '../key');
    writeFileSync(keyFile, `# ours\n${ledger.key}\n`);
    const { exit, out } = await verify('--key', `@${keyFile}`, '--ledger', ledger.folder, '--json');
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      exit: 0,
      ledgers: [
        { ledger: ledger.folder, origin: originOf(ledger.key), verdict: { kind: 'sound', size: 6, bare: null } },
      ],
    });
  });

  it('reads a copy that others may read, and leaves no file beside it', async () => {
    const ledger = diskLedger(folder(), 4);
    const copy = join(ledger.folder, '../copy');
    cpSync(ledger.folder, copy, { recursive: true });
    for (const path of segmentsOf(copy)) chmodSync(path, 0o444);
    expect((await verify('--key', ledger.key, '--ledger', copy)).exit).toBe(0);
    expect(readdirSync(copy).filter((name) => /-(?:wal|shm)$/.test(name))).toEqual([]);
  });

  it('counts pruned records, and names the record of the pruning', async () => {
    const ledger = diskLedger(folder(), 9, { change: { retain: { maxBytes: 1, maxAgeMs: 3_600_000 } } });
    const { exit, out } = await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', ledger.anchors);
    expect([exit, out]).toEqual([
      0,
      expect.stringContaining('records    14, the first 9 of them pruned by record 13\nanchored   10 to 14\n'),
    ]);
    expect(out).toContain('unchecked  1 heads of pruned records\n');
  });

  // Issue 43, point 8: the exit code was 0.
  it.each([
    ['below the pruned records', 4, 2],
    ['of just the pruned records', 9, 2],
    ['of records that are here', 14, 0],
  ])('with an anchor %s, says whether it covers any record here', async (_name, size, expected) => {
    const ledger = diskLedger(folder(), 9, { change: { retain: { maxBytes: 1, maxAgeMs: 3_600_000 } } });
    const notes = readFileSync(ledger.anchors, 'utf8').split(/(?<=\n— [^\n]*\n)\n/u);
    const file = join(folder(), 'anchor.txt');
    writeFileSync(file, `${notes.find((each) => each.split('\n')[1] === String(size)) ?? ''}\n`);
    const words = ['--key', ledger.key, '--ledger', ledger.folder, '--anchors', file];
    const { exit, out } = await verify(...words);
    const none = 'sound, and the anchors cover none of the records here: they are of the first 9, which are pruned';
    expect([exit, out]).toEqual([
      expected,
      expect.stringContaining(`\nverdict    ${expected === 0 ? 'whole' : none}\n`),
    ]);
    expect(independentExit({ key: ledger.key, folder: ledger.folder, anchors: file }, exit)).toBe(exit);
    const { ledgers } = JSON.parse((await verify(...words, '--json')).out);
    expect(ledgers).toEqual([expect.objectContaining({ isAnchored: expected === 0 })]);
  });

  it.each<[string, (ledger: ReturnType<typeof diskLedger>) => void, RegExp]>([
    [
      'the oldest segments are missing without a pruning record (issue 14, point 1)',
      ({ folder: at }) =>
        segmentsOf(at)
          .slice(0, 2)
          .forEach((path) => rmSync(path)),
      /BROKEN: records 1 to 8 are missing, and no signed record says that they were pruned$/m,
    ],
    [
      'a segment in the middle is missing',
      ({ folder: at }) => rmSync(segmentsOf(at)[1] ?? ''),
      /BROKEN: records 5 to 8 are missing$/m,
    ],
    [
      'a segment begins with another tree than the end of the segment before it',
      ({ folder: at }) => {
        expect(tamper(segmentsOf(at)[2] ?? '', 'UPDATE log SET carried_head = zeroblob(32)')).toBe(1);
      },
      /BROKEN: the part after record 8 (?:continues other records|cannot be continued)/,
    ],
    [
      'a segment belongs to another ledger',
      ({ folder: at }) => void tamper(segmentsOf(at)[1] ?? '', "UPDATE log SET origin = 'remit.acme.test/main/x'"),
      /BROKEN: the part after record 4 belongs to `remit\.acme\.test\/main\/x`/,
    ],
    [
      'the first record of a segment is linked to another',
      ({ folder: at }) =>
        void tamper(
          segmentsOf(at)[1] ?? '',
          `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"prev":"', '"prev":"A') AS BLOB) WHERE seq = 5`,
        ),
      /BROKEN at record 5: it /,
    ],
    [
      'the index has a record under another task, which hides it',
      ({ folder: at }) =>
        void tamper(segmentsOf(at)[1] ?? '', "UPDATE index_drawers SET entries = x'' WHERE length(entries) > 6"),
      /BROKEN: `.*segment-0{15}4\.db` is damaged: its index does not match records 5 to 8$/m,
    ],
    [
      'an unindexed record has the keys of another',
      ({ folder: at, settings }) => {
        const log = mustOpenLog({ ...settings, segment: { maxBytes: 1024 ** 3, maxAgeMs: 3_600_000_000_000 } });
        addUse(log, 10);
        log.close();
        expect(tamper(segmentsOf(at).at(-1) ?? '', "UPDATE records SET keys = x'00' WHERE seq = 13")).toBe(1);
      },
      /BROKEN: `.*` is damaged: the keys of record 13 do not match it$/m,
    ],
    [
      'the index of a segment is missing',
      ({ folder: at }) => {
        tamper(segmentsOf(at)[1] ?? '', 'DELETE FROM index_drawers');
        tamper(segmentsOf(at)[1] ?? '', 'DELETE FROM index_blocks');
      },
      /BROKEN: `.*` is damaged: its index lacks records 5 to 8$/m,
    ],
    [
      'the index has entries without records',
      ({ folder: at }) => void tamper(segmentsOf(at)[1] ?? '', 'INSERT INTO index_blocks VALUES (1, 12)'),
      /BROKEN: `.*` is damaged: its index has entries beyond its records$/m,
    ],
    [
      'a segment has an additional SQLite index',
      ({ folder: at }) => void tamper(segmentsOf(at)[1] ?? '', 'CREATE INDEX own ON records (bytes)'),
      /BROKEN: `.*` is damaged: its schema is not that of a ledger segment: index own records CREATE INDEX own/m,
    ],
    [
      'a checkpoint has another root',
      ({ folder: at }) =>
        void tamper(
          segmentsOf(at)[1] ?? '',
          'UPDATE checkpoints SET note = replace(note, char(10) || 8, char(10) || 7)',
        ),
      /BROKEN: a checkpoint after that of size 4 has a wrong signature/,
    ],
    [
      'a segment is not a database',
      ({ folder: at }) => writeFileSync(segmentsOf(at)[1] ?? '', 'x'.repeat(4096)),
      /BROKEN: ledger segment `.*` cannot be opened/,
    ],
    [
      'the tree of a segment is damaged',
      ({ folder: at }) => void tamper(segmentsOf(at)[1] ?? '', "UPDATE log SET carried = x'00'"),
      /BROKEN: ledger segment `.*` is damaged/,
    ],
  ])('exits with 3 if %s', async (_name, attack, said) => {
    const ledger = diskLedger(folder(), 9);
    attack(ledger);
    const { exit, out } = await verify('--key', ledger.key, '--ledger', ledger.folder);
    expect(out).toMatch(said);
    expect(exit).toBe(3);
  });

  it('assigns anchors and keys of several epochs, and names an anchored ledger that is missing (L-3)', async () => {
    const [old, now] = [diskLedger(folder(), 4), diskLedger(folder(), 5)];
    const anchors = join(old.folder, '../both.txt');
    writeFileSync(anchors, readFileSync(old.anchors));
    appendFileSync(anchors, readFileSync(now.anchors));
    const keys = ['--key', old.key, '--key', now.key, '--anchors', anchors];
    expect((await verify(...keys, '--ledger', old.folder, '--ledger', now.folder)).exit).toBe(0);
    const { exit, out } = await verify(...keys, '--ledger', now.folder);
    expect(exit).toBe(3);
    expect(out).toContain(
      `\n\nledger     not here\norigin     ${originOf(old.key)}\n` +
        'verdict    BROKEN: an anchor covers 6 records, but the ledger is missing\n',
    );
    const empty = folder();
    mkdirSync(join(empty, 'ledger'));
    const gone = await verify('--key', old.key, '--anchors', old.anchors, '--ledger', join(empty, 'ledger'));
    expect([gone.exit, gone.out]).toEqual([3, expect.stringContaining('but the ledger is missing')]);
  });

  it('exits with 3 if the key belongs to another ledger', async () => {
    const [one, other] = [diskLedger(folder(), 2), diskLedger(folder(), 2)];
    const { exit, out } = await verify('--key', other.key, '--ledger', one.folder);
    expect(exit).toBe(3);
    expect(out).toContain(
      `BROKEN: the log is \`${originOf(one.key)}\`, but the key belongs to \`${originOf(other.key)}\``,
    );
  });

  it("reads anchors from a collector's file", async () => {
    const ledger = diskLedger(folder(), 4);
    const bodies = readFileSync(ledger.anchors, 'utf8')
      .split(/(?<=\n— [^\n]*\n)\n/u)
      .filter((note) => note !== '');
    const requests = ['ready', ...bodies].map((stringValue) => ({
      resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue } }] }] }],
    }));
    const file = join(ledger.folder, '../collector.jsonl');
    writeFileSync(file, requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
    const { exit, out } = await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', file);
    expect([exit, out]).toEqual([0, expect.stringContaining('anchored   1 to 6\n')]);
  });

  it('verifies an export by its anchors, and exits with 3 for an export that lacks a line', async () => {
    const ledger = diskLedger(folder(), 7);
    const file = join(ledger.folder, '../export.jsonl');
    expect((await ran(ledgerExport, '--ledger', ledger.folder, '--out', file)).exit).toBe(0);
    const args = ['--key', ledger.key, '--anchors', ledger.anchors, '--jsonl', file];
    expect(await verify(...args)).toMatchObject({ exit: 0, out: expect.stringContaining('anchored   1 to 10\n') });
    writeFileSync(file, readFileSync(file, 'utf8').split('\n').toSpliced(3, 1).join('\n'));
    expect(await verify(...args)).toMatchObject({
      exit: 3,
      out: expect.stringContaining('BROKEN at record 4: it has the bytes of record 5\n'),
    });
  });

  it.each<[string, (ledger: ReturnType<typeof diskLedger>) => readonly string[], RegExp]>([
    ['no key', ({ folder: at }) => ['--ledger', at], /^remit ledger verify: --key is required: the verifier key/],
    ['an invalid key', ({ folder: at }) => ['--key', 'x', '--ledger', at], /--key must be a note key/],
    ['no ledger', ({ key }) => ['--key', key, '--ledger', '/nowhere'], /no ledger in `\/nowhere`/],
    [
      'an export with another ledger, which would not be verified',
      ({ key, folder: at }) => ['--key', key, '--jsonl', 'export.jsonl', '--ledger', at],
      /^remit ledger verify: --jsonl takes the place of --ledger, --config, --state and --received/,
    ],
    [
      'anchors of a log whose name a terminal would obey',
      ({ key, folder: at }) => {
        const anchors = join(at, '../anchors-of-others');
        writeFileSync(anchors, 'other\u009b2J\n8\nAAAA\n\n\u2014 other AAAA\n');
        return ['--key', key, '--ledger', at, '--anchors', anchors];
      },
      /^remit ledger verify: the anchors of `other\?2J` cannot be verified/,
    ],
    ['an unknown option', ({ key }) => ['--key', key, '--trust'], /Unknown option '--trust'/],
    [
      'a file without anchors',
      ({ key, folder: at, settings }) => ['--key', key, '--ledger', at, '--anchors', settings.keyFile],
      /contains no signed note/,
    ],
    [
      'anchors without the key of their ledger',
      ({ key, folder: at }) => ['--key', key, '--ledger', at, '--anchors', diskLedger(folder(), 2).anchors],
      /the anchors of `remit\.acme\.test\/main\/[0-9a-f]{32}` cannot be verified: add its --key/,
    ],
  ])('exits with 64 for %s, unlike for a bare tail', async (_name, args, said) => {
    const ledger = diskLedger(folder(), 2);
    const { exit, out, err } = await verify(...args(ledger));
    expect([exit, out]).toEqual([64, '']);
    expect(err).toMatch(said);
  });

  it('skips an incomplete note at the end of a checkpoint file, and reports it', async () => {
    const ledger = diskLedger(folder(), 4);
    appendFileSync(ledger.anchors, `${originOf(ledger.key)}\n9\nabc`);
    const { exit, err } = await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', ledger.anchors);
    expect([exit, err]).toEqual([0, expect.stringContaining('is an incomplete note and is skipped')]);
  });

  it.each([
    ['an empty file', ''],
    ['a database without tables', 'PRAGMA journal_mode = WAL; PRAGMA user_version = 0'],
  ])('skips a next segment under construction: %s', async (_name, sql) => {
    const ledger = diskLedger(folder(), 4);
    const next = join(ledger.folder, 'segment-0000000000000006.db');
    writeFileSync(next, '', { mode: 0o600 });
    if (sql !== '') {
      const db = new DatabaseSync(next);
      db.exec(sql);
      db.close();
    }
    expect(await verify('--key', ledger.key, '--ledger', ledger.folder)).toMatchObject({ exit: 0 });
  });

  it('stays whole while the ledger grows', async () => {
    const ledger = diskLedger(folder(), 4);
    const log = mustOpenLog(ledger.settings);
    for (let n = 5; n <= 8; n++) addUse(log, n);
    expect((await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', ledger.anchors)).exit).toBe(2);
    log.checkpoint();
    expect((await verify('--key', ledger.key, '--ledger', ledger.folder, '--anchors', ledger.anchors)).exit).toBe(0);
    log.close();
  });
});

describe('remit ledger verify with witnesses', () => {
  const prunes = { maxBytes: 1, maxAgeMs: 3_600_000 };
  const witness = witnessNumber(1);

  /** What both verifiers say of a ledger by the checkpoint of a size that the witness cosigned. */
  async function saidOf(ledger: Pick<ReturnType<typeof diskLedger>, 'key' | 'anchors' | 'folder'>, size: number) {
    const notes = readFileSync(ledger.anchors, 'utf8').split(/(?<=\n— [^\n]*\n)\n/u);
    const note = notes.find((each) => each.split('\n')[1] === String(size)) ?? '';
    const file = join(folder(), 'witnessed.txt');
    writeFileSync(file, `${cosignedNote(note, witness, START_MS / 1_000)}\n`);
    const key = witnessKeyText(witness.key);
    const words = ['--key', ledger.key, '--ledger', ledger.folder, '--witness', key, '--witnessed', file];
    const { exit, out } = await verify(...words);
    const independent = { key: ledger.key, folder: ledger.folder, witnesses: [key], witnessed: file };
    expect(independentExit(independent, exit)).toBe(exit);
    return { exit, out };
  }

  it('does not count a cosigned checkpoint of pruned records, which a rewritten ledger would not contradict', async () => {
    const ledger = diskLedger(folder(), 4);
    const forged = join(folder(), 'ledger');
    cpSync(ledger.folder, forged, { recursive: true });
    const real = mustOpenLog(ledger.settings, portsAt(START_MS + 20_000));
    for (const n of [5, 6]) addUse(real, n);
    real.close();
    expect(await saidOf(ledger, 9)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('\ncosigned   1 to 9 by 1 of the witnesses\nverdict    whole\n'),
    });
    // The holder of the key rewrites all that follows, and prunes up to where nothing is left to compare.
    const change = { folder: forged, checkpointFile: null, retain: prunes };
    const other = mustOpenLog({ ...ledger.settings, ...change }, portsAt(START_MS + 20_000));
    for (const n of [30, 31, 32]) {
      addUse(other, n);
      other.checkpoint();
    }
    other.close();
    expect((await verify('--key', ledger.key, '--ledger', forged)).exit).toBe(0);
    const { exit, out } = await saidOf({ ...ledger, folder: forged }, 9);
    expect([exit, out]).toEqual([2, expect.stringContaining('unchecked  1 heads of pruned records\n')]);
    expect(out).toContain('witness    witness.test/w1: records 1 to 9, at ');
    expect(out).toContain(
      '\nverdict    sound, and what the witnesses have cosigned is pruned: no cosignature was compared',
    );
  });

  it('says how many signed records follow those that the quorum has cosigned', async () => {
    const ledger = diskLedger(folder(), 9, { change: { retain: prunes } });
    expect(await saidOf(ledger, 14)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('\ncosigned   1 to 14 by 1 of the witnesses\n'),
    });
    // The checkpoint of just the pruned records is compared with their tree.
    expect(await saidOf(ledger, 9)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('\ncosigned   1 to 9 by 1 of the witnesses; 5 signed records follow\n'),
    });
    expect((await saidOf(ledger, 4)).exit).toBe(2);
  });
});

it.each([
  ['a quorum without witnesses', ['--quorum', '1'], '--witnessed and --quorum go with --witness'],
  ['a witness without a file', ['--witness', 'W1'], '--witness needs --witnessed'],
  [
    'the key of a log',
    ['--witness', 'LOG', '--witnessed', 'FILE'],
    '--witness must be a key for cosignatures (type 4)',
  ],
  ['a witness twice', ['--witness', 'W1', '--witness', 'ALIAS', '--witnessed', 'FILE'], '--witness has a key twice'],
  ['a quorum of none', ['--witness', 'W1', '--witnessed', 'FILE', '--quorum', '0'], '--quorum must be 1 to 1'],
  ['too large a quorum', ['--witness', 'W1', '--witnessed', 'FILE', '--quorum', '2'], '--quorum must be 1 to 1'],
])('remit ledger verify refuses %s', async (_name, words, message) => {
  const ledger = diskLedger(folder(), 3);
  const named: Readonly<Record<string, string>> = {
    W1: witnessKeyText(witnessNumber(1).key),
    ALIAS: witnessKeyText(witnessNumber(1, 'witness.test/alias').key),
    LOG: ledger.key,
    FILE: ledger.anchors,
  };
  const args = words.map((word) => named[word] ?? word);
  expect(await verify('--key', ledger.key, '--ledger', ledger.folder, ...args)).toMatchObject({
    exit: 64,
    err: expect.stringContaining(message),
  });
});

import type { KeyObject } from 'node:crypto';
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ledgerCheckProof } from '../../../src/cli/ledger/ledger-check-proof.ts';
import { ledgerProve } from '../../../src/cli/ledger/ledger-prove.ts';
import { ledgerVerify } from '../../../src/cli/ledger/ledger-verify.ts';
import { base64Of } from '../../../src/core/ledger/proof/base64.ts';
import { signedCheckpoint } from '../../../src/core/ledger/proof/checkpoint.ts';
import { appended, emptyRange, rangeBytes, rangeFrom } from '../../../src/core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../../src/core/ledger/proof/compact-range.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { leafHash, rootOf } from '../../../src/core/ledger/proof/merkle.ts';
import { noteKeyOf, noteKeyText } from '../../../src/core/ledger/proof/note-key.ts';
import { packText, sectionsFrom } from '../../../src/authority/records/pack.ts';
import type { Section } from '../../../src/authority/records/pack.ts';
import { bytesOf, folderArchive } from '../../../src/authority/records/record-archive.ts';
import { keptApart } from '../../../src/authority/records/kept-apart.ts';
import { RecordFiles, recordFilesIn } from '../../../src/authority/records/record-files.ts';
import { pruneReceived } from '../../../src/authority/records/received-retention.ts';
import type { ReceivedRetention } from '../../../src/authority/records/received-retention.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { addUse, ran } from '../../cli/ledgers.ts';
import { privateKeyOf, publicKeyOf } from '../../core/ledger/keys.ts';
import { portsAt } from '../../core/ledger/log/logs.ts';
import { independentExit } from '../../verifier/independent.ts';
import {
  addRecords,
  authority,
  connected,
  emitterRecords,
  nameOf,
  partFrom,
  sidecarLog,
  unsignedPart,
} from './receivers.ts';

const folder = testFolders();

const DAY_MS = 86_400_000;
const LATE: ReceivedRetention = { maxAgeMs: 4_000 * DAY_MS, maxBytes: null };
const AGE: ReceivedRetention = { maxAgeMs: 400 * DAY_MS, maxBytes: null };

/** Verifies received records, and has the verifier in Go find the same. */
async function verifiedByBoth(of: { readonly key: string; readonly folder: string; readonly received: string }) {
  const { key, folder: ledger, received: from } = of;
  const found = await ran(ledgerVerify, '--key', key, '--ledger', ledger, '--received', from);
  expect(independentExit(of, found.exit)).toBe(found.exit);
  return found;
}

/** An authority that received, each in a file of its own: on day 0 of a log and of one that ended, on day 100, and on day 500. */
async function received() {
  let day = 0;
  const records = join(folder(), 'records');
  const files = new RecordFiles(records, { ...portsAt(0), nowMs: () => day * DAY_MS });
  const own = await authority(folder(), { store: files });
  const [pod, other] = [folder(), folder()];
  const [log, ended] = [sidecarLog(pod, 10), sidecarLog(other, 4)];
  const send = async (): Promise<void> => {
    const { stream } = await connected(own.receiver, nameOf(log), log.size);
    await stream.receive(partFrom(pod, stream.size));
    await own.timers.pass(300);
  };
  const { stream } = await connected(own.receiver, nameOf(ended), ended.size);
  await stream.receive(partFrom(other, 0));
  await send();
  await stream.end(true);
  for (const later of [100, 500]) {
    day = later;
    addUse(log, later);
    addRecords(log, { from: later, to: later + 10 });
    must(log.checkpoint());
    await send();
  }
  log.close();
  ended.close();
  const prune = (retain: ReceivedRetention, nowDay: number) => {
    const archive = folderArchive(records);
    return pruneReceived({
      archive,
      bytes: () => bytesOf(archive),
      retain,
      nowMs: () => nowDay * DAY_MS,
      record: async (record) =>
        own.log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
    });
  };
  const end = async (): Promise<void> => {
    await own.close();
    await files.close();
  };
  const ledger = join(own.folder, 'ledger');
  const verify = (from = records) => verifiedByBoth({ key: own.log.verifierKey, folder: ledger, received: from });
  return { ...own, sidecar: log, ended, records, prune, end, verify, ledger };
}

const prunedIn = (place: string) => emitterRecords(place).filter(({ event }) => event === 'pruned');
const blockOf = (out: string, origin: string): string =>
  out.split('\n\n').find((block) => block.includes(`received   ${origin}`)) ?? '';

const treeIn = (file: string): string => /"tree":"([^"]+)"/.exec(readFileSync(file, 'utf8'))?.[1] ?? '';

/** A record with another time. */
const laterLeaf = (leaf: Leaf): Leaf => ({ ...leaf, record: { ...leaf.record, at: leaf.record.at + 1 } });

interface Leaf {
  readonly prev: string;
  readonly record: { readonly at: number };
}

/**
 * Changes the second record of a file of one log, and all that follows from it without the key of the sidecar: links, tree and last hash. With
 * `forger` the checkpoints are signed anew, by another key that the head names.
 */
function forge(file: string, { forger }: { readonly forger?: KeyObject } = {}): void {
  writeFileSync(file, packText(sectionsFrom(readFileSync(file)).sections.map((section) => forged(section, forger))));
}

function forged(section: Section, forger: KeyObject | undefined): Section {
  const { origin } = section;
  let prev = '';
  let range: CompactRange = emptyRange;
  const leaves = section.leaves.map((bytes, index) => {
    const leaf = JSON.parse(Buffer.from(bytes).toString()) as Leaf;
    const changed = Buffer.from(JSON.stringify({ ...(index === 1 ? laterLeaf(leaf) : leaf), prev }));
    prev = base64Of(leafHash(changed));
    range = appended(range, leafHash(changed));
    return changed;
  });
  const root = rootOf(range.nodes);
  const of = { ...section, leaves, tree: base64Of(rangeBytes(range)), last: prev };
  if (forger === undefined) return of;
  const checkpoints = [signedCheckpoint({ origin, size: range.size, root }, forger)];
  return { ...of, verifierKey: noteKeyText(noteKeyOf(origin, publicKeyOf(forger))), checkpoints };
}

/** Issue 37, point 3: the retention signs what it deletes, and so must have recomputed it. */
describe('pruneReceived, of records that somebody changed before it came to them', () => {
  const changes: readonly (readonly [string, (file: string) => void, says: RegExp, verified?: number])[] = [
    [
      'a record',
      (file) => writeFileSync(file, readFileSync(file, 'utf8').replace('"seq":2}', '"seq":3}')),
      /that does not follow$/,
    ],
    [
      'a time',
      (file) => {
        const text = readFileSync(file, 'utf8');
        writeFileSync(file, text.replace(/"at":\d/, '"at":9'));
      },
      /that does not follow$|whose tree is not that of its records$|another hash of the last record/,
    ],
    [
      'the tree in a head',
      (file) => {
        const tree = Buffer.from(treeIn(file), 'base64');
        tree.writeUInt8(tree.readUInt8(tree.length - 1) ^ 1, tree.length - 1);
        writeFileSync(file, readFileSync(file, 'utf8').replace(treeIn(file), tree.toString('base64')));
      },
      /whose tree is not that of its records$/,
    ],
    [
      'records, links and trees',
      (file) => forge(file),
      /has a checkpoint of \d+ records of `.*` that is not over those/,
    ],
    [
      'the last hash in a head',
      (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/"last":"...../, '"last":"AAAAA')),
      /has another hash of the last record/,
    ],
    [
      'a checkpoint',
      (file) => writeFileSync(file, readFileSync(file, 'utf8').replace(/(checkpoints":\["[^"]*?\\n)\d+/, '$17')),
      /has a checkpoint of `.*` which /,
      // The ledger of the authority has its own.
      0,
    ],
  ];
  it.each(changes)('%s: keeps the file, signs nothing over it, says so', async (_what, change, says, verified = 3) => {
    const own = await received();
    const [first = ''] = recordFilesIn(own.records);
    change(first);
    expect(await own.prune(AGE, 401)).toEqual({ problem: expect.stringMatching(says) });
    expect(existsSync(first)).toBe(true);
    await own.end();
    expect(prunedIn(own.folder)).toEqual([]);
    expect((await own.verify()).exit).toBe(verified);
  });

  it('all of it, signed by another key: what it signs does not go with the ledger', async () => {
    const own = await received();
    const [first = ''] = recordFilesIn(own.records);
    forge(first, { forger: privateKeyOf(Buffer.alloc(32, 7)) });
    await own.prune(AGE, 401);
    await own.end();
    const { exit, out } = await own.verify();
    expect([exit, out]).toEqual([3, expect.stringContaining('BROKEN')]);
  });

  it('a file that is gone: what it signs after it says that records are missing', async () => {
    const own = await received();
    const [first = '', second = ''] = recordFilesIn(own.records);
    rmSync(first);
    expect(await own.prune({ ...LATE, maxBytes: 1 }, 500.01)).toMatchObject({ objects: 1 });
    expect(existsSync(second)).toBe(false);
    await own.end();
    const { exit, out } = await own.verify();
    expect(exit).toBe(3);
    expect(blockOf(out, own.sidecar.origin)).toContain(
      'BROKEN: records 1 to 11 are missing, and the retention deleted those after them',
    );
  });

  it('waits for the checkpoint over the last records of a log, and for none once the log has ended', async () => {
    const own = await received();
    const [, second = ''] = recordFilesIn(own.records);
    const text = readFileSync(second, 'utf8').replace(/"checkpoints":\[[^\]]*\]/, '"checkpoints":[]');
    writeFileSync(second, text);
    const all = { ...LATE, maxBytes: 1 };
    expect(await own.prune(all, 101)).toMatchObject({ objects: 1 });
    expect(existsSync(second)).toBe(true);
    expect(await own.prune(all, 500.01)).toEqual({ objects: 0, bytes: 0 });
    expect(await own.prune(all, 600)).toMatchObject({ objects: 2 });
    await own.end();
    expect((await own.verify()).exit).toBe(0);
  });
});

/** Its log has ten records, of which the first four and their checkpoint's are signed; the authority has taken it for lost. */
async function killed() {
  const records = join(folder(), 'records');
  let day = 0;
  const files = new RecordFiles(records, { ...portsAt(0), nowMs: () => day * DAY_MS });
  const own = await authority(folder(), { store: files });
  const [pod, other] = [folder(), folder()];
  const [log, alive] = [sidecarLog(pod, 4), sidecarLog(other, 4)];
  const { stream } = await connected(own.receiver, nameOf(log), log.size);
  await stream.receive(partFrom(pod, 0));
  await own.timers.pass(300);
  addRecords(log, { from: 5, to: 9 });
  await stream.receive(unsignedPart(pod, log.size - 5));
  await own.timers.pass(300);
  await stream.end(false);
  await own.timers.pass(90_000);
  expect(emitterRecords(own.folder)).toContainEqual(expect.objectContaining({ event: 'lost', size: log.size }));
  // A log with nothing for hours after it has no further checkpoint.
  day = 0.5;
  await (await connected(own.receiver, nameOf(alive), alive.size)).stream.receive(partFrom(other, 0));
  await own.timers.pass(300);
  log.close();
  alive.close();
  const archive = folderArchive(records);
  const prune = () =>
    pruneReceived({
      archive,
      bytes: () => bytesOf(archive),
      retain: AGE,
      nowMs: () => 401 * DAY_MS,
      record: async (record) =>
        own.log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
    });
  const verify = () =>
    verifiedByBoth({ key: own.log.verifierKey, folder: join(own.folder, 'ledger'), received: records });
  const end = async (): Promise<void> => {
    await own.close();
    await files.close();
  };
  return { file: recordFilesIn(records)[0] ?? '', log, prune, verify, end };
}

/** Nothing but the ledger of the authority says which records a killed sidecar had sent after its last checkpoint. */
describe('pruneReceived, of the log of a sidecar that was killed', () => {
  it.each([
    ['as it was sent', 0, { exit: 0, says: /^((?!deleted the records).)*$/s }],
    ['with a changed record', 1, { exit: 3, says: /records that the retention deleted are not those that were kept/ }],
    [
      'with a changed record and an additional record',
      2,
      { exit: 0, says: /remark +record 11: the retention deleted the records from 6 on as they lay there/ },
    ],
  ])('%s: the verification tells (issue 37, found)', async (_what, forgery, { exit, says }) => {
    const own = await killed();
    if (forgery > 0) forgeTail(own.file, forgery === 2);
    expect(await own.prune()).toMatchObject({ objects: 2 });
    await own.end();
    const verified = await own.verify();
    expect([verified.exit, blockOf(verified.out, own.log.origin)]).toEqual([exit, expect.stringMatching(says)]);
  });
});

/** Changes the first record of the last section of a file, all that follows from it, and adds a record where it `grows`. */
function forgeTail(file: string, grows: boolean): void {
  const { sections } = sectionsFrom(readFileSync(file));
  const [first, tail] = sections;
  if (first === undefined || tail === undefined) throw new Error('no tail');
  let prev = first.last;
  let range = must(rangeFrom(Buffer.from(first.tree, 'base64')) ?? { problem: 'no tree' });
  const parsed = tail.leaves.map(
    (bytes) => JSON.parse(Buffer.from(bytes).toString()) as Leaf & { readonly seq: number },
  );
  const more = grows ? parsed.slice(-1).map((leaf) => Object.assign(structuredClone(leaf), { seq: leaf.seq + 1 })) : [];
  const leaves = [...parsed, ...more].map((leaf, index) => {
    const changed = Buffer.from(JSON.stringify({ ...(index === 0 ? laterLeaf(leaf) : leaf), prev }));
    prev = base64Of(leafHash(changed));
    range = appended(range, leafHash(changed));
    return changed;
  });
  writeFileSync(file, packText([first, { ...tail, leaves, tree: base64Of(rangeBytes(range)), last: prev }]));
}

describe('pruneReceived', () => {
  it('deletes records beyond an age, of which the ledger of the authority says up to where they go, and the rest is proved', async () => {
    const own = await received();
    expect(await own.prune(AGE, 399)).toEqual({ objects: 0, bytes: 0 });
    expect(await own.prune(AGE, 401)).toMatchObject({ objects: 1 });
    expect(recordFilesIn(own.records)).toHaveLength(2);
    await own.end();
    expect(prunedIn(own.folder)).toMatchObject([
      { origin: own.ended.origin, size: 5, why: 'age', note: expect.stringContaining('\n5\n') },
      { origin: own.sidecar.origin, size: 11, signed: 11, why: 'age' },
    ]);
    const { exit, out } = await own.verify();
    expect(exit).toBe(0);
    const all = own.sidecar.size;
    expect(blockOf(out, own.sidecar.origin)).toContain(
      `counted    ${all} anchored, ${all - 11} received, 11 deleted by the retention, 0 missing\n`,
    );
    expect(blockOf(out, own.sidecar.origin)).toContain(`records    ${all}, the first 11 of them pruned\n`);
    expect(blockOf(out, own.ended.origin)).toContain(
      'counted    5 anchored, 0 received, 5 deleted by the retention, 0 missing\n',
    );

    const proof = join(folder(), 'proof');
    const of = ['--ledger', own.ledger, '--received', own.records];
    expect(await ran(ledgerProve, 'use-500', ...of, '--out', proof)).toMatchObject({ exit: 0, err: '' });
    expect(await ran(ledgerCheckProof, proof, '--key', own.log.verifierKey)).toMatchObject({ exit: 0, err: '' });
  });

  it('deletes the oldest beyond a size, and none of the last two hours', async () => {
    const own = await received();
    const sizes = must(await folderArchive(own.records).list(null)).objects.map(({ bytes }) => bytes);
    const [, second = 0, third = 0] = sizes;
    expect(await own.prune({ ...LATE, maxBytes: second + third }, 501)).toMatchObject({ objects: 1 });
    expect(await own.prune({ ...LATE, maxBytes: 1 }, 500.01)).toMatchObject({ objects: 1 });
    expect(recordFilesIn(own.records)).toHaveLength(1);
    await own.end();
    expect(prunedIn(own.folder).map(({ why }) => why)).toEqual(['size', 'size', 'size']);
    expect((await own.verify()).exit).toBe(0);
  });

  it('deletes nothing that its ledger does not name', async () => {
    const own = await received();
    const archive = folderArchive(own.records);
    const refused = await pruneReceived({
      archive,
      bytes: () => bytesOf(archive),
      retain: AGE,
      nowMs: () => 900 * DAY_MS,
      record: async () => false,
    });
    expect(refused).toEqual({ problem: 'the ledger of the authority is unavailable' });
    expect(recordFilesIn(own.records)).toHaveLength(3);
    await own.end();
  });

  it('can be told from a deletion by somebody else, whose records are missing', async () => {
    const own = await received();
    await own.prune(AGE, 401);
    await own.end();
    const [second = ''] = recordFilesIn(own.records);
    rmSync(second);
    const { exit, out } = await own.verify();
    expect([exit, blockOf(out, own.sidecar.origin).includes(' 11 deleted by the retention, 13 missing\n')]).toEqual([
      3,
      true,
    ]);
  });

  it('keeps a file that is damaged, or that somebody renamed so that it looks old, and says so', async () => {
    const own = await received();
    const [first = '', second = '', third = ''] = recordFilesIn(own.records);
    renameSync(third, third.replace(/records-\d{16}/, 'records-0000000000000001'));
    // Its records are of 2026, and so younger than the first day.
    const nowDay = 21_000;
    expect(await own.prune({ maxAgeMs: (nowDay - 1) * DAY_MS, maxBytes: null }, nowDay)).toEqual({
      problem: expect.stringMatching(
        /^`records-0000000000000001.*` is kept: it has a record of `.*` that is younger than its name says$/,
      ),
    });
    expect([existsSync(first), existsSync(second), recordFilesIn(own.records).length]).toEqual([false, true, 2]);
    writeFileSync(second, 'x\n');
    expect(await own.prune({ ...LATE, maxBytes: 1 }, 600)).toEqual({
      problem: expect.stringContaining('is kept: it is not JSON'),
    });
    expect(recordFilesIn(own.records)).toEqual([second]);
    await own.end();
  });

  it('does not vouch for a tree that somebody wrote into a file', async () => {
    const own = await received();
    const [first = ''] = recordFilesIn(own.records);
    const [, other = ''] = recordFilesIn(own.records);
    const forged = Buffer.from(treeIn(first), 'base64');
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    expect(treeIn(other)).not.toBe('');
    writeFileSync(first, readFileSync(first, 'utf8').replaceAll(treeIn(first), forged.toString('base64')));
    await own.prune(AGE, 401);
    await own.end();
    const copy = join(folder(), 'copy');
    cpSync(dirname(other), copy, { recursive: true });
    expect((await own.verify(copy)).exit).toBe(3);
  });

  // Issue 55: a sidecar whose records are dated ahead kept the records of all others for as long.
  it.each([
    ['for ever', 10_000, { kept: 0, later: 0 }],
    ['by half of the age', 200, { kept: 1, later: 0 }],
  ])('records that are dated ahead %s keep no records of other sidecars', async (_name, aheadDays, left) => {
    let day = 0;
    const nowMs = (): number => day * DAY_MS;
    const records = join(folder(), 'records');
    const [files, ahead] = [0, 1].map(() => new RecordFiles(records, { ...portsAt(0), nowMs }));
    const own = await authority(folder(), { store: keptApart(mustFind(files), { ahead: mustFind(ahead), nowMs }) });
    const [pod, liar] = [folder(), folder()];
    const log = sidecarLog(pod, 4);
    const lying = sidecarLog(liar, 1, { from: aheadDays * DAY_MS, to: aheadDays * DAY_MS });
    for (const [place, each] of [[pod, log] as const, [liar, lying] as const]) {
      const { stream } = await connected(own.receiver, nameOf(each), each.size);
      await stream.receive(partFrom(place, 0));
    }
    await own.timers.pass(300);
    const archive = folderArchive(records);
    const prune = (nowDay: number) => {
      day = nowDay;
      return pruneReceived({
        archive,
        bytes: () => bytesOf(archive),
        retain: AGE,
        nowMs,
        record: async (record) =>
          own.log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
      });
    };
    expect(recordFilesIn(records)).toHaveLength(2);
    const first = await prune(402);
    const kept = recordFilesIn(records).map((file) => readFileSync(file, 'utf8'));
    expect(kept).toHaveLength(left.kept);
    expect(kept.filter((text) => text.includes(log.origin))).toEqual([]);
    const isYoung = expect.stringContaining('that is younger than its name says');
    expect(first).toEqual(left.kept === 0 ? expect.objectContaining({ objects: 2 }) : { problem: isYoung });
    await prune(402 + aheadDays);
    expect(recordFilesIn(records)).toHaveLength(left.later);
    for (const each of [log, lying]) each.close();
    await own.close();
    for (const each of [files, ahead]) await mustFind(each).close();
  });

  it('a file from before, with records that are dated after now, is deleted by the instant of its receipt', async () => {
    const records = join(folder(), 'records');
    const files = new RecordFiles(records, portsAt(0));
    const own = await authority(folder(), { store: files });
    const [pod, liar] = [folder(), folder()];
    const logs = [sidecarLog(pod, 4), sidecarLog(liar, 1, { from: 9_000 * DAY_MS, to: 9_000 * DAY_MS })];
    for (const [index, log] of logs.entries()) {
      const { stream } = await connected(own.receiver, nameOf(log), log.size);
      await stream.receive(partFrom([pod, liar][index] ?? '', 0));
    }
    await own.timers.pass(300);
    expect(recordFilesIn(records)).toHaveLength(1);
    const archive = folderArchive(records);
    const pruned = await pruneReceived({
      archive,
      bytes: () => bytesOf(archive),
      retain: AGE,
      nowMs: () => 402 * DAY_MS,
      record: async (record) =>
        own.log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
    });
    expect(pruned).toMatchObject({ objects: 1 });
    for (const log of logs) log.close();
    await own.close();
    await files.close();
  });
});

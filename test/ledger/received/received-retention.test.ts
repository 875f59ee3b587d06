import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { ledgerCheckProof } from '../../../src/commands/ledger-check-proof.ts';
import { ledgerProve } from '../../../src/commands/ledger-prove.ts';
import { ledgerVerify } from '../../../src/commands/ledger-verify.ts';
import { encodedRecord } from '../../../src/ledger/encoded-record.ts';
import { bytesOf, folderArchive } from '../../../src/ledger/received/record-archive.ts';
import { RecordFiles, recordFilesIn } from '../../../src/ledger/received/record-files.ts';
import { pruneReceived } from '../../../src/ledger/received/received-retention.ts';
import type { ReceivedRetention } from '../../../src/ledger/received/received-retention.ts';
import { must } from '../../builders/must.ts';
import { scratch } from '../../builders/scratch.ts';
import { addUse, ran } from '../../commands/ledgers.ts';
import { portsAt } from '../log/logs.ts';
import { addRecords, authority, connected, emitterRecords, nameOf, partFrom, sidecarLog } from './receivers.ts';

const { folder, remove } = scratch();
afterAll(remove);

const DAY_MS = 86_400_000;
const LATE: ReceivedRetention = { maxAgeMs: 4_000 * DAY_MS, maxBytes: null };
const AGE: ReceivedRetention = { maxAgeMs: 400 * DAY_MS, maxBytes: null };

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
  const verify = (from = records) =>
    ran(ledgerVerify, '--key', own.log.verifierKey, '--ledger', ledger, '--received', from);
  return { ...own, sidecar: log, ended, records, prune, end, verify, ledger };
}

const prunedIn = (place: string) => emitterRecords(place).filter(({ event }) => event === 'pruned');
const blockOf = (out: string, origin: string): string =>
  out.split('\n\n').find((block) => block.includes(`received   ${origin}`)) ?? '';

const treeIn = (file: string): string => /"tree":"([^"]+)"/.exec(readFileSync(file, 'utf8'))?.[1] ?? '';

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
    expect(await own.prune(AGE, 401)).toEqual({
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
});

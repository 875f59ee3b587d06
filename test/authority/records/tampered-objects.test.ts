import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ledgerFetch } from '../../../src/cli/ledger/ledger-fetch.ts';
import { ledgerVerify } from '../../../src/cli/ledger/ledger-verify.ts';
import { s3PlaceFrom } from '../../../src/core/config/s3-place.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { bucketArchive, bytesOf } from '../../../src/authority/records/record-archive.ts';
import { RecordObjects } from '../../../src/authority/records/record-objects.ts';
import { pruneReceived } from '../../../src/authority/records/received-retention.ts';
import { S3Bucket } from '../../../src/authority/records/s3-bucket.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../../cli/ledgers.ts';
import { describeWith, seaweedfsPart } from '../../parts.ts';
import { addRecords, authority, connected, emitterRecords, nameOf, partFrom, sidecarLog } from './receivers.ts';
import { startSeaweedfs } from './seaweedfs.ts';

const folder = testFolders();

const HOUR_MS = 3_600_000;

const at = (key: string) => ({ Bucket: 'records', Key: key });

/** Issue 37, point 3: each object of a real bucket by itself, changed or deleted: as `verify` finds it, and as the retention does. */
describeWith(seaweedfsPart(), 'objects of received records that somebody changed in the bucket', (weed) => {
  let store: Awaited<ReturnType<typeof startSeaweedfs>>;
  beforeAll(async () => {
    store = await startSeaweedfs(weed, folder());
  });
  afterAll(() => store.stop());

  /** An authority that received two logs into three objects, each an hour after the one before. The second object has both. */
  async function received(prefix: string) {
    const place = must(s3PlaceFrom(`s3://records/${prefix}/?endpoint=${encodeURIComponent(endpoint())}`));
    const bucket = new S3Bucket(place, { requestMs: 60_000 });
    let hours = 0;
    const objects = new RecordObjects(bucket, { what: 'the object store', nowMs: () => hours * HOUR_MS });
    const own = await authority(folder(), { store: objects });
    const pods = [folder(), folder()] as const;
    const logs = pods.map((pod) => sidecarLog(pod, 0));
    const streams = await Promise.all(logs.map((log) => connected(own.receiver, nameOf(log), log.size)));
    for (const [object, sending] of [[0], [0, 1], [0]].entries()) {
      hours = object;
      for (const n of sending) {
        const from = logs[n]?.size ?? 0;
        addRecords(mustAt(logs, n), { from: from + 1, to: from + 5 });
        must(mustAt(logs, n).checkpoint());
        const { stream } = mustAt(streams, n);
        await stream.receive(partFrom(mustAt(pods, n), object === 0 || n === 1 ? 0 : from));
      }
      await own.timers.pass(300);
    }
    for (const log of logs) log.close();
    const prune = async () => {
      const archive = bucketArchive(bucket);
      return pruneReceived({
        archive,
        bytes: () => bytesOf(archive),
        retain: { maxAgeMs: 24 * HOUR_MS, maxBytes: null },
        nowMs: () => 240 * HOUR_MS,
        record: async (record) =>
          own.log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
      });
    };
    const end = async () => {
      await own.close();
      bucket.close();
      const out = folder();
      const fetched = await ran(
        ledgerFetch,
        `s3://records/${prefix}/?endpoint=${encodeURIComponent(endpoint())}`,
        '--out',
        out,
      );
      const args = ['--key', own.log.verifierKey, '--ledger', join(own.folder, 'ledger'), '--received', out];
      return { fetched, files: readdirSync(out).length, verified: await ran(ledgerVerify, ...args) };
    };
    return { folder: own.folder, prune, end };
  }
  const endpoint = (): string => `http://127.0.0.1:${store.port}`;

  const namesUnder = async (prefix: string): Promise<readonly string[]> => {
    const page = await store.client.send(new ListObjectsV2Command({ Bucket: 'records', Prefix: `${prefix}/` }));
    return (page.Contents ?? []).map(({ Key: key = '' }) => key).toSorted();
  };
  const bytesIn = async (key: string): Promise<Buffer> => {
    const { Body: body } = await store.client.send(new GetObjectCommand(at(key)));
    return Buffer.from((await body?.transformToByteArray()) ?? []);
  };
  const put = (key: string, body: Uint8Array) => store.client.send(new PutObjectCommand({ ...at(key), Body: body }));
  const edited = async (key: string, edit: (text: string) => string): Promise<void> => {
    const text = gunzipSync(await bytesIn(key)).toString();
    expect(edit(text)).not.toBe(text);
    await put(key, gzipSync(edit(text)));
  };

  /** Ways to change the object at an index, whether the copy of all is refused already, and whether the retention keeps the object. */
  const ways: readonly (readonly [
    what: string,
    change: (names: readonly string[], index: number) => Promise<unknown>,
    isCopyRefused: boolean,
    isKept: boolean,
  ])[] = [
    [
      'deleted',
      async (names, index) => store.client.send(new DeleteObjectCommand(at(mustAt(names, index)))),
      false,
      false,
    ],
    ['emptied', async (names, index) => put(mustAt(names, index), new Uint8Array()), true, true],
    [
      'with a byte changed',
      async (names, index) => {
        const body = await bytesIn(mustAt(names, index));
        const middle = Math.floor(body.length / 2);
        body.writeUInt8(body.readUInt8(middle) ^ 1, middle);
        await put(mustAt(names, index), body);
      },
      true,
      true,
    ],
    [
      'with a record changed',
      async (names, index) => edited(mustAt(names, index), (text) => text.replace(/"at":\d/, '"at":9')),
      false,
      true,
    ],
    [
      'with the tree of a section changed',
      async (names, index) => edited(mustAt(names, index), (text) => text.replace(/"tree":"(.{20})../, '"tree":"$1xx')),
      false,
      true,
    ],
    ['with its sections gone', async (names, index) => put(mustAt(names, index), gzipSync('')), false, false],
    [
      'replaced by another segment',
      async (names, index) => put(mustAt(names, index), await bytesIn(mustAt(names, (index + 1) % names.length))),
      false,
      false,
    ],
  ];
  const cases = ways.flatMap(([what, change, isCopyRefused, isKept], way) =>
    [0, 1, 2].map((index) => [what, index, way, change, isCopyRefused, isKept] as const),
  );

  it('are whole before, and after the retention', async () => {
    const own = await received('whole');
    expect(await namesUnder('whole')).toHaveLength(3);
    expect(await own.prune()).toMatchObject({ objects: 3 });
    const { fetched, verified } = await own.end();
    expect([fetched.exit, verified.exit]).toEqual([0, 0]);
    expect(verified.out).toContain('18 deleted by the retention, 0 missing');
  });

  it.each(cases)('%s, object %i: found by verify', async (_what, index, way, change, isCopyRefused) => {
    const prefix = `verify-${way}-${index}`;
    const own = await received(prefix);
    await change(await namesUnder(prefix), index);
    const left = (await namesUnder(prefix)).length;
    const { fetched, files, verified } = await own.end();
    // The others are copied all the same.
    expect([fetched.exit, files, verified.exit]).toEqual([isCopyRefused ? 1 : 0, left - Number(isCopyRefused), 3]);
  });

  it.each(cases)(
    '%s, object %i: not signed away by the retention',
    async (_what, index, way, change, _isRefused, isKept) => {
      const prefix = `pruned-${way}-${index}`;
      const own = await received(prefix);
      const names = await namesUnder(prefix);
      await change(names, index);
      const pruned = await own.prune();
      // What is gone at the end of a log leaves nothing that could be noticed but by the ledger.
      expect(pruned).toEqual(isKept ? { problem: expect.any(String) } : expect.anything());
      expect((await namesUnder(prefix)).includes(mustAt(names, index))).toBe(isKept);
      const { verified } = await own.end();
      expect([verified.exit, emitterRecords(own.folder).length > 0]).toEqual([3, true]);
    },
  );
});

function mustAt<T>(all: readonly T[], index: number): T {
  const found = all[index];
  if (found === undefined) throw new Error(`nothing at ${index}`);
  return found;
}

import { DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerFetch } from '../../../src/cli/ledger/ledger-fetch.ts';
import { ledgerQuery } from '../../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../../src/cli/ledger/ledger-verify.ts';
import { pruneReceived } from '../../../src/authority/records/received-retention.ts';
import { bucketArchive, bytesOf } from '../../../src/authority/records/record-archive.ts';
import { RecordObjects } from '../../../src/authority/records/record-objects.ts';
import { S3Bucket } from '../../../src/authority/records/s3-bucket.ts';
import type { ReceivedStream, StreamRefusal } from '../../../src/authority/records/received-stream.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { Closers } from '../../../src/serve/closers.ts';
import { openReceivedRecords } from '../../../src/serve/ledger/received-records.ts';
import { Faults } from '../../../src/core/telemetry/faults.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { s3PlaceFrom } from '../../../src/core/config/s3-place.ts';
import { mustConfig } from '../../builders/config.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../../cli/ledgers.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { describeWith, seaweedfsPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { addRecords, authority, connected, nameOf, partFrom, sidecarLog } from './receivers.ts';
import { fetchedWithPacks, foundWithAndWithout } from './fetched-index.ts';
import { startSeaweedfs } from './seaweedfs.ts';

const folder = testFolders();

describeWith(seaweedfsPart(), 'RecordObjects with a real S3-compatible store', (weed) => {
  let store: Awaited<ReturnType<typeof startSeaweedfs>>;
  let proxy: FaultProxy;
  beforeAll(async () => {
    store = await startSeaweedfs(weed, folder());
    proxy = await FaultProxy.start(store.port);
  });
  afterAll(async () => {
    await proxy.close();
    await store.stop();
  });

  const address = (prefix: string, port = store.port): string =>
    `s3://records/${prefix}/?endpoint=${encodeURIComponent(`http://127.0.0.1:${port}`)}`;

  /** An authority that keeps what it receives under a prefix, reached through the proxy, and a sidecar with eleven records. */
  async function both(prefix: string, requestMs = 60_000) {
    const place = must(s3PlaceFrom(address(prefix, proxy.port)));
    const bucket = new S3Bucket(place, { requestMs });
    const objects = new RecordObjects(bucket, { what: 'the object store', nowMs: () => Date.now() });
    const own = await authority(folder(), { store: objects });
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    const stream = await connected(own.receiver, nameOf(sidecar), 11);
    const close = async (): Promise<void> => {
      sidecar.close();
      await own.close();
      bucket.close();
    };
    return { ...own, ...stream, pod, sidecar, close };
  }

  const namesUnder = async (prefix: string): Promise<readonly string[]> => {
    const page = await store.client.send(new ListObjectsV2Command({ Bucket: 'records', Prefix: `${prefix}/` }));
    return (page.Contents ?? []).map(({ Key: key = '' }) => key);
  };

  const verified = async (own: Awaited<ReturnType<typeof both>>, prefix: string) => {
    const out = folder();
    expect(await ran(ledgerFetch, address(prefix), '--out', out)).toMatchObject({ exit: 0, err: '' });
    const args = ['--key', own.log.verifierKey, '--ledger', join(own.folder, 'ledger'), '--received', out];
    return { ...(await ran(ledgerVerify, ...args)), folder: out };
  };

  it('keeps records as objects, which a copy verifies and a second fetch does not copy again', async () => {
    const own = await both('whole');
    await own.stream.receive(partFrom(own.pod, 0));
    await own.timers.pass(300);
    expect(own.kept).toEqual([11]);
    addRecords(own.sidecar, { from: 11, to: 15 });
    own.sidecar.checkpoint();
    await own.stream.receive(partFrom(own.pod, 11));
    await own.timers.pass(300);
    await own.stream.end(true);
    await own.close();
    const { exit, out, folder: copy } = await verified(own, 'whole');
    expect([exit, out.includes('counted    17 anchored, 17 received, 0 missing')]).toEqual([0, true]);
    expect(readdirSync(copy)).toHaveLength(2);
    expect((await ran(ledgerFetch, address('whole'), '--out', copy)).out).toBe(
      `0 of 2 objects copied to ${copy}; 0 records are indexed\n`,
    );
  });

  it('are indexed as they are copied, and only what is new the next time', async () => {
    const own = await both('indexed');
    await own.stream.receive(partFrom(own.pod, 0));
    await own.timers.pass(300);
    const out = folder();
    const first = 'received-00000001.index';
    expect(await fetchedWithPacks(address('indexed'), out)).toEqual([
      `1 of 1 objects copied to ${out}; 11 records are indexed\n`,
      [first],
    ]);
    const { ino } = statSync(join(out, 'index', first));
    addRecords(own.sidecar, { from: 11, to: 15 });
    own.sidecar.checkpoint();
    await own.stream.receive(partFrom(own.pod, 11));
    await own.timers.pass(300);
    await own.close();
    expect(await fetchedWithPacks(address('indexed'), out)).toEqual([
      `1 of 2 objects copied to ${out}; 17 records are indexed\n`,
      [first, 'received-00000002.index'],
    ]);
    expect(statSync(join(out, 'index', first)).ino).toBe(ino);
    const ledger = join(own.folder, 'ledger');
    const trust = ['--key', own.log.verifierKey, '--ledger', ledger, '--received', out];
    expect(await ran(ledgerVerify, ...trust)).toMatchObject({ exit: 0 });
    const { indexed, read } = await foundWithAndWithout(ledger, out);
    expect(indexed).toMatchObject({ exit: 0, out: expect.stringContaining('"kind":"end"'), err: '' });
    expect(read).toEqual(indexed);
  });

  it('acknowledges nothing while the store does not answer, tells why, and keeps all once it does', async () => {
    const own = await both('stalled', 2_000);
    proxy.set({ kind: 'held' }, 'up');
    await own.stream.receive(partFrom(own.pod, 0));
    await own.timers.pass(300);
    expect([own.kept, own.faults.at(-1)]).toEqual([
      [],
      'records cannot be written to the object store: it did not answer in time',
    ]);
    proxy.set({ kind: 'open' }, 'up');
    await until(async () => {
      await own.timers.pass(1_500);
      return own.kept.length > 0;
    });
    expect([own.kept, own.faults.at(-1)]).toEqual([[11], null]);
    await own.close();
    expect((await verified(own, 'stalled')).exit).toBe(0);
  });

  it('acknowledges nothing while the store refuses', async () => {
    const secret = process.env['AWS_SECRET_ACCESS_KEY'];
    process.env['AWS_SECRET_ACCESS_KEY'] = 'wrong';
    const own = await both('refused');
    await own.stream.receive(partFrom(own.pod, 0));
    await own.timers.pass(300);
    process.env['AWS_SECRET_ACCESS_KEY'] = secret;
    expect([own.kept, own.faults.at(-1)]).toEqual([
      [],
      'records cannot be written to the object store: SignatureDoesNotMatch (status 403)',
    ]);
    await own.close();
  });

  it('writes an object once: the same again counts as kept, other content under the same name does not', async () => {
    const bucket = new S3Bucket(must(s3PlaceFrom(address('once'))));
    expect(await bucket.put('a', Buffer.from('one'))).toBeNull();
    expect(await bucket.put('a', Buffer.from('one'))).toBeNull();
    expect(await bucket.put('a', Buffer.from('other'))).toBe('`once/a` is there with 3 bytes, expected 5');
    expect(Buffer.from(must(await bucket.get('a')) ?? []).toString()).toBe('one');
    bucket.close();
  });

  it('deletes the oldest objects by the retention, and the rest still verifies', async () => {
    const own = await both('aged');
    await own.stream.receive(partFrom(own.pod, 0));
    await own.timers.pass(300);
    addRecords(own.sidecar, { from: 11, to: 15 });
    own.sidecar.checkpoint();
    await own.stream.receive(partFrom(own.pod, 11));
    await own.timers.pass(300);
    const bucket = new S3Bucket(must(s3PlaceFrom(address('aged'))));
    const archive = bucketArchive(bucket);
    const all = must(await bytesOf(archive));
    const later = {
      archive,
      bytes: () => bytesOf(archive),
      nowMs: () => Date.now() + 86_400_000,
      record: async (record: LedgerRecord) =>
        own.log.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
    };
    expect(await pruneReceived({ ...later, retain: { maxAgeMs: 4e9, maxBytes: all } })).toEqual({
      objects: 0,
      bytes: 0,
    });
    expect(await pruneReceived({ ...later, retain: { maxAgeMs: 4e9, maxBytes: all - 1 } })).toMatchObject({
      objects: 1,
    });
    bucket.close();
    await own.close();
    const { exit, out } = await verified(own, 'aged');
    expect([exit, out.includes('17 anchored, 6 received, 11 deleted by the retention, 0 missing')]).toEqual([0, true]);
  });

  it('finds that the store lost an object', async () => {
    const own = await both('lost');
    await own.stream.receive(partFrom(own.pod, 0));
    await own.timers.pass(300);
    await own.close();
    for (const name of await namesUnder('lost')) {
      await store.client.send(new DeleteObjectCommand({ Bucket: 'records', Key: name }));
    }
    const { exit, out } = await verified(own, 'lost');
    expect([exit, out.includes('counted    11 anchored, 0 received, 11 missing')]).toEqual([3, true]);
  });

  it('is opened by the configuration of an authority, whose commands say where the records are', async () => {
    const at = folder();
    const yaml = [
      'trustDomains: acme.test',
      'svid: { certificate: c, key: k, bundle: b }',
      'issuer: { url: https://i.acme.test }',
      'authority: { listen: unix:/a, sidecars: { id: spiffe://acme.test/tools, audiences: a } }',
      'state: sqlite:state.db',
      `records: ${address('configured')}`,
    ].join('\n');
    const own = mustOpenLog(settingsIn(at));
    const closers = new Closers(() => undefined);
    const durable = async (record: LedgerRecord): Promise<boolean> =>
      own.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null;
    const opened = must(
      await openReceivedRecords(mustConfig(yaml, { folder: at }), {
        writer: { durable },
        replica: null,
        ports: systemPorts,
        faults: new Faults(() => undefined),
        metrics: newMetrics(),
        log: () => undefined,
        closers,
      }),
    );
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    const name = nameOf(sidecar);
    const kept = new Promise((resolve) => {
      void opened.receiver
        .connect(name, 11, { onKept: resolve, onOver: () => undefined })
        .then(async (stream) => must<ReceivedStream | StreamRefusal>(stream).receive(partFrom(pod, 0)));
    });
    expect(await kept).toBe(11);
    sidecar.close();
    await closers.close();
    own.checkpoint();
    own.close();
    expect(await namesUnder('configured')).toHaveLength(1);
    writeFileSync(join(at, 'remit.yaml'), yaml);
    const { err } = await ran(ledgerQuery, '--config', join(at, 'remit.yaml'));
    expect(err).toContain('the records of sidecars are not read: they are in the bucket `records`. Copy them by');
  });

  it('says that a bucket is not there', async () => {
    const other = address('x').replace('//records/', '//nowhere/');
    expect(await ran(ledgerFetch, other, '--out', folder())).toMatchObject({
      exit: 1,
      err: 'remit ledger fetch: the records of `nowhere` cannot be read: NoSuchBucket (status 404)\n',
    });
  });
});

describe('s3PlaceFrom', () => {
  it.each([
    ['s3://acme-records', { bucket: 'acme-records', prefix: '', endpoint: null, region: null }],
    ['s3://acme-records/a/b', { bucket: 'acme-records', prefix: 'a/b/', endpoint: null, region: null }],
    [
      's3://acme-records/a/?endpoint=https://minio.acme.test:9000&region=eu-1',
      { bucket: 'acme-records', prefix: 'a/', endpoint: 'https://minio.acme.test:9000', region: 'eu-1' },
    ],
  ])('reads %s', (text, place) => {
    expect(s3PlaceFrom(text)).toEqual(place);
  });

  it.each([
    ['another scheme', 'https://acme-records', 'must be `s3://bucket/prefix`'],
    ['a credential', 's3://key:secret@acme-records', 'must be `s3://bucket/prefix`'],
    ['a bucket of two letters', 's3://ab', 'has the invalid name of a bucket `ab`'],
    ['a prefix with a space', 's3://acme-records/a%20b', 'has the invalid prefix `a%20b/`'],
    ['another parameter', 's3://acme-records?key=x', 'has the unknown parameter `key`'],
    [
      'plain HTTP to another host',
      's3://acme-records?endpoint=http://minio.acme.test',
      'has the endpoint `http://minio.acme.test`',
    ],
    [
      'a credential in the endpoint',
      's3://acme-records?endpoint=https://a:b@c.test',
      'has an endpoint with a credential',
    ],
  ])('refuses %s', (_case, text, words) => {
    expect(s3PlaceFrom(text)).toEqual({ problem: expect.stringContaining(words) });
  });
});

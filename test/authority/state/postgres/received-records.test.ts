import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ledgerEvidence } from '../../../../src/cli/ledger/ledger-evidence.ts';
import type { EvidenceReport } from '../../../../src/tools/evidence/report.ts';
import { ledgerFetch } from '../../../../src/cli/ledger/ledger-fetch.ts';
import { ledgerVerify } from '../../../../src/cli/ledger/ledger-verify.ts';
import { encodedRecord } from '../../../../src/core/ledger/encoded-record.ts';
import type { LedgerRecord } from '../../../../src/core/ledger/record.ts';
import { Closers } from '../../../../src/serve/closers.ts';
import { openReceivedRecords } from '../../../../src/serve/ledger/received-records.ts';
import { Faults } from '../../../../src/core/telemetry/faults.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';
import { mustConfig } from '../../../builders/config.ts';
import { mustOpenLog, settingsIn } from '../../../core/ledger/log/logs.ts';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import { s3PlaceFrom } from '../../../../src/core/config/s3-place.ts';
import { type EmitterName, type LogPart, received } from '../../../../src/authority/records/emitter.ts';
import { RecordObjects } from '../../../../src/authority/records/record-objects.ts';
import type { RecordStore } from '../../../../src/authority/records/record-store.ts';
import { S3Bucket } from '../../../../src/authority/records/s3-bucket.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { Database } from '../../../../src/authority/state/postgres/database.ts';
import { emitterHeads } from '../../../../src/authority/state/postgres/emitter-heads.ts';
import { receivedObjects } from '../../../../src/authority/state/postgres/received-objects.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { ran } from '../../../cli/ledgers.ts';
import { FaultProxy } from '../../../fault-proxy.ts';
import {
  addRecords,
  authority,
  connected,
  emitterRecords,
  nameOf,
  partFrom,
  sidecarLog,
  unsignedPart,
} from '../../records/receivers.ts';
import { fetchedWithPacks, foundWithAndWithout } from '../../records/fetched-index.ts';
import { startSeaweedfs } from '../../records/seaweedfs.ts';
import { describeWith, postgresPart, seaweedfsPart } from '../../../parts.ts';
import { PostgresPlaces } from '../../../postgres/places.ts';
import { until } from '../../../until.ts';

const folder = testFolders();

const address = (port: number): string =>
  `s3://records/moved/?endpoint=${encodeURIComponent(`http://127.0.0.1:${port}`)}`;

/** Ids of the authorities. */
const REPLICAS = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const;

const eventsIn = (place: string): readonly string[] =>
  emitterRecords(place).map(({ event, size }) => `${event} ${size}`);

describeWith(postgresPart(), 'records of sidecars with a real PostgreSQL', (binaries) => {
  let places: PostgresPlaces;
  const databases: Database[] = [];
  beforeAll(async () => {
    places = new PostgresPlaces(binaries, folder());
    await places.start();
  });
  afterAll(async () => {
    await Promise.all(databases.map((database) => database.close()));
    await places.stop();
  });

  const open = (url: string): Database => {
    const database = new Database({ target: must(postgresTargetFrom(url)), hasQuorum: false, askMs: 60_000 });
    databases.push(database);
    return database;
  };

  /** An authority whose heads, and whose records unless there is another store, are in a database. */
  async function started(url: string, id: (typeof REPLICAS)[number], store?: Pick<RecordStore, 'keep'>) {
    const { nowMs } = systemPorts;
    const database = open(url);
    const heads = emitterHeads(database, { id, nowMs });
    const objects = new RecordObjects(receivedObjects(database, nowMs), { what: 'the database', nowMs });
    const limits = { batchMs: 20, retryMs: 50, silenceMs: 2_000 };
    const one = await authority(folder(), { after, ports: systemPorts, heads, store: store ?? objects, limits });
    /** Ends it with a word to the others. */
    const close = async (): Promise<void> => {
      await one.close();
      await heads.close();
    };
    return { ...one, close };
  }
  const both = async (url: string, store?: (index: number) => Pick<RecordStore, 'keep'>) =>
    [await started(url, REPLICAS[0], store?.(0)), await started(url, REPLICAS[1], store?.(1))] as const;

  type Started = Awaited<ReturnType<typeof started>>;

  /** Connects to an authority and sends what it lacks. Resolves once all of it is kept there. */
  async function sent({ receiver }: Started, pod: string, name: EmitterName, size: number): Promise<number> {
    const { stream, kept } = await connected(receiver, name, size);
    expect(await stream.receive(partFrom(pod, stream.size))).toBeNull();
    await until(() => kept.at(-1) === size, { what: `${size} kept records` });
    return stream.size;
  }

  const silent = { onKept: () => undefined, onOver: () => undefined };
  const connectedOrNot = ({ receiver }: Started, name: EmitterName) => receiver.connect(name, 11, silent);

  const verified = async (from: string, authorities: readonly Started[]) => {
    const out = folder();
    expect(await ran(ledgerFetch, from, '--out', out)).toMatchObject({ exit: 0, err: '' });
    return ran(ledgerVerify, ...trustOf(authorities), '--received', out);
  };
  const trustOf = (authorities: readonly Started[]): readonly string[] =>
    authorities.flatMap(({ log, folder: at }) => ['--key', log.verifierKey, '--ledger', join(at, 'ledger')]);

  it('are indexed as they are copied from the database', async () => {
    const url = await places.next();
    const own = await started(url, REPLICAS[0]);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    expect(await sent(own, pod, nameOf(sidecar), 11)).toBe(0);
    sidecar.close();
    await own.close();
    const out = folder();
    expect(await fetchedWithPacks(url, out)).toEqual([
      expect.stringMatching(/^(\d+) of \1 objects copied to .*; 11 records are indexed\n$/),
      ['received-00000001.index'],
    ]);
    expect(await ran(ledgerVerify, ...trustOf([own]), '--received', out)).toMatchObject({ exit: 0 });
    const { indexed, read } = await foundWithAndWithout(join(own.folder, 'ledger'), out);
    expect(indexed).toMatchObject({ exit: 0, out: expect.stringContaining('"kind":"end"'), err: '' });
    expect(read).toEqual(indexed);
  });

  it('continue at another authority if the first is killed, without a gap, and the ledgers of both verify them', async () => {
    const url = await places.next();
    const [first, second] = await both(url);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    const name = nameOf(sidecar);
    expect(await sent(first, pod, name, 11)).toBe(0);
    // The first one is gone without a word.
    addRecords(sidecar, { from: 11, to: 20 });
    sidecar.checkpoint();
    expect(await sent(second, pod, name, 22)).toBe(11);
    sidecar.close();
    await first.close();
    await second.close();
    expect([eventsIn(first.folder).slice(0, 2), eventsIn(second.folder)]).toEqual([
      ['joined 0', 'checkpoint 11'],
      ['joined 11', 'checkpoint 22'],
    ]);
    const { exit, out } = await verified(url, [first, second]);
    expect([exit, out.includes('counted    22 anchored, 22 received, 0 missing')]).toEqual([0, true]);
    // The report on each counts what its authority kept: together each record once.
    const received = folder();
    await ran(ledgerFetch, url, '--out', received);
    const counted = async (...authorities: readonly Started[]): Promise<unknown> => {
      const of = ['--framework', 'csf-2.0', '--from', '1970-01-01', '--to', '1970-01-02', '--received', received];
      const report = await ran(ledgerEvidence, ...of, ...trustOf(authorities), '--format', 'json');
      const { received: seen, records } = JSON.parse(report.out) as EvidenceReport;
      return [report.exit, seen?.map((log) => log.counted), records.count];
    };
    // Beside them the record of the checkpoint of each ledger.
    expect(await counted(first, second)).toEqual([0, [[{ from: 1, to: 11 }]], 11 + 1]);
    expect(await counted(second, first)).toEqual([0, [[{ from: 12, to: 22 }]], 11 + 1]);
  });

  it.each([
    ['gives their log to another authority', 'UPDATE remit.emitters SET term = term + 1', false],
    ['forgets their log', 'DELETE FROM remit.emitters', false],
    ['forgets their log before it is sent again', 'DELETE FROM remit.emitters', true],
  ])('are missed if a writer of the database %s, and deletes the last records (issue 37, found)', async (...of) => {
    const [, change, isSentAgain] = of;
    const url = await places.next();
    const first = await started(url, REPLICAS[0]);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    const { stream, kept } = await connected(first.receiver, nameOf(sidecar), 17);
    expect(await stream.receive(partFrom(pod, 0))).toBeNull();
    await until(() => kept.at(-1) === 11, { what: 'the signed records' });
    const [object] = await places.sql(url, 'SELECT max(name) AS name FROM remit.received');
    // After its last checkpoint the sidecar is killed.
    addRecords(sidecar, { from: 11, to: 16 });
    expect(await stream.receive(unsignedPart(pod, 11))).toBeNull();
    await until(() => kept.at(-1) === 17, { what: 'the last records' });
    await places.sql(url, change);
    await places.sql(url, 'DELETE FROM remit.received WHERE name > $1', [object?.['name']]);
    if (isSentAgain) await first.receiver.connect(nameOf(sidecar), 17, silent);
    else await stream.end(false);
    await until(() => eventsIn(first.folder).includes('taken 17'), { what: 'the last word of the authority' });
    sidecar.close();
    await first.close();
    const { exit, out } = await verified(url, [first]);
    expect([exit, out]).toEqual([3, expect.stringContaining('17 anchored, 11 received, 6 missing')]);
  });

  it('are acknowledged by one authority alone if a log forks, and the fork is named', async () => {
    const url = await places.next();
    const [first, second] = await both(url);
    const [pod, copy] = [folder(), folder()];
    sidecarLog(pod, 10).close();
    cpSync(pod, copy, { recursive: true });
    const [shorter, longer] = [sidecarLog(pod, 5, { from: 101, to: 105 }), sidecarLog(copy, 7, { from: 201, to: 207 })];
    const name = nameOf(shorter);
    // Both streams begin while neither authority has anything.
    const loser = await connected(first.receiver, name, longer.size);
    const winner = await connected(second.receiver, name, shorter.size);
    expect(await winner.stream.receive(partFrom(pod, 0))).toBeNull();
    await until(() => winner.kept.at(-1) === shorter.size, { what: 'the records of the second' });
    expect(await loser.stream.receive(partFrom(copy, 0))).toBeNull();
    await until(() => loser.over.length > 0, { what: 'the end of the first stream' });
    expect([loser.kept, loser.over]).toEqual([[], ['another authority continues this log']]);
    // At the next try it continues after what was acknowledged, which it does not.
    const again = await connected(first.receiver, name, longer.size);
    expect(again.stream.size).toBe(shorter.size);
    expect(await again.stream.receive(partFrom(copy, shorter.size))).toMatchObject({
      problem: expect.stringContaining('forked'),
      isLater: false,
    });
    const { size } = shorter;
    shorter.close();
    longer.close();
    await first.close();
    await second.close();
    const why = emitterRecords(first.folder).find(({ event }) => event === 'refused')?.why;
    expect(why).toBe(`\`${name.origin}\` forked: two authorities received different records ${size}`);
    // What the first one had received is in the store too, and does not count.
    expect((await verified(url, [first, second])).out).toContain(`${size} anchored, ${size} received, 0 missing`);
  });

  it('keep their owner as long as they are kept, and a log without records for a week', async () => {
    const url = await places.next();
    const day = 86_400_000;
    let nowMs = 1_000 * day;
    const heads = emitterHeads(open(url), { id: REPLICAS[0], nowMs: () => nowMs, recordsMs: 30 * day });
    const pods = [1, 2, 3].map(() => folder());
    const logs = pods.map((pod) => sidecarLog(pod, 1));
    const [kept, empty, running] = logs.map((log) => nameOf(log));
    if (kept === undefined || empty === undefined || running === undefined) throw new Error('no logs');
    const ended = async (name: EmitterName, part: LogPart | null, state: 'left' | 'open'): Promise<void> => {
      const { emitter, term } = must(await heads.claim(name));
      const after = part === null ? emitter : must(received(emitter, part));
      expect(await heads.keep([{ emitter: after, state, term }])).toEqual([]);
    };
    await ended(kept, partFrom(pods[0] ?? '', 0), 'left');
    await ended(empty, null, 'left');
    await ended(running, null, 'open');
    const known = async (): Promise<readonly unknown[]> => {
      must(await heads.abandoned());
      const rows = await places.sql(url, 'SELECT origin FROM remit.emitters');
      return [kept, empty, running].map(({ origin }) => rows.some((row) => row['origin'] === origin));
    };
    nowMs += 6 * day;
    expect(await known()).toEqual([true, true, true]);
    nowMs += 1.5 * day;
    expect(await known()).toEqual([true, false, true]);
    const thief = { ...kept, id: 'spiffe://acme.test/thief' };
    expect(await heads.claim(thief)).toMatchObject({ emitter: { id: kept.id } });
    nowMs += 23 * day;
    expect(await known()).toEqual([true, false, true]);
    nowMs += day;
    expect(await known()).toEqual([false, false, true]);
    await heads.close();
    for (const log of logs) log.close();
  });

  it('are not taken over, nor disturbed, by another identity', async () => {
    const url = await places.next();
    const [first, second] = await both(url);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    const name = nameOf(sidecar);
    const own = await connected(first.receiver, name, 11);
    const other = await connectedOrNot(second, nameOf(sidecar, 'spiffe://acme.test/ns/tools/sa/other'));
    expect(other).toEqual({ problem: `the log \`${name.origin}\` belongs to \`${name.id}\``, isLater: false });
    expect(await own.stream.receive(partFrom(pod, 0))).toBeNull();
    await until(() => own.kept.at(-1) === 11);
    // A log that is shorter than what another authority has received was cut.
    expect(await second.receiver.connect(name, 5, silent)).toMatchObject({
      problem: expect.stringContaining('shrank'),
    });
    sidecar.close();
    await first.close();
    await second.close();
    expect(emitterRecords(second.folder).map(({ event }) => event)).toEqual(['refused']);
  });

  it('are missed by another authority, and their log named as lost, if authority and sidecar are both gone', async () => {
    const url = await places.next();
    const [first, second] = await both(url);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    await sent(first, pod, nameOf(sidecar), 11);
    sidecar.close();
    // It stops without a word: its beat stands still. The other one looks each third of a second.
    first.stop();
    await until(() => eventsIn(second.folder).includes('lost 11'), { what: 'the lost log' });
    await second.close();
    expect(eventsIn(second.folder)).toEqual(['joined 11', 'lost 11']);
    const { out } = await verified(url, [second]);
    expect(out).toContain('LOST');
    expect(out).toContain('counted    11 anchored, 11 received, 0 missing');
    await first.close();
  });

  it('do not shrink and do not change, whatever the role that serves tries', async () => {
    const url = await places.next();
    const [first, second] = await both(url);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    await sent(first, pod, nameOf(sidecar), 11);
    sidecar.close();
    await first.close();
    await second.close();
    const database = open(url);
    for (const [text, problem] of [
      ['UPDATE remit.emitters SET size = 3', 'a log does not shrink'],
      ['UPDATE remit.emitters SET term = 0', 'a log does not shrink'],
      ["UPDATE remit.emitters SET id = 'x'", 'a log does not shrink'],
      ["UPDATE remit.received SET body = ''", 'permission denied'],
      ['TRUNCATE remit.received', 'permission denied'],
      ['TRUNCATE remit.emitters', 'permission denied'],
    ] as const) {
      expect(await database.read(text)).toMatchObject({
        kind: 'store-failure',
        detail: expect.stringContaining(problem),
      });
    }
    const [sum] = await places.sql(
      url,
      'SELECT (SELECT sum(bytes) FROM remit.received) = (SELECT sum(bytes) FROM remit.received_days) AS same',
    );
    expect(sum).toEqual({ same: true });
  });

  it('are deleted by the retention of the configuration, which the ledger of the authority records', async () => {
    const url = await places.next();
    const database = open(url);
    const old = new RecordObjects(
      receivedObjects(database, () => 0),
      { what: 'the database', nowMs: () => 1_000 },
    );
    const first = await started(url, REPLICAS[0], old);
    const pod = folder();
    const sidecar = sidecarLog(pod, 10);
    await sent(first, pod, nameOf(sidecar), 11);
    sidecar.close();
    await first.close();
    expect(await places.sql(url, 'SELECT day, bytes > 0 AS has FROM remit.received_days')).toEqual([
      { day: 0, has: true },
    ]);

    const at = folder();
    const yaml = [
      'trustDomains: acme.test',
      'svid: { certificate: c, key: k, bundle: b }',
      'issuer: { url: https://i.acme.test }',
      'authority: { listen: unix:/a, sidecars: { id: spiffe://acme.test/tools, audiences: a } }',
      `state: ${url}`,
      'durability: single',
      'records: { retainDays: 2 }',
    ].join('\n');
    const own = mustOpenLog(settingsIn(at));
    const closers = new Closers(() => undefined);
    must(
      await openReceivedRecords(mustConfig(yaml, { folder: at }), {
        writer: {
          durable: async (record: LedgerRecord) =>
            own.append([{ bytes: must(encodedRecord(record)).bytes, outbox: null }], 'none') === null,
        },
        replica: REPLICAS[1],
        ports: systemPorts,
        faults: new Faults(() => undefined),
        metrics: newMetrics(),
        log: () => undefined,
        closers,
        pruneEveryMs: 50,
      }),
    );
    await until(async () => (await places.sql(url, 'SELECT 1 FROM remit.received')).length === 0, {
      what: 'an empty table',
    });
    await closers.close();
    must(own.checkpoint());
    own.close();
    expect(await places.sql(url, 'SELECT bytes FROM remit.received_days')).toEqual([{ bytes: '0' }]);
    expect(emitterRecords(at).find(({ event }) => event === 'pruned')).toMatchObject({
      size: 11,
      signed: 11,
      why: 'age',
    });
    const trust = ['--key', own.verifierKey, '--ledger', join(at, 'ledger'), '--key', first.log.verifierKey];
    const out = folder();
    const { exit, out: said } = await ran(
      ledgerVerify,
      ...trust,
      '--ledger',
      join(first.folder, 'ledger'),
      '--received',
      out,
    );
    expect([exit, said.includes('11 anchored, 0 received, 11 deleted by the retention, 0 missing')]).toEqual([0, true]);
  });

  describeWith(seaweedfsPart(), 'and a real S3-compatible store', (weed) => {
    it('are sound if an authority that stood still writes what another has taken over', async () => {
      const store = await startSeaweedfs(weed, folder());
      const proxy = await FaultProxy.start(store.port);
      const objectsAt = (port: number) =>
        new RecordObjects(new S3Bucket(must(s3PlaceFrom(address(port))), { requestMs: 120_000 }), {
          what: 'the object store',
          nowMs: systemPorts.nowMs,
        });
      const url = await places.next();
      const [first, second] = await both(url, (index) => objectsAt(index === 0 ? proxy.port : store.port));
      const pod = folder();
      const sidecar = sidecarLog(pod, 10);
      const name = nameOf(sidecar);
      await sent(first, pod, name, 11);
      addRecords(sidecar, { from: 11, to: 15 });
      sidecar.checkpoint();
      const stuck = await connected(first.receiver, name, 17);
      proxy.set({ kind: 'held' }, 'up');
      expect(await stuck.stream.receive(partFrom(pod, 11))).toBeNull();
      await until(() => first.receiver.status.waitingBytes > 0);
      addRecords(sidecar, { from: 16, to: 20 });
      sidecar.checkpoint();
      expect(await sent(second, pod, name, 23)).toBe(11);
      proxy.set({ kind: 'open' }, 'up');
      await until(() => stuck.over.length > 0, { what: 'the end of the stream at the first' });
      expect(stuck.kept).toEqual([]);
      sidecar.close();
      await first.close();
      await second.close();
      const { exit, out } = await verified(address(store.port), [first, second]);
      expect([exit, out.includes('counted    23 anchored, 23 received, 0 missing')]).toEqual([0, true]);
      await proxy.close();
      await store.stop();
    });
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { RecordShipper } from '../../src/sidecar/records/record-shipper.ts';
import { sentBytes } from '../../src/sidecar/records/sent-records.ts';
import { LogPages } from '../../src/core/ledger/log/log-pages.ts';
import type { SegmentLog } from '../../src/core/ledger/log/log.ts';
import { packedLeaves } from '../../src/core/ledger/log/written-leaves.ts';
import { receivedLogsIn } from '../../src/authority/records/received-logs.ts';
import { Unacknowledged } from '../../src/core/ledger/unacknowledged.ts';
import { verdictOn } from '../../src/core/ledger/proof/verification.ts';
import type { Verdict } from '../../src/core/ledger/proof/verdict.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { mustFind } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { addRecords, authority, emitterRecords, nameOf, partFrom, sidecarLog } from '../authority/records/receivers.ts';
import { FaultProxy } from '../fault-proxy.ts';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import { appendCalls, appendServer } from './append-servers.ts';

const folder = testFolders();

const packed = (...leaves: readonly Uint8Array[]) => packedLeaves({ from: 0, leaves });

/** An authority with its server, on real timers. */
async function served(place: string, address: string, silenceMs = 60_000) {
  const own = await authority(place, { after, ports: systemPorts, limits: { batchMs: 20, silenceMs, retryMs: 50 } });
  const server = await appendServer(own.receiver, address);
  return { ...own, stop: async () => (server.stop(), own.close()) };
}

function shipperOf(pod: string, log: SegmentLog, address: string) {
  const unacknowledged = new Unacknowledged();
  const faults: (string | null)[] = [];
  const calls = appendCalls(address);
  const pages = new LogPages(join(pod, 'ledger'));
  const shipper = new RecordShipper({
    ...calls,
    log,
    pages,
    unacknowledged,
    ports: systemPorts,
    after,
    onFault: (problem) => void faults.push(problem),
  });
  unacknowledged.wrote(log.size, 0);
  shipper.start();
  const stop = (): void => {
    pages.close();
    calls.close();
  };
  const add = (count: number): void => {
    const from = log.size + 1;
    addRecords(log, { from, to: log.size + count });
    unacknowledged.wrote(log.size, 100 * count);
    shipper.pump();
  };
  const close = async (): Promise<string | null> => {
    log.close();
    const problem = await shipper.close(30_000);
    stop();
    return problem;
  };
  return { shipper, unacknowledged, faults, add, close, stop };
}

const verdictIn = (records: string, name: ReturnType<typeof nameOf>): Verdict =>
  verdictOn(mustFind(receivedLogsIn(records).logs.get(name.origin)).stored, { key: name.key, anchors: [] });
const eventsIn = (place: string): readonly string[] =>
  emitterRecords(place)
    .map(({ event }) => event)
    .filter((event) => event !== 'checkpoint');

// One waits for the end of a half-open stream, so they run concurrently.
describe('RecordShipper', () => {
  it.concurrent('streams a whole log to an authority while it grows, and says that it ended', async () => {
    const [pod, place] = [folder(), folder()];
    const address = `unix:${join(place, 'a.sock')}`;
    const own = await served(place, address);
    const log = sidecarLog(pod, 700);
    const name = nameOf(log);
    const { unacknowledged, add, close } = shipperOf(pod, log, address);
    for (let round = 0; round < 10; round += 1) {
      add(100);
      if (round % 3 === 0) log.checkpoint();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const size = log.size;
    await until(() => unacknowledged.records === 0);
    expect(await close()).toBeNull();
    await own.stop();
    expect(eventsIn(place)).toEqual(['joined', 'left']);
    const verdict = verdictIn(own.records, name);
    expect(verdict).toMatchObject({ kind: 'sound', bare: null });
    expect(verdict.kind === 'sound' && verdict.size).toBeGreaterThanOrEqual(size);
  });

  it.concurrent('reads its log again after it could not, and then says that the fault is over', async () => {
    const [pod, place] = [folder(), folder()];
    const address = `unix:${join(place, 'a.sock')}`;
    const own = await served(place, address);
    const log = sidecarLog(pod, 5);
    const { unacknowledged, faults, add, close } = shipperOf(pod, log, address);
    await until(() => unacknowledged.records === 0);
    const [ledger, away] = [join(pod, 'ledger'), join(pod, 'away')];
    renameSync(ledger, away);
    add(5);
    await until(() => /cannot be read/.test(faults.at(-1) ?? ''), { what: 'the fault' });
    renameSync(away, ledger);
    await until(() => unacknowledged.records === 0);
    expect(faults.at(-1)).toBeNull();
    expect(await close()).toBeNull();
    await own.stop();
  });

  it.concurrent('resumes from what is kept after the authority was away, and after its own restart', async () => {
    const [pod, place] = [folder(), folder()];
    const address = `unix:${join(place, 'a.sock')}`;
    const first = await served(place, address);
    const log = sidecarLog(pod, 50);
    const name = nameOf(log);
    const before = shipperOf(pod, log, address);
    await until(() => before.unacknowledged.records === 0);
    await first.stop();
    before.add(30);
    await until(() => before.faults.some((fault) => fault !== null));
    expect(before.unacknowledged.records).toBeGreaterThanOrEqual(30);
    const second = await served(place, address);
    await until(() => before.unacknowledged.records === 0);
    expect(before.faults.at(-1)).toBeNull();
    before.add(5);
    expect(await before.close()).toBeNull();

    const again = sidecarLog(pod, 20);
    const later = shipperOf(pod, again, address);
    await until(() => later.unacknowledged.records === 0);
    expect(await later.close()).toBeNull();
    await second.stop();
    expect(eventsIn(place)).toEqual(['joined', 'joined', 'left', 'joined', 'left']);
    expect(verdictIn(second.records, name)).toMatchObject({ kind: 'sound', bare: null });
  });

  it.concurrent(
    'calls again if the host of the authority is gone without a word, and sends what was not acknowledged',
    async () => {
      const [pod, place] = [folder(), folder()];
      const port = await freePort();
      const own = await served(place, `127.0.0.1:${port}`);
      const proxy = await FaultProxy.start(port);
      const log = sidecarLog(pod, 5);
      const { unacknowledged, faults, add, close } = shipperOf(pod, log, `127.0.0.1:${proxy.port}`);
      await until(() => unacknowledged.records === 0);
      proxy.halfOpen();
      add(5);
      await until(() => faults.some((fault) => fault !== null), { what: 'the end of the half-open stream' });
      proxy.heal();
      await until(() => unacknowledged.records === 0);
      expect(await close()).toBeNull();
      await proxy.close();
      await own.stop();
      expect(eventsIn(place)).toEqual(['joined', 'left']);
    },
  );

  it.concurrent(
    'tells that the authority refuses a log of another trust domain, and keeps it unacknowledged',
    async () => {
      const [pod, place] = [folder(), folder()];
      const address = `unix:${join(place, 'a.sock')}`;
      const own = await served(place, address);
      const log = sidecarLog(pod, 5, { trustDomain: 'other.test' });
      const { faults, unacknowledged, shipper, stop } = shipperOf(pod, log, address);
      await until(() => faults.length > 0);
      expect(faults[0]).toMatch(
        /^the authority refuses the records: the log `.*` is not of the trust domain `acme.test`/,
      );
      expect(unacknowledged.records).toBe(6);
      expect(await shipper.close(10)).toBe('the last records were not acknowledged by an authority');
      stop();
      await own.stop();
      log.close();
    },
  );

  it.concurrent('is missed and named if its process is killed, and all that was acknowledged is kept', async () => {
    const [pod, place] = [folder(), folder()];
    const address = `unix:${join(place, 'a.sock')}`;
    const own = await served(place, address, 5_000);
    const script = join(import.meta.dirname, 'killed-sidecar.ts');
    const sidecar = spawn(process.execPath, [script, pod, address], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(sidecar.stdout, 'data')) as readonly Buffer[];
    const origin = String(line).trim();
    await until(() => [...(receivedLogsIn(own.records).logs.get(origin)?.stored.entries() ?? [])].length > 5);
    sidecar.kill('SIGKILL');
    await until(() => eventsIn(place).includes('lost'));
    await own.stop();
    const lost = mustFind(emitterRecords(place).find(({ event }) => event === 'lost'));
    expect(lost).toMatchObject({ origin, by: 'spiffe://acme.test/ns/tools/sa/tools-7' });
    const log = mustFind(receivedLogsIn(own.records).logs.get(origin));
    expect([...log.stored.entries()].length).toBe(lost.size);
    expect(lost.size).toBeGreaterThan(5);
  });
});

describe('handleAppend', () => {
  const nothing = { log: null, from: 0, leaves: null, checkpoint: '', ended: false };
  it.each([
    ['that does not name its log first', [nothing], 'the first message must name the log'],
    [
      'with too many records',
      [{ ...nothing, leaves: packed(...Array.from({ length: 1_025 }, () => Buffer.from('{}'))) }],
      'at most 1024 records',
    ],
    [
      'with too many bytes',
      [{ ...nothing, leaves: packed(Buffer.alloc(1024 ** 2 + 1)) }],
      'at most 1024 records of 1048576 bytes',
    ],
    ['with a record that is none', [{ ...nothing, leaves: packed(Buffer.from('{}')) }], 'record 1 of'],
    ['with a gap', [{ ...nothing, from: 7 }], 'sent records from 8 on, expected record 1'],
  ])('refuses a stream %s', async (_case, messages, problem) => {
    const [pod, place] = [folder(), folder()];
    const address = `unix:${join(place, 'a.sock')}`;
    const own = await served(place, address);
    const log = sidecarLog(pod, 1);
    const { origin, verifierKey, size } = log;
    const calls = appendCalls(address);
    const stream = calls.open();
    stream.on('error', () => undefined);
    const heard: string[] = [];
    stream.on('data', (appended: { readonly problem: string }) => void heard.push(appended.problem));
    const head = { ...nothing, log: { origin, verifier_key: verifierKey, size, root: Buffer.alloc(32) } };
    for (const message of messages[0] === nothing ? messages : [head, ...messages]) {
      stream.write(sentBytes(message));
    }
    await until(() => heard.some((each) => each !== ''));
    expect(heard.at(-1)).toContain(problem);
    log.close();
    calls.close();
    await own.stop();
  });
});

describe('the end of a stream that has sent a whole signed log', () => {
  it.each([
    ['is the end of the log if the sidecar says so', true, ['joined', 'left']],
    ['is not if it does not: that of a killed sidecar looks the same, which is lost', false, ['joined', 'lost']],
  ])('%s', async (_case, ended, events) => {
    const [pod, place] = [folder(), folder()];
    const address = `unix:${join(place, 'a.sock')}`;
    const own = await served(place, address, 1_500);
    const log = sidecarLog(pod, 5);
    const { origin, verifierKey, size } = log;
    const calls = appendCalls(address);
    const stream = calls.open();
    const heard: number[] = [];
    stream.on('data', (appended: { readonly size: number }) => void heard.push(appended.size));
    const nothing = { log: null, from: 0, leaves: null, checkpoint: '', ended: false };
    stream.write(sentBytes({ ...nothing, log: { origin, verifier_key: verifierKey, size, root: Buffer.alloc(32) } }));
    const part = partFrom(pod, 0);
    stream.write(sentBytes({ ...nothing, ...part, leaves: packed(...part.leaves) }));
    await until(() => heard.at(-1) === size);
    if (ended) stream.write(sentBytes({ ...nothing, from: size, ended }));
    stream.end();
    await until(() => eventsIn(place).length === 2, { what: 'what became of the log' });
    expect(eventsIn(place)).toEqual(events);
    log.close();
    calls.close();
    await own.stop();
  });
});

describe('Unacknowledged', () => {
  it.each([
    ['records', 4_096, 1, '4096 records are not yet acknowledged by an authority'],
    ['bytes', 10, 8 * 1024 ** 2, '8388608 bytes of records are not yet acknowledged by an authority'],
  ])('takes no more records at the limit of %s, until some are acknowledged', (_case, size, bytes, problem) => {
    const counted = new Unacknowledged();
    counted.wrote(size - 1, bytes - 1);
    expect(counted.problem(0)).toBeNull();
    counted.wrote(size, 1);
    expect(counted.problem(0)).toBe(problem);
    counted.kept(size - 1);
    expect([counted.problem(0), counted.records]).toEqual([null, 1]);
  });

  it('counts the queue in front of the log', () => {
    const counted = new Unacknowledged({ records: 10 });
    counted.wrote(6, 1);
    expect([counted.problem(3), counted.problem(4)]).toEqual([
      null,
      '10 records are not yet acknowledged by an authority',
    ]);
  });
});

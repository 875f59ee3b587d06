import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { withClosers, type Closers } from '../../builders/with-closers.ts';
import { ran } from '../../e2e/process.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { startSeaweedfs } from '../../authority/records/seaweedfs.ts';
import { both, describeWith, envoyPart, postgresPart, seaweedfsPart } from '../../parts.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';
import { RealFleet } from './real-fleet.ts';
import { seen, titleOf } from './rows.ts';

jest.setTimeout(400_000);

/** Records that a sidecar may have which no authority has acknowledged. */
const MOST_UNACKNOWLEDGED = 4_096;
/** What a killed pod loses is of its last second; more on a loaded machine. */
const MOST_LOST_MS = 5_000;
const folder = testFolders();

const parts = both(both(envoyPart(), postgresPart()), seaweedfsPart());

// Each row with a database of its own. They wait most of their time, so they run concurrently.
describeWith(parts, 'failure matrix: records', ([[envoy, binaries], weed]) => {
  const places = startedPlaces(binaries, folder());

  const start = async (closers: Closers, settings: Readonly<Record<string, unknown>> = {}): Promise<RealFleet> => {
    const fleet = await RealFleet.start({
      envoy,
      folder: join(folder(), 'fleet'),
      database: await places.next(),
      authorities: ['authority-1'],
      sidecars: ['sidecar-1'],
      configure: (party) => (party === 'authority-1' ? { durability: 'single', ...settings } : {}),
    });
    closers.push(() => fleet.stop());
    return fleet;
  };

  it.concurrent(
    titleOf('D-16'),
    withClosers(async (closers) => {
      const store = await startSeaweedfs(weed, folder());
      closers.push(() => store.stop());
      const link = await FaultProxy.start(store.port);
      closers.push(() => link.close());
      process.env['AWS_ENDPOINT_URL_S3'] = `http://127.0.0.1:${link.port}`;
      process.env['AWS_REGION'] = 'us-east-1';
      const fleet = await start(closers, { records: 's3://records/d16' });
      const { token } = await fleet.declare();
      const unacknowledged = (): Promise<number> => fleet.metric('sidecar-1', 'remit_ledger_unacknowledged');
      await until(async () => (await fleet.call('sidecar-1', token)) === '200', { what: 'a use is allowed' });
      await until(async () => (await unacknowledged()) === 0, { what: 'the store has all records' });
      link.cut();
      const answers = await fleet.flood('sidecar-1', { token, until: 'ledger.unavailable' });
      // Records that are decided but not yet written are counted a moment later. A denial is a record too.
      const queued = await until(
        async () => {
          const records = await unacknowledged();
          return records >= MOST_UNACKNOWLEDGED && records;
        },
        { what: 'the queue of records is full' },
      );
      const healedMs = performance.now();
      link.heal();
      await until(async () => (await fleet.call('sidecar-1', token)) === '200', { what: 'a use is allowed again' });
      const deniedMs = Math.round(performance.now() - healedMs);
      await until(async () => (await unacknowledged()) === 0, { what: 'the store has all records' });
      seen('D-16', {
        'uses allowed without the store': answers['200'] ?? 0,
        'records queued': queued,
        'ms of denied uses after it was back': deniedMs,
      });
      expect(answers['503 ledger.unavailable']).toBeGreaterThan(0);
      expect(answers['200']).toBeLessThanOrEqual(MOST_UNACKNOWLEDGED);
    }),
  );

  it.concurrent(
    titleOf('D-17'),
    withClosers(async (closers) => {
      const fleet = await start(closers);
      const { token, taskId } = await fleet.declare();
      await until(async () => (await fleet.call('sidecar-1', token)) === '200', { what: 'a use is allowed' });
      const allowedMs: number[] = [];
      const using = new AbortController();
      const user = (async () => {
        while (!using.signal.aborted)
          if ((await fleet.call('sidecar-1', token).catch(() => '')) === '200') allowedMs.push(performance.now());
      })();
      await until(() => allowedMs.length > 200, { what: 'uses are allowed' });
      const killedMs = performance.now();
      await fleet.kill('sidecar-1');
      using.abort();
      await user;
      const of = ['--config', fleet.config('authority-1')];
      const query = async (...args: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]> => {
        const { out } = await ran(['ledger', 'query', ...of, ...args, '--json', '--limit', '100000']);
        return out.split('\n').flatMap((line) => (line.startsWith('{') ? JSON.parse(line) : []));
      };
      // A minute of silence is a loss.
      const losses = (): Promise<number> => fleet.metric('authority-1', 'remit_emitter_events_total{event="lost"}');
      await until(async () => (await losses()) > 0, { what: 'the killed sidecar is lost', withinMs: 150_000 });
      const lost = await until(async () => (await query('--kind', 'emitter')).find(({ event }) => event === 'lost'), {
        what: 'the killed sidecar is named',
      });
      // The first use was not counted.
      const received = (await query('--task', taskId, '--kind', 'use', '--decision', 'allow')).length - 1;
      const missing = Math.max(0, allowedMs.length - received);
      const lostMs = missing === 0 ? 0 : Math.round(killedMs - (allowedMs[received] ?? killedMs));
      seen('D-17', { 'uses allowed': allowedMs.length, 'uses whose record is missing': missing, 'ms of them': lostMs });
      expect(lost).toMatchObject({ kind: 'emitter', event: 'lost', by: 'spiffe://acme.test/ns/pay/sa/tools-1' });
      expect(received).toBeGreaterThan(0);
      expect(lostMs).toBeLessThanOrEqual(MOST_LOST_MS);
    }),
  );
});

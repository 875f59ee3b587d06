import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it, jest } from '@jest/globals';
import { decodeJwt } from 'jose';
import { failover } from '../../../src/dev/postgres/failover.ts';
import { Receiver } from '../../authority/issuer/transmit/receiver.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { both, describeWith, envoyPart, postgresPart } from '../../parts.ts';
import { startCluster, type PostgresCluster } from '../../postgres/cluster.ts';
import { until } from '../../until.ts';
import { RealFleet, type AuthorityParty } from './real-fleet.ts';
import { migrate } from './replicas.ts';
import { seen, titleOf } from './rows.ts';

// Another authority goes on within a minute, and a receiver that failed is asked again after a pause that doubles.
jest.setTimeout(600_000);

const AUTHORITIES = ['authority-1', 'authority-2'] as const;
/** Tasks that end in each test. */
const TASKS = 20;
const TOLD = { withinMs: 240_000 };
const folder = testFolders();

// Issue 42, point 4.
describeWith(both(envoyPart(), postgresPart()), 'failure matrix: signals to others', ([envoy, binaries]) => {
  let cluster: PostgresCluster;
  let fleet: RealFleet;
  let receiver: Receiver;

  beforeAll(async () => {
    cluster = await startCluster({ binaries, folder: folder() });
    await migrate(cluster);
    const place = join(folder(), 'fleet');
    await mkdir(place, { recursive: true, mode: 0o700 });
    receiver = await Receiver.start(place);
    const transmit = [{ name: 'siem', url: receiver.url, ca: receiver.caFile }];
    fleet = await RealFleet.start({
      envoy,
      folder: place,
      database: cluster.url,
      sidecars: [],
      issuer: { signals: { transmit } },
    });
  });
  beforeEach(async () => {
    receiver.answer = () => [503];
    await fleet.restore();
  });
  afterAll(async () => {
    await fleet?.stop();
    await receiver?.close();
    await cluster?.close();
  });

  /** Declares tasks and ends them at the second authority; gives their ids once each end is acknowledged. */
  const ended = async (): Promise<readonly string[]> => {
    const tasks = await Promise.all(Array.from({ length: TASKS }, () => fleet.declare({}, 'authority-2')));
    const ids = tasks.map(({ taskId }) => taskId);
    await Promise.all(ids.map((id) => fleet.complete(id, { at: 'authority-2', wait: 'committed' })));
    return ids;
  };
  /** The authority that has begun to send, which fails, since a number of sent signals was seen at each. */
  const sender = (before: readonly number[]): Promise<AuthorityParty> =>
    until(
      async () => {
        const now = await sent();
        return AUTHORITIES.find((_, index) => (now[index] ?? 0) > (before[index] ?? 0));
      },
      { what: 'an authority that sends' },
    );
  const sent = (): Promise<readonly number[]> =>
    Promise.all(AUTHORITIES.map((party) => fleet.metric(party, 'remit_signals_sent_total')));
  /** Lets the receiver take signals; gives how long it took until it had taken one of each task, and how many ids these have. */
  const told = async (ids: readonly string[]): Promise<{ readonly ms: number; readonly jtis: number }> => {
    const taken = new Map<string, Set<string>>(ids.map((id) => [id, new Set()]));
    const since = performance.now();
    receiver.answer = ({ body }) => {
      const { jti = '', txn } = decodeJwt<{ txn?: string }>(body);
      taken.get(txn ?? '')?.add(jti);
      return [202];
    };
    const missing = () => [...taken.values()].filter(({ size }) => size === 0).length;
    await until(() => missing() === 0, { what: 'a signal of each end', ...TOLD }).catch(() => undefined);
    seen('D-27', {
      'ends that were not told': missing(),
      'ms until all were told': Math.round(performance.now() - since),
    });
    expect(missing()).toBe(0);
    return {
      ms: performance.now() - since,
      jtis: [...taken.values()].reduce((sum, { size }) => sum + size, 0),
    };
  };

  it(`${titleOf('D-27')}: it is killed`, async () => {
    const before = await sent();
    const ids = await ended();
    await fleet.kill(await sender(before));
    expect((await told(ids)).jtis).toBe(TASKS);
  });

  it(`${titleOf('D-27')}: it is stopped, and goes on after another has sent them`, async () => {
    const before = await sent();
    const ids = await ended();
    const { child } = fleet.process(await sender(before));
    child.kill('SIGSTOP');
    const { jtis } = await told(ids);
    child.kill('SIGCONT');
    expect(jtis).toBe(TASKS);
  });

  it(`${titleOf('D-27')}: its database fails over`, async () => {
    const before = await sent();
    const ids = await ended();
    await sender(before);
    const old = cluster.primary;
    await cluster.nodes[old].kill();
    await failover(cluster);
    const { jtis } = await told(ids);
    await cluster.rejoin(old);
    expect(jtis).toBe(TASKS);
  });
});

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { receivedLogsIn } from '../../../src/authority/records/received-logs.ts';
import { verdictOn } from '../../../src/core/ledger/proof/verification.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { noteKeyFrom } from '../../../src/core/ledger/proof/note-key.ts';
import { ShippedRecords } from '../../../src/serve/ledger/shipped-records.ts';
import { startRemit } from '../../../src/serve/remit.ts';
import { Faults } from '../../../src/core/telemetry/faults.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { appendServer } from '../../fleet/append-servers.ts';
import { authority, emitterRecords } from '../../authority/records/receivers.ts';
import { until } from '../../until.ts';
import { sidecarIn } from '../sidecars.ts';

const folder = testFolders();

const started = async (at: string, log: string[]) =>
  must(
    await startRemit(sidecarIn(at), {
      ports: systemPorts,
      environment: {},
      log: (line) => log.push(line),
      guard: async () => null,
      onFatal: () => undefined,
    }),
  );

it('a sidecar sends all records of its log, resumes after its restart, and says that it ended', async () => {
  const [at, place] = [folder(), folder()];
  const own = await authority(place, { after, ports: systemPorts, limits: { batchMs: 20 } });
  const server = await appendServer(own.receiver, `unix:${at}/authority.sock`);
  for (const ends of [1, 2]) {
    const sidecar = await started(at, []);
    await sidecar.close();
    expect(emitterRecords(place).filter(({ event }) => event === 'left')).toHaveLength(ends);
  }
  server.stop();
  await own.close();
  const [joined] = emitterRecords(place);
  const key = must(noteKeyFrom(joined?.verifierKey ?? ''));
  const { stored } = mustFind(receivedLogsIn(own.records).logs.get(key.name));
  // Twice the record of its policies, and a checkpoint at each end.
  expect(verdictOn(stored, { key, anchors: [] })).toMatchObject({ kind: 'sound', size: 4, bare: null });
});

it('a sidecar that reaches no authority says so, keeps its records, and sends them once it does', async () => {
  const [at, place] = [folder(), folder()];
  const log: string[] = [];
  const sidecar = await started(at, log);
  await until(() => log.some((line) => line.startsWith('records: ')), { what: 'the fault' });
  const own = await authority(place, { after, ports: systemPorts, limits: { batchMs: 20 } });
  const server = await appendServer(own.receiver, `unix:${join(at, 'authority.sock')}`);
  await until(() => log.some((line) => line.startsWith('records: over')), { what: 'the end of the fault' });
  await sidecar.close();
  server.stop();
  await own.close();
  expect(emitterRecords(place).map(({ event }) => event)).toContain('left');
});

it.each([
  ['on many machines', 'authority.acme.test:9474', 4_096],
  ['on one host', 'unix:/run/authority.sock', 65_536],
])(
  'a sidecar denies %s, with the authority `%s`, while %s records are not acknowledged',
  async (_where, target, most) => {
    const places = { targets: [target], placeOf: () => 'not there' };
    const services = {
      ports: systemPorts,
      faults: new Faults(() => undefined),
      metrics: newMetrics(),
      log: () => undefined,
    };
    const shipped = new ShippedRecords(places, services);
    shipped.start({ folder: folder(), origin: 'o', verifierKey: 'k', size: 7 });
    shipped.wrote(7 + most - 1, 1_000);
    expect(shipped.problem(0)).toBeNull();
    expect(shipped.problem(1)).toBe(`${most} records are not yet acknowledged by an authority`);
    // Nothing of them is there to be sent.
    await shipped.close();
  },
);

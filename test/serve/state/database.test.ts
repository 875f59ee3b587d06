import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../src/core/config/postgres-url.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { openDatabase } from '../../../src/serve/state/database.ts';
import { isStartProblem } from '../../../src/serve/start-problem.ts';
import { Faults } from '../../../src/core/telemetry/faults.ts';
import { mustConfig } from '../../builders/config.ts';
import { must } from '../../builders/must.ts';
import { scratch } from '../../builders/scratch.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { PostgresPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';

const { folder, remove } = scratch();

describeWith(postgresPart(), 'openDatabase', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  beforeAll(() => places.start());
  afterAll(async () => {
    await places.stop();
    remove();
  });

  it('finds that a problem is over without waiting a minute', async () => {
    let offMs = 3_600_000;
    const closers: (() => unknown)[] = [];
    const faults = new Faults(() => undefined);
    const url = await places.next();
    const opened = await openDatabase(
      must(postgresTargetFrom(url)),
      mustConfig(
        `trustDomains: acme.test
svid: { workloadApi: unix:///run/spire/agent.sock }
issuer: { url: https://remit.acme.test }
state: ${url}
durability: single
authority: { listen: 127.0.0.1:9474, sidecars: { id: spiffe://acme.test/tools, audiences: https://payments.acme.test } }
`,
        { folder: folder() },
      ),
      {
        ports: { ...systemPorts, nowMs: () => Date.now() + offMs },
        log: () => undefined,
        faults,
        onFatal: () => undefined,
        onRecords: () => undefined,
        onWrite: () => undefined,
        closers,
      },
    );
    try {
      if (isStartProblem(opened) || opened.database === null) throw new Error('no database');
      const { problem } = opened.database;
      expect(problem()).toMatch(/the clocks of this machine and of the database differ by 3[56]\d\d s/);
      offMs = 0;
      await until(() => problem() === null, { what: 'a look after the problem', withinMs: 50_000 });
    } finally {
      for (const close of closers.toReversed()) await close();
    }
  });
});

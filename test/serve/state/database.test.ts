import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../src/core/config/postgres-url.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import { orderMade } from '../../../src/core/ledger/order-record.ts';
import { signalLimits } from '../../../src/core/state/signal-queue.ts';
import { UNSEALED } from '../../../src/core/order/unsealed.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { openDatabase } from '../../../src/serve/state/database.ts';
import { isStartProblem } from '../../../src/serve/start-problem.ts';
import { Faults } from '../../../src/core/telemetry/faults.ts';
import { mustConfig } from '../../builders/config.ts';
import { must } from '../../builders/must.ts';
import { stopOrder } from '../../builders/order.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { startedPlaces } from '../../postgres/places.ts';
import { until } from '../../until.ts';

const folder = testFolders();

describeWith(postgresPart(), 'openDatabase', (binaries) => {
  const places = startedPlaces(binaries, folder());

  // Issue 42, point 3.
  it('logs stops that no authority wrote, by their ids, and that they are lifted', async () => {
    const url = await places.next();
    const [logged, closers]: [string[], (() => unknown)[]] = [[], []];
    const place = folder();
    writeFileSync(join(place, 'state.key'), randomBytes(64));
    const opened = await openDatabase(
      must(postgresTargetFrom(url)),
      mustConfig(
        `trustDomains: acme.test
svid: { workloadApi: unix:///run/spire/agent.sock }
issuer: { url: https://remit.acme.test }
state: ${url}
durability: single
authority:
  listen: 127.0.0.1:9474
  stateKey: state.key
  sidecars: { id: spiffe://acme.test/tools, audiences: https://payments.acme.test }
`,
        { folder: place },
      ),
      {
        ports: systemPorts,
        log: () => undefined,
        faults: new Faults((text, event) => void logged.push(`${event}: ${text}`)),
        onFatal: () => undefined,
        onRecords: () => undefined,
        onWrite: () => undefined,
        closers,
      },
    );
    try {
      if (isStartProblem(opened) || opened.authority === null) throw new Error('no database');
      const order = stopOrder();
      await places.sql(url, `INSERT INTO remit.orders (id, of, body) VALUES ($1, 'stop', $2)`, [
        order.id,
        JSON.stringify(order),
      ]);
      await places.sql(url, 'UPDATE remit.orders_head SET version = version + 1');
      const said = () => logged.filter((line) => line.includes('stops of the database'));
      await until(() => said().length === 1, { what: 'the log of the stop', withinMs: 50_000 });
      expect(said()[0]).toContain(
        'fault: stops of the database: stops without the seal of an authority are in force (`00000000000000aa`): each denies',
      );
      expect(await opened.authority.liftOrder(order.id, [])).toMatchObject({ by: UNSEALED });
      await until(() => said().length === 2, { what: 'the log of the end', withinMs: 50_000 });
      expect(said()[1]).toContain('recovered: stops of the database: over');
    } finally {
      for (const close of closers.toReversed()) await close();
    }
  });

  it('tells a configured receiver of signals, also if the login has added more than are read', async () => {
    const url = await places.next();
    const closers: (() => unknown)[] = [];
    const opened = await openDatabase(
      must(postgresTargetFrom(url)),
      mustConfig(
        `trustDomains: acme.test
svid: { workloadApi: unix:///run/spire/agent.sock }
issuer:
  url: https://remit.acme.test
  signals: { transmit: [{ name: siem, url: https://siem.acme.test/events }] }
state: ${url}
durability: single
authority: { listen: 127.0.0.1:9474, sidecars: { id: spiffe://acme.test/tools, audiences: https://payments.acme.test } }
`,
        { folder: folder() },
      ),
      {
        ports: systemPorts,
        log: () => undefined,
        faults: new Faults(() => undefined),
        onFatal: () => undefined,
        onRecords: () => undefined,
        onWrite: () => undefined,
        closers,
      },
    );
    try {
      if (isStartProblem(opened) || opened.authority === null) throw new Error('no database');
      const { authority } = opened;
      expect(await authority.claimSignals('siem')).toEqual({ dropped: 0 });
      await places.sql(
        url,
        `INSERT INTO remit.signal_receivers SELECT 'a' || n, gen_random_uuid(), now() FROM generate_series(1, ${signalLimits.maxReceivers}) n`,
      );
      expect(
        await authority.appendRecords([must(encodedRecord(orderMade(stopOrder({ madeAtMs: Date.now() }))))]),
      ).toBeNull();
      expect(must(await authority.signalQueue('siem'))).toMatchObject({ waiting: 1 });
    } finally {
      for (const close of closers.toReversed()) await close();
    }
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

// Issue 42, point 3: `remit stop` on a PostgreSQL whose rows are sealed.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { authorityYaml } from '../../builders/authority-yaml.ts';
import { stop } from '../../../src/cli/stop/stop.ts';
import { task } from '../../../src/cli/task/task.ts';
import type { PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import { signalLimits } from '../../../src/core/state/signal-queue.ts';
import { must, mustFind } from '../../builders/must.ts';
import { stopOrder } from '../../builders/order.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { mustOpenState } from '../../postgres/opening.ts';
import { PostgresPlaces } from '../../postgres/places.ts';
import { ran } from '../ledgers.ts';

const folder = testFolders();
const planner = 'spiffe://acme.test/ns/agents/sa/planner';

describeWith(postgresPart(), '`remit stop` with `authority.stateKey`', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  /** The state of an authority with the key. */
  let state: PostgresState;
  let url: string;
  let config: string;
  const forged: string[] = [];

  const configWith = (key: string): string => {
    const file = join(folder(), 'remit.yaml');
    writeFileSync(file, authorityYaml(url, key));
    return file;
  };

  beforeAll(async () => {
    await places.start();
    url = await places.next();
    const key = join(folder(), 'state.key');
    const stateKey = randomBytes(64);
    writeFileSync(key, stateKey);
    config = configWith(key);
    state = await mustOpenState(url, { stateKey, onForged: (what) => forged.push(what) });
  });
  afterAll(async () => {
    await state?.close();
    await places.stop();
  });

  /** Runs a command with the configuration. */
  const run = (command: Parameters<typeof ran>[0], args: readonly string[], file = config) =>
    ran((words, io) => command(words, { ...io, environment: { SUDO_USER: 'ada' } }), ...args, '--config', file);
  const stopping = (...args: readonly string[]) => run(stop, args);
  const because = ['--because', 'INC-42', '--wait', 'committed'];
  const inForce = async () => must(await state.authority.ordersInForce()).list.map(({ id, by }) => [id, by]);

  it('makes and lifts stops as the authorities do', async () => {
    expect(await stopping('agent', planner, ...because)).toMatchObject({ exit: 0 });
    const [[id = '', by = ''] = []] = await inForce();
    expect(by).toMatch(/^operator ada/);
    expect((await stopping('list')).out).not.toContain('warning');
    expect(await state.authority.liftOrder(id, [])).toMatchObject({ by });
    const own = stopOrder({ what: planner });
    expect(await state.authority.putOrder(own, [])).toBeNull();
    expect(await stopping('lift', own.id, ...because)).toMatchObject({ exit: 0 });
    expect([await inForce(), forged]).toEqual([[], []]);
  });

  it('ends a task as the authorities do', async () => {
    const open = taskNumber(1, { deadlineMs: Date.now() + 3_600_000 });
    must(await state.authority.insertTask(open, tokenNumber(1), []));
    const end = await run(task, ['end', open.id, '--cause', 'compromised', '--wait', 'committed']);
    expect(end).toMatchObject({ exit: 0 });
    expect(await state.authority.taskOf(open.issuer, open.id)).toMatchObject({ state: 'revoked' });
    expect(forged).toEqual([]);
  });

  it('lists a stop that no authority wrote apart, as nobody known, and lifts it', async () => {
    const order = stopOrder({ id: '00000000000000cc', kind: 'server', what: 'payments' });
    await places.sql(url, `INSERT INTO remit.orders (id, of, body) VALUES ($1, 'stop', $2)`, [
      order.id,
      JSON.stringify(order),
    ]);
    await places.sql(url, 'UPDATE remit.orders_head SET version = version + 1');
    await stopping('agent', planner, ...because);
    const { exit, out } = await stopping('list');
    expect([exit, out.trimEnd().split('\n')]).toEqual([
      0,
      [
        expect.stringMatching(/^00000000000000cc {2}server payments .* by unsealed-row: INC-42$/),
        expect.stringMatching(/ by operator ada.*: INC-42$/),
        expect.stringContaining(
          'warning: stops without the seal of an authority are in force (`00000000000000cc`): each denies until an operator lifts it',
        ),
      ],
    ]);
    const shown = JSON.parse((await stopping('list', '--json')).out) as readonly Record<string, unknown>[];
    expect(shown.map(({ by, unsealed }) => [by, unsealed])).toEqual([
      ['unsealed-row', true],
      [expect.stringMatching(/^operator ada/), undefined],
    ]);
    expect(await stopping('lift', order.id, ...because)).toMatchObject({ exit: 0 });
    const left = await inForce();
    expect(left).toHaveLength(1);
    expect(await stopping('lift', mustFind(left[0]?.[0]), ...because)).toMatchObject({ exit: 0 });
    expect(await inForce()).toEqual([]);
  });

  it('tells a configured receiver, also if the login has added more than are read', async () => {
    expect(await state.authority.claimSignals('siem')).toEqual({ dropped: 0 });
    await places.sql(
      url,
      `INSERT INTO remit.signal_receivers SELECT 'a' || n, gen_random_uuid(), now() FROM generate_series(1, ${signalLimits.maxReceivers}) n`,
    );
    expect(await stopping('agent', planner, ...because)).toMatchObject({ exit: 0 });
    const [[id = ''] = []] = await inForce();
    expect(must(await state.authority.signalQueue('siem')).signals).toHaveLength(1);
    expect(await stopping('lift', id, ...because)).toMatchObject({ exit: 0 });
    expect(forged).toEqual([]);
  });

  it('refuses without the key, since nobody would believe what it writes', async () => {
    const { exit, err } = await run(stop, ['agent', planner, ...because], configWith('/nowhere/state.key'));
    expect(exit).toBe(2);
    expect(err).toContain('`authority.stateKey`: `/nowhere/state.key` cannot be read: ENOENT');
    expect(await inForce()).toEqual([]);
  });
});

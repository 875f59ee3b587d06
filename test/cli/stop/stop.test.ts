// Issue 42, point 1: `remit stop`.
import { cpSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stop, stopCommand } from '../../../src/cli/stop/stop.ts';
import type { CommandIo } from '../../../src/cli/command.ts';
import type { TimedReceipt } from '../../../src/core/fleet/receipt.ts';
import type { StopOrder } from '../../../src/core/order/order.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { commandRun } from '../../builders/command-run.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { type ReceiptAdmin, startReceiptAdmin } from '../receipt-admin.ts';

const folder = testFolders();
/** The store of the process that serves meanwhile. */
let store: Store;
let config: string;
let state: string;
let admin: ReceiptAdmin;
let asked: readonly string[] = [];
/** What the running authority answers; an error if it fails. */
let receipt: TimedReceipt | Error;

const planner = 'spiffe://acme.test/ns/agents/sa/planner';
const ENFORCED = { enforced: true, holders: 3, acknowledged: 2, fenced: 1, ms: 38 };

beforeEach(async () => {
  const place = folder();
  state = join(place, 'state.db');
  store = mustOpen(state, { nowMs: Date.now });
  must(store.insertTask(taskNumber(1, { deadlineMs: Date.now() + 3_600_000, subject: 'alice' }), tokenNumber(1), []));
  receipt = ENFORCED;
  admin = await startReceiptAdmin(place, () => receipt);
  ({ config, asked } = admin);
  cpSync(resolve(import.meta.dirname, '../../../cedar-policies'), join(place, 'cedar-policies'), { recursive: true });
});
afterEach(async () => {
  await admin.close();
  store.close();
});

interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], over: Partial<CommandIo> = {}): Promise<Ran> {
  const { code: exit, out, err } = await commandRun(stop, args, over);
  return { exit, out: out.join('\n'), err: err.join('\n') };
}
const withConfig = (...args: readonly string[]) => run([...args, '--config', config]);
const because = ['--because', 'INC-42'];
const stops = (): readonly StopOrder[] => must(store.ordersInForce()).list.filter((order) => order.of === 'stop');

describe('remit stop', () => {
  it.each([
    ['agent', planner],
    ['agent', 'spiffe://acme.test/ns/agents/*'],
    ['user', 'alice'],
    ['user', 'https://idp.acme.test alice'],
    ['server', 'payments'],
    ['action', 'payments.read'],
  ])('stops the %s `%s`, and prints the receipt', async (kind, what) => {
    const { exit, out, err } = await withConfig(kind, what, ...because);
    expect([exit, err]).toEqual([0, '']);
    const [order] = stops();
    expect(order).toMatchObject({ kind, what, because: 'INC-42', untilMs: null });
    expect(order?.by).toMatch(/^operator /);
    expect(out).toBe(
      `stop ${order?.id} of ${kind} ${what} is in force, enforced after 38 ms at 3 sidecars: 2 acknowledged, the lease of 1 ran out`,
    );
    expect(asked).toEqual(['orders']);
  });

  it('prints the stop and its receipt as JSON, and holds for the minutes given', async () => {
    const { out } = await withConfig('agent', planner, ...because, '--minutes', '30', '--json', '--by', 'Ada');
    const shown = JSON.parse(out) as Record<string, unknown>;
    expect(shown).toMatchObject({ kind: 'agent', what: planner, because: 'INC-42', enforcement: ENFORCED });
    expect(Date.parse(String(shown['until'])) - Date.parse(String(shown['made']))).toBeGreaterThanOrEqual(30 * 60_000);
    expect(shown['by']).toMatch(/^operator Ada/);
  });

  it('lists the stops, and lifts a stop by its id', async () => {
    expect((await withConfig('list')).out).toBe('nothing is stopped');
    await withConfig('agent', planner, ...because);
    const id = stops()[0]?.id ?? '';
    expect((await withConfig('list')).out).toMatch(
      new RegExp(`^${id}  agent ${planner}  until it is lifted  by operator .*: INC-42$`),
    );
    expect(JSON.parse((await withConfig('list', '--json')).out)).toMatchObject([{ id, what: planner, until: null }]);
    const lifted = await withConfig('lift', id, '--because', 'all clear');
    expect([lifted.exit, lifted.out]).toEqual([
      0,
      `stop ${id} of agent ${planner} is lifted, enforced after 38 ms at 3 sidecars: 2 acknowledged, the lease of 1 ran out`,
    ]);
    expect(stops()).toEqual([]);
    expect(await withConfig('lift', id)).toMatchObject({ exit: 1, err: expect.stringContaining('there is no stop') });
  });

  it('records the stop, its receipt and its end', async () => {
    await withConfig('agent', planner, ...because);
    await withConfig('lift', stops()[0]?.id ?? '');
    const records = must(store.outbox(0, 100)).map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()));
    expect(records.map(({ event }) => event)).toEqual(['order-made', 'receipt', 'order-lifted', 'receipt']);
  });

  it('without sidecars says that it is in force, and waits for nobody', async () => {
    const { exit, out } = await run(['agent', planner, ...because, '--state', state]);
    expect([exit, out, asked]).toEqual([0, `stop ${stops()[0]?.id} of agent ${planner} is in force`, []]);
  });

  it.each<[string, TimedReceipt | Error, RegExp]>([
    ['not every sidecar has it', { ...ENFORCED, enforced: false }, /sidecars may still decide without it/],
    ['the authority cannot say', new Error('down'), /whether sidecars know it is unknown/],
  ])('ends with 1, and says that it is in force, if %s', async (_what, answer, message) => {
    receipt = answer;
    const { exit, out, err } = await withConfig('agent', planner, ...because);
    expect([exit, stops().length]).toEqual([1, 1]);
    expect(out).toMatch(/is in force/);
    expect(err).toMatch(message);
  });

  it('with `--wait committed` waits for no receipt', async () => {
    const { exit, out } = await withConfig('agent', planner, ...because, '--wait', 'committed');
    expect([exit, asked]).toEqual([0, []]);
    expect(out).toMatch(/is in force$/);
  });

  it('stops everything only if that was confirmed', async () => {
    expect(await withConfig('all', ...because)).toMatchObject({
      exit: 2,
      err: expect.stringMatching(/--yes-everything/),
    });
    const answers = ['yes', null, 'everything'];
    const ask = () => Promise.resolve(answers.shift() ?? null);
    const ended = [];
    for (let n = 0; n < 3; n += 1) ended.push((await run(['all', ...because, '--config', config], { ask })).exit);
    expect(ended).toEqual([1, 1, 0]);
    expect(stops()).toMatchObject([{ kind: 'all', what: '' }]);
    expect((await withConfig('all', ...because, '--yes-everything')).out).toMatch(/ of everything is in force/);
  });

  it.each<[string, readonly string[], RegExp]>([
    ['no cause', ['agent', planner], /--because is required/],
    ['a cause that is too long', ['agent', planner, '--because', 'x'.repeat(201)], /200 characters/],
    ['no agent', ['agent', ...because], /SPIFFE ID/],
    ['no SPIFFE ID', ['agent', 'planner', ...because], /SPIFFE ID/],
    ['an unknown server', ['server', 'paiments', ...because], /no server `paiments`; did you mean `payments`\?/],
    ['an unknown action', ['action', 'payments.raed', ...because], /did you mean `payments.read`/],
    ['minutes that are none', ['all', '--minutes', '0', ...because], /--minutes/],
    ['an unknown wait', ['agent', planner, '--wait', 'long', ...because], /--wait/],
    ['no id to lift', ['lift', 'x'], /16 hexadecimal digits/],
    [
      'an unknown word',
      ['tool', 'x'],
      /`agent`, `user`, `server`, `action`, `all`, `list` or `lift` is required; see `remit stop --help`/,
    ],
  ])('refuses %s', async (_what, args, message) => {
    const { exit, err } = await withConfig(...args);
    expect(exit).toBe(2);
    expect(err).toMatch(message);
    expect(stops()).toEqual([]);
  });

  it.each([
    ['agent', 'spiffe://acme.test/ns/agent/*'],
    ['user', 'alyce'],
  ])('stops, and warns, if no task is of the %s `%s`', async (kind, what) => {
    const { exit, err } = await withConfig(kind, what, ...because);
    expect([exit, stops().length]).toEqual([0, 1]);
    expect(err).toMatch(`none of the newest 1000 tasks is of that ${kind}`);
  });

  it('stops a server, and says that it could not look it up, if the catalog cannot be read', async () => {
    const { exit, err } = await run(['server', 'payments', ...because, '--state', state]);
    expect([exit, stops().length]).toEqual([0, 1]);
    expect(err).toMatch('the catalog cannot be read here');
  });

  it('has a help', () => {
    expect(stopCommand.help).toMatch(/remit stop lift ID/);
  });
});

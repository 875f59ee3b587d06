import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { authorityYaml } from '../../builders/authority-yaml.ts';
import { restore } from '../../../src/cli/state/restore.ts';
import { must } from '../../builders/must.ts';
import { stopOrder } from '../../builders/order.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { mustOpenState } from '../../postgres/opening.ts';
import { PostgresPlaces } from '../../postgres/places.ts';
import { ran } from '../ledgers.ts';

const folder = testFolders();

async function restoring(...args: readonly string[]): Promise<readonly [code: number, said: string]> {
  const { exit, out, err } = await ran((words, io) => restore([...words, '--by', 'Ada'], io), ...args);
  return [exit, `${out}${err}`.trimEnd()];
}

/** The row of task 1 as that of another task, which no authority wrote. */
const forgedTask = (id: string, change: object): string =>
  `INSERT INTO remit.tasks SELECT (jsonb_populate_record(t, '${JSON.stringify({ id, root: id, ...change })}')).* FROM remit.tasks t
     WHERE id = '${taskNumber(1).id}'`;

describeWith(postgresPart(), '`remit restore` of a PostgreSQL with `authority.stateKey`', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  const stateKey = randomBytes(64);
  const keyFile = join(folder(), 'state.key');
  beforeAll(() => {
    writeFileSync(keyFile, stateKey);
    return places.start();
  });
  afterAll(() => places.stop());

  /** The configuration of an authority. */
  const configOf = (url: string, key: string | null = keyFile): string => {
    const file = join(folder(), 'remit.yaml');
    writeFileSync(file, authorityYaml(url, key));
    return file;
  };

  /** The state of an authority with the key, and the rows that it does not trust. */
  const open = async (url: string) => {
    const forged: string[] = [];
    const onForged = (what: string): number => forged.push(what);
    const state = await mustOpenState(url, { stateKey, receivers: ['siem'], onForged });
    return { state, forged };
  };

  /** A backup with tasks 1 and 2, its part, task 3, which is suspended, a stop, and a receiver of signals. */
  async function backup(): Promise<string> {
    const url = await places.next();
    const { state } = await open(url);
    const times = { createdAtMs: Date.now(), deadlineMs: Date.now() + 3_600_000 };
    for (const task of [
      taskNumber(1, times),
      taskNumber(2, { ...times, parentId: taskNumber(1).id }),
      taskNumber(3, times),
    ])
      expect(await state.authority.insertTask(task, tokenNumber(Number(task.id.at(-1))), [])).toBeNull();
    must(await state.authority.applyTaskEvent(taskNumber(3), byOperator('suspend'), 'operator'));
    expect(await state.authority.putOrder(stopOrder(), [])).toBeNull();
    must(await state.authority.claimSignals('siem'));
    await state.close();
    return url;
  }

  it('seals the ends that it writes, and tells the receivers of signals', async () => {
    const url = await backup();
    const [code, said] = await restoring('--config', configOf(url), '--json');
    expect([code, JSON.parse(said)]).toMatchObject([0, { ended: 3, unsealed: 0, stops: 1 }]);
    const { state, forged } = await open(url);
    const states = [1, 2, 3].map(async (n) => must(await state.authority.taskOf(issuer, taskNumber(n).id))?.state);
    expect(await Promise.all(states)).toEqual(['revoked', 'revoked', 'revoked']);
    await places.sql(url, 'UPDATE remit.signal_receivers SET claimed_until = now()');
    must(await state.authority.claimSignals('siem'));
    const told = must(await state.authority.signalQueue('siem')).signals.map(({ record: { task } }) => task);
    expect(new Set(told)).toEqual(new Set([1, 2, 3].map((n) => taskNumber(n).id)));
    expect(forged).toEqual([]);
    await state.close();
  });

  it('ends a row that no authority wrote without a record and a signal', async () => {
    const url = await backup();
    const ids = [8, 9].map((n) => taskNumber(n).id);
    await places.sql(url, forgedTask(ids[0] ?? '', { seal: null }));
    // One whose columns are no task.
    await places.sql(url, forgedTask(ids[1] ?? '', { claimed: 'x' }));
    const [code, said] = await restoring('--config', configOf(url));
    expect([code, said]).toEqual([
      0,
      expect.stringMatching(
        /^3 open tasks were ended; .*\n2 rows of open tasks .* without a record\n1 stop of the backup/,
      ),
    ]);
    const open = 'SELECT id FROM remit.tasks WHERE ended_ms IS NULL';
    expect(await places.sql(url, open)).toEqual([]);
    const records = await places.outbox(url);
    expect(records.filter(({ task }) => ids.includes(String(task)))).toEqual([]);
    expect(records.at(-1)).toMatchObject({ event: 'restored', details: { endedTasks: 3, unsealedTasks: 2 } });
    expect(await places.sql(url, 'SELECT count(*)::int AS n FROM remit.signals')).toEqual([{ n: 3 }]);
  });

  it('changes nothing without the key, and names the way out', async () => {
    const url = await backup();
    const wayOut = expect.stringMatching(/sealed with `authority.stateKey`.*`remit restore --config FILE`/);
    for (const args of [
      ['--state', url],
      ['--config', configOf(url, null)],
    ])
      expect(await restoring(...args)).toEqual([1, wayOut]);
    const { state } = await open(url);
    expect(must(await state.authority.taskOf(issuer, taskNumber(1).id))).toMatchObject({ state: 'active' });
    await state.close();
  });

  it('ends no task if neither a backup nor a configuration is named', async () => {
    expect(await restoring()).toEqual([2, expect.stringContaining('the folder of the backup is required')]);
    const both = ['--config', configOf('postgres://x@localhost/y'), '--state', 'postgres://x@localhost/y'];
    expect(await restoring(...both)).toEqual([2, expect.stringContaining('give only its configuration or its URL')]);
    expect(await restoring('--config', configOf('postgres://x@localhost/y'), folder())).toEqual([
      2,
      expect.stringContaining('then run `remit restore --config '),
    ]);
  });
});

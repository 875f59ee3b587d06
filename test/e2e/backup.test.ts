import { readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ran } from './process.ts';
import { Processes } from './processes.ts';
import { SteadyCallers } from './steady-callers.ts';

// Processes start here, which is slow on a loaded machine.

const page = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/operate/backup.md'), 'utf8');
/** The commands on the page, one a line. */
const commands = page.split('\n').filter((line) => line.startsWith('remit '));

const filesUnder = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

const verify = (ledger: string, verifier: string, ...anchors: readonly string[]) =>
  ran(['ledger', 'verify', '--ledger', ledger, '--key', verifier, ...anchors.flatMap((file) => ['--anchors', file])]);

// Issue 15, point 2: there was no backup, and restoring a copy by hand revived ended tasks.
describeWith(envoyPart(), 'a process that is backed up while it serves, lost, and restored', (envoy) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;
  let key = '';

  const at = (name: string): string => join(scratch.folder, name);
  /** Runs a command of the page with the folders of this test. */
  const run = (command: string, ...more: readonly string[]) => {
    const words = command.replaceAll('/mnt/backups', at('backups')).split(' ').slice(1);
    return ran([...words, '--config', processes.config, ...more], processes.environment(1));
  };
  const call = async (token: string): Promise<string> => {
    const headers = { authorization: `Bearer ${token}` };
    const { status, body } = await processes.agent.call(processes.envoyPort, {
      host: 'payments.acme.test',
      path: '/v1/payments/p-1',
      headers,
    });
    return status === 200 ? '200' : `${status} ${JSON.parse(body).reason}`;
  };
  const verifierKey = (): string => /verified with (\S+)/.exec(processes.said(1))?.[1] ?? '';
  const restoredLedger = (): string =>
    at(readdirSync(scratch.folder).find((name) => name.startsWith('ledger-1-until-')) ?? 'none');

  beforeAll(async () => {
    await mkdir(at('backups'), { mode: 0o700 });
    processes = await Processes.start(envoy, scratch.folder, { kind: 'alone', drainSeconds: 0 });
    await processes.serve(1);
    key = verifierKey();
  });

  it('uses the commands of its page', () => {
    expect(commands).toEqual([
      'remit backup /mnt/backups/remit-2026-11-26',
      'remit restore /mnt/backups/remit-2026-11-26',
      'remit restore --state-only /mnt/backups/remit-2026-11-26',
    ]);
  });

  let before: { readonly token: string; readonly taskId: string };
  let spent: { readonly token: string; readonly taskId: string };
  let after: { readonly token: string; readonly taskId: string };

  it('is backed up under load: no call is lost, all files are private, and none is a key', async () => {
    before = await processes.declare();
    spent = await processes.declare({ constraints: { max_calls: 2 } });
    const steady = await processes.declare();
    await until(async () => (await call(before.token)) === '200');
    // Anchors from before the backup.
    await until(() => statSync(at('checkpoints-1.txt'), { throwIfNoEntry: false })?.size);
    await cp(at('checkpoints-1.txt'), at('early-anchors.txt'));
    const callers = new SteadyCallers(processes.envoyPort, [{ agent: processes.agent, token: steady.token }]);
    try {
      await until(() => callers.calls.length > 20);
      const { code, out, err } = await run(commands[0] ?? '');
      expect([code, err]).toEqual([0, '']);
      expect(out).toMatch(/^backup .*: \d+ files of \d+ bytes\nledger .*ledger-1: [1-9]\d* records\n$/);
      const counted = callers.calls.length;
      await until(() => callers.calls.length > counted + 20);
      expect(new Set(callers.calls.map(({ answer }) => answer))).toEqual(new Set(['200']));
    } finally {
      await callers.stop();
    }
    const files = filesUnder(at('backups'));
    expect(new Set(files.map((file) => statSync(file).mode & 0o777))).toEqual(new Set([0o600]));
    expect(files.filter((file) => /\.pem$|\.jwk$|keys/.test(file))).toEqual([]);
    expect(files.filter((file) => file.includes('/ledger/policies/'))).toHaveLength(1);
    expect((await run(commands[0] ?? '')).err).toMatch(/already exists: give a new folder for the backup\n$/);
  });

  it('ends a task, spends a budget and issues a token after the backup, and is killed', async () => {
    after = await processes.declare();
    expect([await call(spent.token), await call(spent.token), await call(spent.token)]).toEqual([
      '200',
      '200',
      '403 task.exhausted',
    ]);
    const anchored = statSync(at('checkpoints-1.txt')).size;
    await processes.complete(before.taskId);
    expect(await call(before.token)).toBe('403 task.completed');
    expect(await call(after.token)).toBe('200');
    await until(() => processes.waiting() === 0);
    expect(await processes.records(1, 'end')).toHaveLength(1);
    await until(() => statSync(at('checkpoints-1.txt')).size > anchored);
    await processes.end(1, 'SIGKILL');
  });

  it('is not restored over existing files', async () => {
    const { code, err } = await run(commands[1] ?? '');
    expect([code, err]).toEqual([
      1,
      `remit restore: \`${at('state.db')}\` already exists and is not overwritten: move it away first\n`,
    ]);
    await mkdir(at('lost'));
    for (const name of readdirSync(scratch.folder).filter((file) => file.startsWith('state.db')))
      renameSync(at(name), at(`lost/${name}`));
    expect((await run(commands[1] ?? '')).err).toMatch(
      /a ledger is in .*ledger-1`: use --state-only to keep and continue it/,
    );
    renameSync(at('ledger-1'), at('lost/ledger-1'));
  });

  it('is restored: every open task ends with a record, and its ledger is whole with its anchors', async () => {
    const { code, out, err } = await run(commands[1] ?? '', '--by', 'Ada Lovelace');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(
      /^state file .*state\.db: 3 open tasks were ended; agents declare theirs again\nledger .*-until-/,
    );
    expect(new Set(filesUnder(restoredLedger()).map((file) => statSync(file).mode & 0o777))).toEqual(new Set([0o600]));
    // No checkpoint covers the records of the last seconds before the backup.
    expect([0, 2]).toContain((await verify(restoredLedger(), key, at('early-anchors.txt'))).code);
    // An anchor from after the backup shows what was lost.
    const late = await verify(restoredLedger(), key, at('checkpoints-1.txt'));
    expect([late.code, late.out]).toEqual([3, expect.stringMatching(/the log ends at \d+, an anchor says \d+/)]);
  });

  it('serves again: tokens from before the restore are refused, new tokens are accepted', async () => {
    await processes.serve(1);
    for (const { token } of [before, spent]) expect(await call(token)).toBe('403 task.revoked');
    expect(await call(after.token)).toMatch(/^40[13] task\.unknown$/);
    const { token } = await processes.declare();
    expect(await call(token)).toBe('200');
  });

  it('has a new, whole ledger that records who restored what, and the end of the old ledger', async () => {
    const fresh = verifierKey();
    expect(fresh).not.toBe(key);
    await processes.end(1, 'SIGTERM');
    const both = ['--ledger', restoredLedger(), '--key', key, '--anchors', at('early-anchors.txt')];
    expect([0, 2]).toContain(
      (await ran(['ledger', 'verify', '--ledger', at('ledger-1'), '--key', fresh, ...both])).code,
    );
    expect((await verify(at('ledger-1'), fresh)).code).toBe(0);
    const { out } = await ran(['ledger', 'query', '--ledger', at('ledger-1'), '--kind', 'event', '--json']);
    const restored = out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
      .find(({ event }) => event === 'restored');
    expect(restored).toMatchObject({
      by: expect.stringMatching(/^operator Ada Lovelace/),
      cause: 'operator.restored',
      details: { endedTasks: 3, ledgers: [{ origin: key.split('+')[0], size: expect.any(Number) }] },
    });
    const ends = await processes.records(1, 'end');
    expect(ends.map((record) => (record as { cause?: string }).cause)).toEqual(Array(3).fill('operator.restored'));
  });

  it('is restored beside an existing ledger, which is continued', async () => {
    for (const name of readdirSync(scratch.folder).filter((file) => file.startsWith('state.db'))) await rm(at(name));
    const { code, err } = await run(commands[2] ?? '');
    expect([code, err]).toEqual([0, '']);
    const size = (await processes.records(1, 'token')).length;
    await processes.serve(1);
    const { token } = await processes.declare();
    expect(await call(token)).toBe('200');
    await until(() => processes.waiting() === 0);
    expect(await processes.records(1, 'token')).toHaveLength(size + 1);
    const fresh = verifierKey();
    await processes.end(1, 'SIGTERM');
    expect((await verify(at('ledger-1'), fresh)).code).toBe(0);
  });

  it('refuses to serve with a state file that was copied back by hand, until it is restored', async () => {
    await cp(at('state.db'), at('copy.db'));
    await processes.serve(1);
    const { taskId } = await processes.declare();
    await processes.complete(taskId);
    await processes.end(1, 'SIGTERM');
    await cp(at('copy.db'), at('state.db'));
    const refused = await ran(['serve', '--config', processes.config], processes.environment(1));
    expect([refused.code, refused.err]).toEqual([
      2,
      expect.stringMatching(
        /state\.db` is an earlier copy: it has written \d+ records, but the ledger .* has \d+ of them/,
      ),
    ]);
    await rm(at('state.db'));
    const { code, err } = await run(`remit restore --state-only ${at('copy.db')}`);
    expect([code, err]).toEqual([0, expect.anything()]);
    await processes.serve(1);
    expect(await call((await processes.declare()).token)).toBe('200');
  });
});

describe('deploy/guide/operate/upgrade.md', () => {
  it('names the first schema version that can be migrated', () => {
    const upgrade = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/operate/upgrade.md'), 'utf8');
    expect(upgrade).toContain('from the schema of the first release on (version 8)');
  });
});

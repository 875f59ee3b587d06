import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { backupCommand } from '../../../src/cli/state/backup.ts';
import { keyCommand } from '../../../src/cli/key.ts';
import { secrets } from '../../../src/cli/secrets.ts';
import { taskCommand } from '../../../src/cli/task/task.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';
import { watchTaskCounts } from '../../../src/serve/roles/task-counts.ts';
import type { PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import { formatFor } from '../../../src/core/telemetry/metrics/exposition.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { commandRun } from '../../builders/command-run.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { mustOpenState } from '../../postgres/opening.ts';
import { PostgresPlaces } from '../../postgres/places.ts';

const folder = testFolders();
const later = Date.now() + 3_600_000;

describeWith(postgresPart(), 'commands with `state: postgres://…`', (binaries) => {
  const places = new PostgresPlaces(binaries, folder());
  let state: PostgresState;
  let config: string;

  beforeAll(async () => {
    await places.start();
    const url = await places.next();
    state = await mustOpenState(url);
    config = join(folder(), 'remit.yaml');
    writeFileSync(
      config,
      `trustDomains: acme.test
svid: { workloadApi: unix:///run/spire/agent.sock }
issuer: { url: https://remit.acme.test, listen: 127.0.0.1:9472 }
state: ${url}
durability: single
authority: { listen: unix:/run/remit/authority.sock, sidecars: { id: spiffe://acme.test/tools, audiences: https://payments.acme.test } }
`,
    );
  });
  afterAll(async () => {
    await state?.close();
    await places.stop();
  });

  const run = async (command: typeof taskCommand, ...args: readonly string[]) => {
    const environment = { SUDO_USER: 'ada' };
    const { code: exit, out, err } = await commandRun(command.run, [...args, '--config', config], { environment });
    return { exit, said: (exit === 0 ? out : err).join('\n') };
  };

  it('`remit task` lists, shows, suspends, resumes and ends a task, and its parts with it', async () => {
    const first = taskNumber(1, { deadlineMs: later });
    const record = { kind: 'token', at: 1_001, task: first.id, agent: first.agent, jtiDigest: 'd' } as const;
    const token = encoded({
      ...record,
      delegate: null,
      audience: 'https://payments.acme.test',
      expires: 301_000,
      binding: 'x5t#S256',
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
    });
    must(await state.authority.insertTask(first, tokenNumber(1), [token]));
    expect(await run(taskCommand, 'list')).toEqual({
      exit: 0,
      said: `${first.id}  active     1970-01-01T00:00:00.001Z  ${first.agent}  pay the invoices of may`,
    });
    // No authority runs that could be asked.
    const unasked = ['--wait', 'committed'];
    const shown = await run(taskCommand, 'show', first.id, '--json');
    expect(JSON.parse(shown.said)).toMatchObject({ task: { state: 'active' }, records: [{ kind: 'token' }] });
    expect(await run(taskCommand, 'suspend', first.id, '--cause', 'look', ...unasked)).toMatchObject({ exit: 0 });
    expect(await state.authority.taskOf(first.issuer, first.id)).toMatchObject({ state: 'suspended' });
    expect(await run(taskCommand, 'resume', first.id, '--cause', 'fine', ...unasked)).toMatchObject({ exit: 0 });
    const end = await run(taskCommand, 'end', first.id, '--cause', 'agent is compromised', '--json', ...unasked);
    expect(JSON.parse(end.said)).toMatchObject({ state: 'revoked', cause: 'operator.revoked' });
    expect(await state.authority.taskOf(first.issuer, first.id)).toMatchObject({ state: 'revoked' });
    expect(await run(taskCommand, 'end', first.id, '--cause', 'x', '--as', 'completed')).toMatchObject({ exit: 1 });
    expect(await run(taskCommand, 'end', taskNumber(9).id, '--cause', 'x')).toMatchObject({ exit: 1 });
  });

  it('`remit secrets list` reads the database', async () => {
    const secret = {
      digest: 'hmac-sha-256:x',
      kind: 'jwt',
      place: 'header',
      agent: 'spiffe://acme.test/a',
      action: 'b',
    };
    must(await state.authority.writeSecrets([{ secret, times: 3 }]));
    expect(await run(secrets, 'list')).toMatchObject({ exit: 0, said: expect.stringContaining('hmac-sha-256:x') });
  });

  it('`remit backup` names the tools to use', async () => {
    expect(await run(backupCommand, join(folder(), 'backup'))).toMatchObject({
      exit: 2,
      said: expect.stringContaining('deploy/guide/operate/postgresql.md'),
    });
  });

  it('`remit key` lists and revokes keys, and says so if there is no key, or no authority that could use a key', async () => {
    const cause = ['--cause', 'its memory was read', '--by', 'Ada'];
    expect(await run(keyCommand, 'list')).toEqual({ exit: 0, said: 'no keys' });
    expect(await state.keys.publish({ keyId: 'kid-1', jwk: '{"kty":"EC"}', proof: null })).toBe('published');
    expect((await run(keyCommand, 'list')).said).toMatch(
      new RegExp(`^kid-1  ${state.replica}  published 20[^ ]+Z  last seen 20[^ ]+Z$`),
    );
    // No authority runs here.
    expect(await run(keyCommand, 'revoke', 'kid-1', ...cause)).toEqual({
      exit: 1,
      said: expect.stringContaining('kid-1 is revoked, but whether sidecars know it is unknown'),
    });
    expect((await run(keyCommand, 'list')).said).toMatch(/ {2}revoked 20[^ ]+Z$/);
    expect(await run(keyCommand, 'revoke', 'kid-1', ...cause, '--wait', 'committed')).toEqual({
      exit: 0,
      said: 'kid-1 is revoked',
    });
    expect(await run(keyCommand, 'revoke', 'kid-2', ...cause)).toEqual({
      exit: 1,
      said: 'remit key revoke: there is no key `kid-2`',
    });
    expect(await run(keyCommand, 'revoke')).toMatchObject({ exit: 2 });
    expect(await run(keyCommand, 'revoke', 'kid-1')).toEqual({
      exit: 2,
      said: expect.stringContaining('--cause is required'),
    });
    const waiting = must(await state.reader.outbox(0, 1_000)).map(({ bytes }) =>
      JSON.parse(Buffer.from(bytes).toString('utf8')),
    );
    expect(waiting.filter(({ event }) => event === 'key-revoked')).toEqual([
      expect.objectContaining({
        cause: 'operator.revoked',
        note: 'its memory was read',
        by: expect.stringMatching(/^operator Ada/),
        details: { kid: 'kid-1' },
      }),
    ]);
    expect(await run(keyCommand, 'revoke', 'kid-1', ...cause, '--wait', 'never')).toMatchObject({ exit: 2 });
    expect(await run(keyCommand, 'publish')).toMatchObject({ exit: 2 });
  });

  it('refuses another state in `--state` than a file', async () => {
    expect(await run(taskCommand, 'list', '--state', 'postgres://db/remit')).toMatchObject({
      exit: 2,
      said: expect.stringContaining('--config'),
    });
  });

  it('`remit_tasks` is exported, and absent if the database cannot be read', async () => {
    must(await state.authority.insertTask(taskNumber(2, { deadlineMs: later }), tokenNumber(2), []));
    const metrics = newMetrics();
    const read = (): string => metrics.scrape(formatFor(undefined)).body;
    await (
      await watchTaskCounts(state.reader, { after, metrics })
    )();
    expect(read()).toContain('remit_tasks{state="active"} 1');
    const broken = { taskCounts: async () => storeFailure('busy', 'no primary') };
    await (
      await watchTaskCounts(broken, { after, metrics })
    )();
    expect(read()).not.toContain('remit_tasks{state="active"}');
  });
});

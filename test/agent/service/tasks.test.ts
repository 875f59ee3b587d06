import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import {
  type Declared,
  FILES,
  PAYMENTS,
  seenAt,
  type ServiceDomain,
  type StartedHelper,
  startServiceDomain,
} from './service-domain.ts';

const folder = testFolders(() => domain.close());
let domain: ServiceDomain;
let helper: StartedHelper;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
  helper = await domain.helper();
});

const endedAs = async (url: string, method: 'DELETE' | 'POST' | 'GET'): Promise<readonly unknown[]> => {
  const answer = await fetch(url, { method });
  const { error = null, state } = (await answer.json()) as { readonly state?: string; readonly error?: string };
  return [answer.status, state ?? error];
};

const curl = async (...words: readonly string[]): Promise<unknown> =>
  JSON.parse((await promisify(execFile)('curl', ['-sS', ...words])).stdout);

// Issue 44, points 1 to 3.
describe('a helper of a service', () => {
  it('gives each request a task and a URL by one request to the issuer, and the call has the token of that task', async () => {
    const asked = domain.run.spans.length;
    const [one, two] = [await helper.declare(), await helper.declare()];
    expect([one.status, two.status]).toEqual([201, 201]);
    expect(domain.run.spans.length - asked).toBe(2);
    const seen = [await seenAt(`${one.forward['tools']}/v1/x?y=1`), await seenAt(`${two.forward['tools']}/v1`)];
    expect(seen.map(({ audience, task, url }) => [task, audience, url])).toEqual([
      [one.task, PAYMENTS, '/v1/x?y=1'],
      [two.task, PAYMENTS, '/v1'],
    ]);
    expect(Object.keys(one.forward)).toEqual(['tools']);
    expect(seen[0]?.connection).not.toBe(seen[1]?.connection);
    await Promise.all([one, two].map(({ end }) => fetch(end, { method: 'DELETE' })));
  });

  it('completes a task by DELETE, once, and its URL says so at once', async () => {
    const { end, forward, task } = await helper.declare();
    expect(await endedAs(end, 'GET')).toEqual([200, 'active']);
    expect(await endedAs(end, 'DELETE')).toEqual([200, 'completed']);
    expect(domain.run.stateOf(task)).toBe('completed');
    expect(await endedAs(end, 'DELETE')).toEqual([200, 'completed']);
    expect(await endedAs(`${end}/cancel`, 'POST')).toEqual([409, 'completed']);
    const call = await fetch(`${forward['tools']}/v1`);
    expect([call.status, await call.json()]).toMatchObject([403, { reason: 'task.completed', next: 'declare_again' }]);
  });

  it('cancels a task by POST', async () => {
    const { end, task } = await helper.declare();
    expect(await endedAs(`${end}/cancel`, 'POST')).toEqual([200, 'cancelled']);
    expect(domain.run.stateOf(task)).toBe('cancelled');
    expect(await endedAs(end, 'DELETE')).toEqual([409, 'cancelled']);
  });

  it('makes one unit of several resources: a URL for each, ended together', async () => {
    const { end, forward, tasks = {} } = await helper.declare({ intent: 'both.yaml' });
    const seen = [await seenAt(`${forward['tools']}/a`), await seenAt(`${forward['files']}/b`)];
    expect(seen.map(({ audience, task }) => [audience, task])).toEqual([
      [PAYMENTS, tasks[PAYMENTS]],
      [FILES, tasks[FILES]],
    ]);
    expect(await endedAs(end, 'DELETE')).toEqual([200, 'completed']);
    expect(Object.values(tasks).map((task) => domain.run.stateOf(task))).toEqual(['completed', 'completed']);
  });

  it('serves the same at Unix sockets, with the secret in the path', async () => {
    const socket = helper.variables['REMIT_TASKS_SOCKET'] ?? '';
    const at = ['--unix-socket', socket, 'http://localhost/tasks'];
    const made = (await curl('-d', '{"intent":"look.yaml"}', ...at)) as Declared;
    const { path = '', prefix = '' } = made.sockets['tools'] ?? {};
    const seen = await curl('--unix-socket', path, `http://localhost${prefix}/x`);
    expect(seen).toMatchObject({ task: made.task, url: '/x' });
    const none = await curl('--unix-socket', path, 'http://localhost/x');
    expect(none).toMatchObject({ reason: 'forward.path' });
    await fetch(made.end, { method: 'DELETE' });
  });

  it('tells how many tasks there are, and no secret of any in its lines', async () => {
    const { end, forward } = await helper.declare();
    const counts = await (await fetch(helper.variables['REMIT_TASKS'] ?? '')).json();
    expect(counts).toEqual({ open: 1, max: 100 });
    await fetch(end, { method: 'DELETE' });
    await until(
      async () => ((await (await fetch(helper.variables['REMIT_TASKS'] ?? '')).json()) as { open: number }).open === 0,
    );
    expect(helper.told.join()).not.toMatch(/remit_/);
    expect(forward['tools']).toMatch(/\/remit_[\w-]{43}$/);
  });
});

import { type AddressInfo, connect, createServer } from 'node:net';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { startIdp } from '../../authority/issuer/idp.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { comesTrue } from '../run/domain.ts';
import { seenAt, type ServiceDomain, type StartedHelper, startServiceDomain } from './service-domain.ts';

const folder = testFolders(() => domain.close());
const idp = startIdp();
let domain: ServiceDomain;
let helper: StartedHelper;
beforeAll(async () => {
  const { subjectIssuers, subjectKeys } = idp;
  domain = await startServiceDomain(folder(), { change: { subjectKeys, settings: { subjectIssuers } } });
  helper = await domain.helper();
});

// Issue 44, point 1.
describe('the user of a task', () => {
  it.each<readonly [string, () => Promise<string>, Record<string, string>, string]>([
    ['an access token', () => idp.accessToken(), {}, 'alice@acme.test'],
    ['a token with many groups', () => idp.accessToken({ roles: 'x'.repeat(8_000) }), {}, 'alice@acme.test'],
    ['an ID-JAG', () => idp.idJag(), {}, 'alice@acme.test'],
    ['a JWT-SVID', () => idp.jwtSvid(), {}, 'spiffe://acme.test/ns/agents/sa/reporter'],
    [
      'an access token by its own type',
      () => idp.accessToken(),
      { subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' },
      'alice@acme.test',
    ],
  ])('is that of %s, which is exchanged', async (_name, token, more, subject) => {
    const made = await helper.declare({ intent: 'look.yaml', subject_token: await token(), ...more });
    expect(made.status).toBe(201);
    expect((await seenAt(`${made.forward['tools']}/v1`)).subject).toBe(subject);
    expect(domain.run.task(made.task)?.subject).toBe(subject);
    await fetch(made.end, { method: 'DELETE' });
  });

  it('is the same in each resource of a unit; a forged token makes none, and leaves no task', async () => {
    const scope = 'payments.* files.*';
    const made = await helper.declare({ intent: 'both.yaml', subject_token: await idp.accessToken({ scope }) });
    const subjects = Object.values(made.tasks ?? {}).map((task) => domain.run.task(task)?.subject);
    expect(subjects).toEqual(['alice@acme.test', 'alice@acme.test']);
    await fetch(made.end, { method: 'DELETE' });
    const forged = await helper.declare({ intent: 'both.yaml', subject_token: await idp.forged({}) });
    expect([forged.status, forged.error, forged.next]).toEqual([400, 'invalid_request', 'change_arguments']);
    expect(JSON.stringify(forged)).not.toMatch(/eyJ/);
  });

  it('has at most so many tasks as one user may have, and takes nothing from another', async () => {
    const few = await domain.helper({ bounds: { maxTasks: 100, maxTasksPerUser: 2, idleSeconds: 60 } });
    const of = async (sub: string): Promise<ReturnType<typeof few.declare>> =>
      few.declare({ intent: 'look.yaml', subject_token: await idp.accessToken({ sub }) });
    const [first, , third] = [await of('alice'), await of('alice'), await of('alice')];
    expect([third.status, third.next, third.headers.get('retry-after')]).toEqual([503, 'retry_later', '1']);
    expect(third.message).toContain('this user');
    expect((await of('bob')).status).toBe(201);
    await fetch(first.end, { method: 'DELETE' });
    expect((await of('alice')).status).toBe(201);
    // A refused declaration gives its place back.
    const forged = await idp.forged({ sub: 'carol' });
    for (const _ of [1, 2, 3])
      expect((await few.declare({ intent: 'look.yaml', subject_token: forged })).status).toBe(400);
  });
});

describe('a request for a task', () => {
  it.each<readonly [string, object, number, RegExp]>([
    ['an unknown member', { intent: 'look.yaml', max_call: 3 }, 400, /unknown member `max_call`/],
    ['no intent', {}, 400, /`intent` must be a name or an intent/],
    ['an intent outside of the folder', { intent: '../intent.yaml' }, 400, /without its folder/],
    ['an unknown intent', { intent: 'none.yaml' }, 400, /there are both.yaml, bounded.yaml, look.yaml/],
    ['a longer life', { intent: 'bounded.yaml', expires_in: '10m' }, 400, /longer than the 120 s/],
    ['more calls', { intent: 'bounded.yaml', constraints: { max_calls: 6 } }, 400, /would widen `max_calls`/],
    ['no limit', { intent: 'bounded.yaml', constraints: { max_calls: null } }, 400, /max_calls/],
    ['an unknown limit', { intent: 'look.yaml', constraints: { most: 6 } }, 400, /unknown constraint `most`/],
    ['other access', { intent: 'look.yaml', access: [] }, 400, /unknown member `access`/],
    ['an intent of its own', { intent: { purpose: 'x', access: [] } }, 403, /must be the name/],
    ['a type without a token', { intent: 'look.yaml', subject_token_type: 'x' }, 400, /without a `subject_token`/],
    ['a control character', { intent: 'look.yaml', purpose: 'a\u0007b' }, 400, /purpose/],
  ])('with %s is refused in words', async (_name, request, status, message) => {
    const refused = await helper.declare({ ...request });
    expect([refused.status, refused.message]).toEqual([status, expect.stringMatching(message)]);
  });

  it('narrows its intent: purpose, limits and life', async () => {
    const made = await helper.declare({
      intent: 'bounded.yaml',
      purpose: 'order 4711',
      constraints: { max_calls: 2, single_use: true },
      expires_in: '30s',
    });
    const task = domain.run.task(made.task);
    expect(task?.purpose).toBe('look at few: order 4711');
    expect(JSON.parse(task?.detailsJson ?? '')).toMatchObject([{ constraints: { max_calls: 2, single_use: true } }]);
    expect((task?.deadlineMs ?? 0) - (task?.createdAtMs ?? 0)).toBeLessThanOrEqual(31_000);
    await fetch(made.end, { method: 'DELETE' });
  });

  it.each([
    ['short enough', 'x'.repeat(243), 'x'.repeat(243)],
    ['one character too long', 'x'.repeat(244), `${'x'.repeat(242)}…`],
    ['the URL of a request', `show /?q=${'y'.repeat(8_000)}`, `show /?q=${'y'.repeat(233)}…`],
    ['cut within a character', `${'x'.repeat(241)}😀😀`, `${'x'.repeat(241)}…`],
  ])('has the purpose of its intent, and as much of its own as fits: %s', async (_name, purpose, fitting) => {
    const made = await helper.declare({ intent: 'bounded.yaml', purpose });
    expect([made.status, domain.run.task(made.task)?.purpose]).toEqual([201, `look at few: ${fitting}`]);
    await fetch(made.end, { method: 'DELETE' });
  });

  it('may bring its own intent if the helper takes that', async () => {
    const taking = await domain.helper({ takesOwnIntents: true, templates: new Map() });
    const access = [{ resource: 'https://payments.acme.test', actions: ['payments.read'] }];
    expect((await taking.declare({ intent: { purpose: 'look', access } })).status).toBe(201);
    const other = [{ resource: 'https://other.acme.test', actions: ['payments.read'] }];
    const refused = await taking.declare({ intent: { purpose: 'look', access: other } });
    expect([refused.status, refused.message]).toEqual([400, expect.stringContaining('no --forward')]);
  });

  it('has at most 64 KiB', async () => {
    const refused = await helper.declare({ intent: 'look.yaml', purpose: 'x'.repeat(70_000) });
    expect(refused.status).toBe(413);
  });

  it('is answered 503 above the bound of tasks, and takes the place of one that has ended', async () => {
    const few = await domain.helper({ bounds: { maxTasks: 3, maxTasksPerUser: 3, idleSeconds: 60 } });
    const made = await Promise.all(Array.from({ length: 8 }, () => few.declare()));
    expect([201, 503].map((status) => made.filter((one) => one.status === status).length)).toEqual([3, 5]);
    const refused = made.find(({ status }) => status === 503);
    expect([refused?.headers.get('retry-after'), refused?.next]).toEqual(['1', 'retry_later']);
    await fetch(made.find(({ status }) => status === 201)?.end ?? '', { method: 'DELETE' });
    expect((await few.declare()).status).toBe(201);
  });
});

// Issue 44, point 3.
describe('an issuer that cannot be asked', () => {
  it('is a 503 with retry-after; calls of open tasks go on, and an end is asked for until it is answered', async () => {
    // A proxy that can be taken away.
    let isThere = true;
    const { hostname, port } = new URL(domain.run.place.url);
    const proxy = createServer((socket) => {
      socket.on('error', () => undefined);
      if (!isThere) return void socket.destroy();
      const other = connect(Number(port), hostname === 'localhost' ? '127.0.0.1' : hostname);
      other.on('error', () => socket.destroy());
      socket.pipe(other).pipe(socket);
      return undefined;
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port: at } = proxy.address() as AddressInfo;
    const behind = await domain.helper({ issuer: { ...domain.run.place, url: `https://localhost:${at}` } });
    const made = await behind.declare();
    isThere = false;
    // A kept connection serves until it is closed.
    await until(async () => {
      const refused = await behind.declare();
      if (refused.status === 201) return false;
      expect([refused.status, refused.error, refused.next]).toEqual([503, 'temporarily_unavailable', 'retry_later']);
      expect(refused.headers.get('retry-after')).toBe('1');
      return true;
    });
    expect((await seenAt(`${made.forward['tools']}/v1`)).task).toBe(made.task);
    const end = await fetch(made.end, { method: 'DELETE' });
    expect([end.status, await end.json()]).toEqual([202, { task: made.task, state: 'ending' }]);
    expect((await fetch(`${made.forward['tools']}/v1`)).status).toBe(403);
    expect(domain.run.stateOf(made.task)).toBe('active');
    isThere = true;
    expect(await comesTrue(() => domain.run.stateOf(made.task) === 'completed')).toBe(true);
    proxy.close();
  });
});

// Issue 44, point 3.
describe('a rotation of the SVID', () => {
  it('ends no task: each goes on, and its token is bound to the new certificate', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => helper.declare()));
    for (const { forward, task } of made) expect((await seenAt(`${forward['tools']}/v1`)).task).toBe(task);
    await domain.run.rotate();
    for (const _ of [1, 2, 3]) {
      const seen = await Promise.all(made.map(({ forward }) => seenAt(`${forward['tools']}/v1`)));
      expect(seen.map(({ status, task }) => [status, task])).toEqual(made.map(({ task }) => [200, task]));
    }
    const next = await helper.declare();
    expect((await seenAt(`${next.forward['tools']}/v1`)).task).toBe(next.task);
    await Promise.all([...made, next].map(({ end }) => fetch(end, { method: 'DELETE' })));
  });
});

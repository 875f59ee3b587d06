import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2, type Http2Session } from 'node:http2';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { comesTrue, startCommand, type Started } from '../run/domain.ts';
import { declaredAt, seenAt, type ServiceDomain, startServiceDomain } from './service-domain.ts';

const folder = testFolders(() => domain.close());
let domain: ServiceDomain;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
});

const isCancelled = (task: string): Promise<boolean> => comesTrue(() => domain.run.stateOf(task) === 'cancelled');

/** `remit agent` as a process of its own. */
const agentProcess = (
  words: readonly string[],
  command: readonly string[] = [],
  as: readonly string[] = ['agent'],
): Started =>
  startCommand([
    ...as,
    '--intents',
    domain.intents,
    '--forward',
    `tools=https://payments.acme.test,connect=127.0.0.1:${domain.upstreamPort}`,
    '--forward',
    `files=https://files.acme.test,connect=127.0.0.1:${domain.upstreamPort}`,
    ...domain.run.options,
    ...words,
    ...(command.length === 0 ? [] : ['--', ...command]),
  ]);

/** The URL of its API, once it is ready. */
async function urlIn(at: string, running: Started): Promise<string> {
  await until(() => running.err().includes('ready') || running.process.exitCode !== null);
  expect(running.err()).toContain('ready');
  return /^REMIT_TASKS=(.*)$/m.exec(readFileSync(join(at, 'environment'), 'utf8'))?.[1] ?? '';
}

// Issue 44, point 3.
describe('the life of a task of a service', () => {
  it('ends by idle time, but not while a call is under way', async () => {
    const helper = await domain.helper();
    const open: (() => void)[] = [];
    domain.answer((_request, response) => void open.push(() => response.end('{}')));
    const [idle, busy] = [
      await helper.declare({ intent: 'look.yaml', idle: '1s' }),
      await helper.declare({ intent: 'look.yaml', idle: '1s' }),
    ];
    const call = fetch(`${busy.forward['tools']}/slow`);
    await until(() => open.length === 1);
    expect(await isCancelled(idle.task)).toBe(true);
    expect(domain.run.stateOf(busy.task)).toBe('active');
    domain.answer(null);
    for (const end of open) end();
    expect((await call).status).toBe(200);
    expect(await isCancelled(busy.task)).toBe(true);
    const late = await fetch(`${idle.forward['tools']}/x`);
    expect([late.status, await late.json()]).toMatchObject([403, { reason: 'task.cancelled' }]);
  });

  it('keeps no connection to an upstream while it is not called, over HTTP/2 either', async () => {
    const { forward, task } = await (await domain.helper()).declare();
    const { origin, pathname } = new URL(forward['tools'] ?? '');
    const session = connectHttp2(origin);
    const called = async (): Promise<Http2Session> => {
      const opened = once(domain.upstream, 'session') as Promise<[Http2Session]>;
      const stream = session.request({ ':path': `${pathname}/x` }).setEncoding('utf8');
      let text = '';
      for await (const chunk of stream as AsyncIterable<string>) text += chunk;
      expect(JSON.parse(text)).toMatchObject({ task });
      return (await opened)[0];
    };
    const first = await called();
    await until(() => first.destroyed);
    expect(domain.run.stateOf(task)).toBe('active');
    await called();
    session.destroy();
  });

  it('ends at its deadline', async () => {
    const helper = await domain.helper();
    const { task } = await helper.declare({ intent: 'look.yaml', expires_in: '2s' });
    expect(await comesTrue(() => ['cancelled', 'expired'].includes(domain.run.stateOf(task)))).toBe(true);
    await until(
      async () => ((await (await fetch(helper.variables['REMIT_TASKS'] ?? '')).json()) as { open: number }).open === 0,
    );
  });

  it('with `hold` is the connection of the request', async () => {
    const helper = await domain.helper();
    const stop = new AbortController();
    const held = await fetch(helper.variables['REMIT_TASKS'] ?? '', {
      method: 'POST',
      body: JSON.stringify({ intent: 'look.yaml', hold: true, idle: '1s' }),
      signal: stop.signal,
    });
    const first = await held.body?.getReader().read();
    const made = JSON.parse(Buffer.from(first?.value ?? []).toString()) as {
      readonly task: string;
      readonly forward: Readonly<Record<string, string>>;
    };
    expect([held.status, (await seenAt(`${made.forward['tools']}/x`)).task]).toEqual([201, made.task]);
    // It has no idle time: the connection is its life.
    const other = await helper.declare({ intent: 'look.yaml', idle: '1s' });
    expect(await isCancelled(other.task)).toBe(true);
    expect(domain.run.stateOf(made.task)).toBe('active');
    stop.abort();
    expect(await isCancelled(made.task)).toBe(true);
  });

  it('does not begin if the request is gone before its answer', async () => {
    const helper = await domain.helper();
    const before = domain.run.spans.length;
    const { port, pathname } = new URL(helper.variables['REMIT_TASKS'] ?? '');
    const asked = httpRequest({ host: '127.0.0.1', port, path: pathname, method: 'POST' });
    asked.on('error', () => undefined).end('{"intent":"look.yaml"}');
    await new Promise((resolve) => asked.once('finish', resolve));
    asked.destroy();
    // Declared or not, nobody has its URL, and it does not stay open.
    await helper.declare({ intent: 'look.yaml' });
    await until(() => domain.run.spans.length > before);
    await until(
      async () => ((await (await fetch(helper.variables['REMIT_TASKS'] ?? '')).json()) as { open: number }).open === 1,
    );
  });

  it('ends with the helper: all are cancelled, and its folder is private', async () => {
    const helper = await domain.helper();
    const made = await Promise.all(Array.from({ length: 20 }, () => helper.declare()));
    expect(statSync(helper.folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(helper.folder, 'environment')).mode & 0o777).toBe(0o600);
    await helper.close();
    expect(made.map(({ task }) => domain.run.stateOf(task))).toEqual(made.map(() => 'cancelled'));
    expect(existsSync(helper.folder)).toBe(false);
  });

  it('ends if the helper is killed, by its watcher', async () => {
    const at = join(folder(), 'killed');
    const running = agentProcess(['--folder', at]);
    const { task } = await declaredAt(await urlIn(at, running));
    running.process.kill('SIGKILL');
    expect(await isCancelled(task)).toBe(true);
  });

  it('ends if helper and watcher are killed, by a restart, which keeps the URL of the API', async () => {
    const at = join(folder(), 'restarted');
    mkdirSync(at, { mode: 0o700 });
    const first = agentProcess(['--folder', at]);
    const url = await urlIn(at, first);
    const { task } = await declaredAt(url, { intent: 'both.yaml' });
    const children = readFileSync(`/proc/${first.process.pid}/task/${first.process.pid}/children`, 'utf8').trim();
    for (const child of children.split(' ').filter(Boolean)) process.kill(Number(child), 'SIGKILL');
    first.process.kill('SIGKILL');
    await first.ended;
    expect(domain.run.stateOf(task)).toBe('active');
    const second = agentProcess(['--folder', at]);
    expect(await urlIn(at, second)).toBe(url);
    expect(await isCancelled(task)).toBe(true);
    expect(second.err()).toContain('ends 2 tasks that an earlier process has left');
    // A second helper of this folder would cancel the tasks of the first.
    const third = await agentProcess(['--folder', at]).ended;
    expect([third.code, third.err]).toEqual([1, expect.stringContaining('address in use')]);
    const next = await declaredAt(url);
    second.process.kill('SIGTERM');
    expect((await second.ended).code).toBe(0);
    expect(domain.run.stateOf(next.task)).toBe('cancelled');
    expect(readdirSync(at).filter((name) => name.endsWith('.journal'))).toEqual([]);
  });

  it.each([false, true])(
    'has a new secret after its port was taken, since another user may have been sent the secret (with --port: %s)',
    async (isFixed) => {
      const at = join(folder(), `stolen-${isFixed}`);
      const first = await domain.helper({ folder: at });
      const url = new URL(first.variables['REMIT_TASKS'] ?? '');
      await first.close();
      const thief = createServer().listen(Number(url.port), '127.0.0.1');
      await once(thief, 'listening');
      const port = isFixed ? Number(url.port) : null;
      const failed = isFixed ? await domain.helper({ folder: at, port }).then(() => '', String) : '';
      if (isFixed) await once(thief.close(), 'close');
      const next = new URL((await domain.helper({ folder: at, port })).variables['REMIT_TASKS'] ?? '');
      thief.close();
      expect([failed.includes('EADDRINUSE'), next.port === url.port, next.pathname === url.pathname]).toEqual([
        isFixed,
        isFixed,
        false,
      ]);
      const body = '{"intent":"look.yaml"}';
      expect((await fetch(new URL(url.pathname, next), { method: 'POST', body })).status).toBe(404);
      expect((await fetch(next, { method: 'POST', body })).status).toBe(201);
    },
  );

  it.each(['agent', 'run --tasks'])('of `remit %s` ends with its command, whose exit code it has', async (as) => {
    const script = `
import json, os, urllib.request
made = json.load(urllib.request.urlopen(urllib.request.Request(os.environ['REMIT_TASKS'], b'{"intent": "look.yaml"}')))
print(json.load(urllib.request.urlopen(made['forward']['tools'] + '/x'))['task'] == made['task'], made['task'])
exit(3)
`;
    const ended = await agentProcess([], ['python3', '-c', script], as.split(' ')).ended;
    const [, same, task = ''] = /^(\w+) (\S+)$/m.exec(ended.out) ?? [];
    expect([ended.code, same, domain.run.stateOf(task)]).toEqual([3, 'True', 'cancelled']);
    expect(ended.err).not.toMatch(/remit_/);
  });
});

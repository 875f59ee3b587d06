import { connect, type ClientHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mapSeveral } from '../../../src/core/runtime/collections/map-several.ts';
import { scratch } from '../../builders/scratch.ts';
import { until } from '../../until.ts';
import { type Declared, type SeenCall, seenAt, type ServiceDomain, startServiceDomain } from './service-domain.ts';

const { folder, remove } = scratch();
/** Three times as many as keep connections between two calls. */
const TASKS = 192;
const AT_ONCE = 8;
/** 64, those of calls under way, and those that are being closed. */
const MOST_OPEN = 88;
const CALLS_EACH = 2;
let domain: ServiceDomain;
let made: readonly Declared[];
const open = new Set<Socket>();
let mostOpen = 0;
beforeAll(async () => {
  const limits = { requestsPerSecondPerClient: 10_000, withdrawalsPerSecondPerClient: 10_000 };
  domain = await startServiceDomain(folder(), { change: { limits } });
  domain.upstream.on('secureConnection', (socket: Socket) => {
    open.add(socket);
    mostOpen = Math.max(mostOpen, open.size);
    socket.once('close', () => open.delete(socket));
  });
  const bounds = { maxTasks: TASKS, maxTasksPerUser: TASKS, idleSeconds: 600 };
  const helper = await domain.helper({ bounds });
  made = await mapSeveral(Array.from({ length: TASKS }), AT_ONCE, () => helper.declare());
});
afterAll(async () => {
  await domain.close();
  remove();
});

const posted = (task: Declared): Promise<SeenCall & { readonly status: number }> =>
  seenAt(`${task.forward['tools']}/v1`, { method: 'POST', body: 'once' });

/** A call of HTTP/2: what its upstream saw, or what refused it, and its status. */
function streamed({ forward }: Declared, session: ClientHttp2Session): Promise<SeenCall & { readonly status: number }> {
  const path = `${new URL(forward['tools'] ?? '').pathname}/v1`;
  const stream = session.request({ ':path': path, ':method': 'POST' }).setEncoding('utf8');
  let [text, status] = ['', 0];
  return new Promise((resolve, reject) => {
    stream
      .on('response', (headers) => (status = headers[':status'] ?? 0))
      .on('data', (chunk: string) => (text += chunk))
      .on('error', reject)
      .on('end', () => resolve({ ...(JSON.parse(text) as SeenCall), status }))
      .end('once');
  });
}

// Issue 44, point 3.
describe('connections between two calls', () => {
  it('are kept for the units that were called last', async () => {
    const seen = await mapSeveral([...made], AT_ONCE, posted);
    expect(mostOpen).toBeLessThanOrEqual(MOST_OPEN);
    const [first, last] = [made[0], made.at(-1)];
    if (first === undefined || last === undefined) throw new Error('there are tasks');
    expect((await posted(first)).connection).not.toBe(seen[0]?.connection);
    await until(async () => (await posted(last)).connection === (await posted(last)).connection);
  });

  it('are not closed during a call: each of many is answered, over HTTP/1.1 and HTTP/2, though none is sent twice', async () => {
    const session = connect(new URL(made[0]?.forward['tools'] ?? '').origin);
    const calls = Array.from({ length: TASKS * CALLS_EACH }, (_, at) => at);
    const answers = await mapSeveral(calls, TASKS / 4, async (at) => {
      const task = made[(at * 7) % TASKS];
      if (task === undefined) throw new Error('there is a task for each call');
      const seen = at % 2 === 0 ? await posted(task) : await streamed(task, session);
      return seen.status === 200 && seen.task === task.task ? 'answered' : JSON.stringify(seen);
    });
    session.destroy();
    expect(answers.filter((answer) => answer !== 'answered')).toEqual([]);
  });
});

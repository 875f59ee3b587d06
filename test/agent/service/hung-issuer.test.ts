import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { comesTrue } from '../run/domain.ts';
import { type ServiceDomain, type StartedHelper, startServiceDomain } from './service-domain.ts';

const folder = testFolders(async () => {
  await domain.close();
  for (const proxy of proxies) proxy.close();
});
let domain: ServiceDomain;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
});
const proxies: Server[] = [];

/** New tasks and ends that a helper asks for at once. */
const [NEW_AT_ONCE, ENDS_AT_ONCE] = [12, 8];

/** An issuer that can hang: it takes connections, and answers nothing. */
interface HangingIssuer {
  readonly helper: StartedHelper;
  /** Ends the connections that there are; those after it are held. */
  readonly hang: () => void;
  /** Holds what the issuer says from now on over the connections that there are. */
  readonly mute: () => void;
  /** Serves what is held. */
  readonly goOn: () => void;
  /** Connections that came while it hung. */
  readonly held: () => number;
}

async function hangingIssuer(): Promise<HangingIssuer> {
  const { hostname, port } = new URL(domain.run.place.url);
  const passing = new Map<Socket, Socket>();
  const held = new Set<Socket>();
  let isHung = false;
  let count = 0;
  const pass = (socket: Socket): void => {
    const other = connect(Number(port), hostname === 'localhost' ? '127.0.0.1' : hostname);
    other.on('error', () => socket.destroy());
    passing.set(socket, other);
    socket.once('close', () => {
      passing.delete(socket);
      other.destroy();
    });
    socket.pipe(other).pipe(socket);
  };
  const proxy = createServer((socket) => {
    socket.on('error', () => undefined);
    if (!isHung) return pass(socket);
    count += 1;
    return void held.add(socket);
  });
  proxies.push(proxy);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port: at } = proxy.address() as AddressInfo;
  return {
    helper: await domain.helper({ issuer: { ...domain.run.place, url: `https://localhost:${at}` } }),
    hang: () => {
      isHung = true;
      for (const socket of passing.keys()) socket.destroy();
    },
    mute: () => {
      for (const [socket, other] of passing) other.unpipe(socket).pause();
    },
    goOn: () => {
      isHung = false;
      for (const [socket, other] of passing) other.pipe(socket);
      for (const socket of held) pass(socket);
      held.clear();
    },
    held: () => count,
  };
}

const end = async (url: string): Promise<number> => (await fetch(url, { method: 'DELETE' })).status;
const tasks = (): readonly string[] => must(domain.run.store.tasks({ limit: 1_000 })).map(({ id }) => id);

describe('an issuer that hangs', () => {
  it('does not hold an end: it is answered 202 before its turn has come, and ended later', async () => {
    const { goOn, hang, held, helper } = await hangingIssuer();
    const made = await Promise.all(Array.from({ length: ENDS_AT_ONCE + 1 }, () => helper.declare()));
    hang();
    const [last, ...before] = made.map((one) => one.end);
    const ends = before.map(end);
    await until(() => held() === ENDS_AT_ONCE);
    expect([await end(last ?? ''), held()]).toEqual([202, ENDS_AT_ONCE]);
    expect(await Promise.all(ends)).toEqual(ends.map(() => 202));
    goOn();
    expect(await comesTrue(() => made.every(({ task }) => domain.run.stateOf(task) === 'completed'))).toBe(true);
  });

  it('refuses new tasks that have waited for their turn, instead of asking for them later', async () => {
    const { goOn, hang, held, helper } = await hangingIssuer();
    hang();
    const made = await Promise.all(Array.from({ length: 3 * NEW_AT_ONCE }, () => helper.declare()));
    expect(made.map(({ error, next, status }) => [status, error, next])).toEqual(
      made.map(() => [503, 'temporarily_unavailable', 'retry_later']),
    );
    expect(held()).toBeLessThan(2 * NEW_AT_ONCE);
    goOn();
    expect((await helper.declare()).status).toBe(201);
  });

  it('is not asked for a task whose client has gone meanwhile', async () => {
    const { goOn, hang, held, helper } = await hangingIssuer();
    const before = tasks().length;
    hang();
    const waiting = Array.from({ length: NEW_AT_ONCE }, () => helper.declare());
    await until(() => held() === NEW_AT_ONCE);
    const { port, pathname } = new URL(helper.variables['REMIT_TASKS'] ?? '');
    const gone = httpRequest({ host: '127.0.0.1', port, path: pathname, method: 'POST' });
    gone.on('error', () => undefined).end('{"intent":"look.yaml"}');
    await once(gone, 'finish');
    // Its turn is after theirs.
    const open = (): Promise<Response> => fetch(helper.variables['REMIT_TASKS'] ?? '');
    await open();
    gone.destroy();
    await open();
    goOn();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(waiting.map(() => 201));
    expect((await helper.declare()).status).toBe(201);
    expect(tasks().length - before).toBe(NEW_AT_ONCE + 1);
  });

  it('is waited for at the end of the helper: a task that it has made meanwhile is cancelled', async () => {
    const { goOn, helper, mute } = await hangingIssuer();
    const before = new Set(tasks());
    const made = (): readonly string[] => tasks().filter((id) => !before.has(id));
    await fetch((await helper.declare()).end, { method: 'DELETE' });
    mute();
    const asked = helper.declare().catch(() => null);
    await until(() => made().length === 2);
    let isClosed = false;
    const closing = helper.close().finally(() => (isClosed = true));
    await comesTrue(() => isClosed, 1_000);
    goOn();
    await Promise.all([asked, closing]);
    expect(made().map(domain.run.stateOf).toSorted()).toEqual(['cancelled', 'completed']);
  });
});

import { afterEach, describe, expect, it } from '@jest/globals';
import { AuthorizationServer, type ServerOptions } from '../../src/envoy/server.ts';
import { systemPorts } from '../../src/ports.ts';
import { type RawClient, reset } from '../http2/raw-client.ts';
import { oneByOne, type OneHandler } from './handlers.ts';
import { FIRST_STREAM, rawChecks, wholeCheck } from './raw-checks.ts';
import { refuse } from './wire.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const serving = async (handler: OneHandler, over: Partial<ServerOptions> = {}) => {
  const server = new AuthorizationServer(oneByOne(handler), { ...systemPorts, refuse, ...over });
  closing.push(() => server.close({ noticeMs: 0, graceMs: 50 }));
  const bound = await server.listen(['127.0.0.1:0']);
  if ('problem' in bound) throw new Error(bound.problem);
  const client = async () => {
    const opened = await rawChecks(bound[0] ?? '');
    closing.push(() => opened.close());
    return opened;
  };
  return { server, client };
};

const done: OneHandler = () => Buffer.from('done');

/** Of this thread alone: it does not grow with the load of the machine. */
const processorMs = () => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

describe('AuthorizationServer and a flood', () => {
  it('of 90,000 checks that are reset at once has no turn that is long', async () => {
    const turn = { beganMs: 0, longestMs: 0 };
    const { server, client } = await serving(done, {
      turn: {
        begins: () => (turn.beganMs = processorMs()),
        over: () => (turn.longestMs = Math.max(turn.longestMs, processorMs() - turn.beganMs)),
      },
    });
    const clients = await Promise.all(Array.from({ length: 6 }, client));
    const count = 15_000;
    const flood = Array.from({ length: count }, (_, n) => {
      const stream = FIRST_STREAM + 2 * n;
      return Buffer.concat([wholeCheck(stream, Buffer.from('a')), reset(stream)]);
    });
    const last = FIRST_STREAM + 2 * count;
    await Promise.all(clients.map((one) => one.send(...flood, wholeCheck(last, Buffer.from('last')))));
    const isAnswered = (one: RawClient) => one.content(last).includes('done');
    for (const one of clients) await one.until(isAnswered);
    expect(server.inFlight).toBe(0);
    expect(turn.longestMs).toBeLessThan(25);
  });
});

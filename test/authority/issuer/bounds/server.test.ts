import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { defaultLimits } from '../default-limits.ts';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { type Bench, type BenchChange, startBench } from '../bench.ts';
import { flood, idle, tokenRequest } from './clients.ts';

/** Issue 14, point 7: a client of the issuer cannot starve others. */
const folder = testFolders(async () => {
  for (const socket of sockets) socket.destroy();
  for (const one of benches) await one.close();
});
const benches: Bench[] = [];
const sockets: Socket[] = [];
const start = async (limits: BenchChange['limits'] = {}): Promise<Bench> => {
  const bench = await startBench(folder(), { limits: { ...defaultLimits(), ...limits } });
  benches.push(bench);
  return bench;
};
let bench: Bench;
beforeAll(async () => {
  bench = await start();
});

const open = async (at: Bench, as: IssuedCertificate): Promise<TLSSocket> => {
  const socket = await idle(at, as);
  sockets.push(socket);
  return socket;
};
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((settle) => setTimeout(settle, 5));
};

describe('connections', () => {
  it('accepts another agent while one opens more idle connections than the limit', async () => {
    const held: TLSSocket[] = [];
    const statuses: number[] = [];
    for (let opened = 0; opened < 1_100; opened += 50) {
      held.push(...(await Promise.all(Array.from({ length: 50 }, () => open(bench, bench.planner)))));
      // It reconnects as fast as its connections are cut.
      if (opened % 500 === 0) statuses.push((await bench.token({}, bench.reporter)).status);
    }
    statuses.push((await bench.token({}, bench.reporter)).status);
    expect(statuses).toEqual([200, 200, 200, 200]);
    await until(() => held.filter((socket) => !socket.destroyed).length <= bench.limits.connectionsPerClient);
    expect(bench.refused).toContainEqual(['client-connections', 'spiffe://acme.test/ns/agents/sa/planner']);
  });

  it('cuts a connection of the client with the most idle connections at the total limit', async () => {
    const full = await start({ connections: 16, connectionsPerClient: 16 });
    const planner = await Promise.all(Array.from({ length: 15 }, () => open(full, full.planner)));
    const reporter = await open(full, full.reporter);
    expect((await full.token({}, full.reporter)).status).toBe(200);
    expect(planner.some((socket) => socket.destroyed)).toBe(true);
    expect(reporter.destroyed).toBe(false);
    expect(full.refused).toEqual([['connections', 'spiffe://acme.test/ns/agents/sa/planner']]);
  });

  it('cuts the oldest unfinished handshake of an address', async () => {
    const few = await start({ handshakesPerAddress: 4 });
    const silent = Array.from({ length: 20 }, () => connectTcp(few.port, '127.0.0.1'));
    sockets.push(...silent);
    for (const socket of silent) socket.on('error', () => undefined).resume();
    await until(() => few.refused.length >= 16);
    expect((await few.token()).status).toBe(200);
    expect(new Set(few.refused.map(([bound, client]) => `${bound} ${client}`))).toEqual(
      new Set(['handshakes 127.0.0.1']),
    );
  });

  it('cuts a connection with too many pipelined requests', async () => {
    const socket = await open(bench, bench.reporter);
    socket.write(tokenRequest.repeat(20));
    await once(socket, 'close');
    expect(bench.refused.filter(([bound]) => bound === 'pipeline')).toHaveLength(1);
  });
});

describe('requests', () => {
  it('answers 429 with `retry-after` above the rate of a client, and still serves another client', async () => {
    const slow = await start({ requestsPerSecondPerClient: 1 });
    expect((await slow.token()).status).toBe(200);
    const answers = await Promise.all([slow.token(), slow.token(), slow.token({}, slow.reporter)]);
    expect(answers.map(({ status }) => status)).toEqual([429, 429, 200]);
    expect([answers[0]?.headers['retry-after'], answers[0]?.json]).toEqual([
      '1',
      { error: 'slow_down', error_description: 'this client sends too many requests' },
    ]);
    expect(slow.refused).toEqual([
      ['client-rate', 'spiffe://acme.test/ns/agents/sa/planner'],
      ['client-rate', 'spiffe://acme.test/ns/agents/sa/planner'],
    ]);
  });

  it('serves another agent, and withdrawals of the same agent, during a flood', async () => {
    const { json } = await bench.token();
    const flooding = flood(bench, bench.planner, bench.limits.connectionsPerClient);
    await until(() => (flooding.answers.get(429) ?? 0) > 0);
    for (let asked = 0; asked < 3; asked += 1) expect((await bench.token({}, bench.reporter)).status).toBe(200);
    const end = await bench.form(`/tasks/${String(json['txn'])}/complete`, {});
    expect([end.status, end.json['state']]).toEqual([200, 'completed']);
    const answers = await flooding.stop();
    expect([...answers.keys()].filter((status) => status !== 200)).toEqual([429]);
  });

  it('serves withdrawals if the client has used up its limits', async () => {
    const slow = await start({ requestsPerSecondPerClient: 1, withdrawalsPerSecondPerClient: 1 });
    const { json } = await slow.token();
    expect((await slow.token()).status).toBe(429);
    expect((await slow.form(`/tasks/${String(json['txn'])}/complete`, {})).status).toBe(200);
    expect((await slow.form(`/tasks/${String(json['txn'])}/complete`, {})).status).toBe(429);
  });
});

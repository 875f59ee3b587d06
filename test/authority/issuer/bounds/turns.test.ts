import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { CheckQueue } from '../../../../src/sidecar/envoy/check/check-queue.ts';
import { Turns } from '../../../../src/authority/issuer/bounds/turns.ts';
import type { Lane } from '../../../../src/authority/issuer/bounds/turns.ts';
import { QueueNode } from '../../../../src/core/runtime/collections/linked-queue.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { scratch } from '../../../builders/scratch.ts';
import { startBench } from '../bench.ts';
import { idle, longTokenRequest } from './clients.ts';

/** Runs the event loop until it is idle. */
const settle = async (): Promise<void> => {
  for (let round = 0; round < 200; round += 1) await new Promise((next) => setImmediate(next));
};

/** A scheduler with a fake clock and timer, and a log of its turns. Its event loop is idle only while `pass` says so. */
function held({ areChecksComing }: { readonly areChecksComing: boolean }) {
  const clock = { nowMs: 0, idleMs: 0, othersMs: 0 };
  const timers: { readonly atMs: number; readonly run: () => void }[] = [];
  const done: string[] = [];
  const turns = new Turns({
    monotonicMs: () => clock.nowMs,
    after: (delayMs, run) => {
      const timer = { atMs: clock.nowMs + delayMs, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
    areChecksComing: () => areChecksComing,
    idleMs: () => clock.idleMs,
    workMs: () => clock.nowMs - clock.othersMs,
  });
  /** Work of this many milliseconds. */
  const work = (lane: Lane, client: string, tookMs = 0, isGone = false): void =>
    void wait(lane, client, { tookMs, isGone });
  const wait = async (
    lane: Lane,
    client: string,
    { tookMs, isGone }: { readonly tookMs: number; readonly isGone: boolean },
  ): Promise<void> => {
    const outcome = await turns.wait(lane, client, () => isGone);
    clock.nowMs += tookMs;
    done.push(`${lane} ${client} ${outcome}`);
  };
  const pass = async (ms: number, { idleMs = 0 } = {}): Promise<void> => {
    clock.nowMs += ms;
    clock.idleMs += idleMs;
    for (const timer of timers.filter(({ atMs }) => atMs <= clock.nowMs)) {
      timers.splice(timers.indexOf(timer), 1);
      timer.run();
    }
    await settle();
  };
  /** A request with this many pieces of work, each in a turn. */
  const workOn = async (client: string, pieces: number, tookMs: number): Promise<void> => {
    await wait('ordinary', client, { tookMs, isGone: false });
    for (let piece = 1; piece < pieces; piece += 1) {
      await turns.next('ordinary', client);
      clock.nowMs += tookMs;
      done.push(`ordinary ${client} next`);
    }
  };
  /** Work during which the processor is left to another program for so long. */
  const interruptedWork = async (client: string, tookMs: number, othersMs: number): Promise<void> => {
    await turns.wait('ordinary', client, () => false);
    clock.nowMs += tookMs + othersMs;
    clock.othersMs += othersMs;
    done.push(`ordinary ${client} interrupted`);
  };
  return { done, work, workOn, interruptedWork, pass };
}

describe('Turns', () => {
  it('serves withdrawals before handshakes before ordinary requests, round robin over clients', async () => {
    const { done, work } = held({ areChecksComing: false });
    for (let asked = 0; asked < 3; asked += 1) work('ordinary', 'loud');
    work('ordinary', 'quiet');
    work('handshake', '192.0.2.1');
    work('withdrawal', 'loud');
    await settle();
    expect(done).toEqual([
      'withdrawal loud turn',
      'handshake 192.0.2.1 turn',
      'ordinary loud turn',
      'ordinary quiet turn',
      'ordinary loud turn',
      'ordinary loud turn',
    ]);
  });

  it('limits each lane to a tenth of the time while checks arrive', async () => {
    const { done, work, pass } = held({ areChecksComing: true });
    for (let asked = 0; asked < 3; asked += 1) work('ordinary', 'loud', 10);
    await settle();
    expect(done).toEqual(['ordinary loud turn']);
    await pass(50);
    work('withdrawal', 'loud', 1);
    await settle();
    expect(done).toEqual(['ordinary loud turn', 'withdrawal loud turn']);
    await pass(38);
    expect(done).toHaveLength(2);
    await pass(2);
    expect(done).toEqual(['ordinary loud turn', 'withdrawal loud turn', 'ordinary loud turn']);
  });

  it('needs no pause after as much idle time as its last work took', async () => {
    const { done, work, pass } = held({ areChecksComing: true });
    for (let asked = 0; asked < 3; asked += 1) work('ordinary', 'loud', 10);
    await settle();
    await pass(10, { idleMs: 9 });
    expect(done).toHaveLength(1);
    await pass(1, { idleMs: 1 });
    expect(done).toHaveLength(2);
    await pass(40, { idleMs: 5 });
    expect(done).toHaveLength(2);
    await pass(50, { idleMs: 0 });
    expect(done).toHaveLength(3);
  });

  it('keeps idle time for a burst of 20 ms of work, shared by all lanes', async () => {
    const { done, work, pass } = held({ areChecksComing: true });
    work('ordinary', 'loud');
    await settle();
    await pass(1_000, { idleMs: 900 });
    for (let asked = 0; asked < 10; asked += 1) work('ordinary', 'loud', 5);
    await settle();
    // Four take what was kept; a fifth begins with nothing owed.
    expect(done).toHaveLength(1 + 5);
    work('withdrawal', 'loud', 5);
    await settle();
    work('withdrawal', 'loud', 5);
    await settle();
    expect(done.slice(6)).toEqual(['withdrawal loud turn']);
  });

  it('does not pause while no checks arrive', async () => {
    const { done, work } = held({ areChecksComing: false });
    for (let asked = 0; asked < 3; asked += 1) work('ordinary', 'loud', 10);
    await settle();
    expect(done).toHaveLength(3);
  });

  it('charges the processor time of work, not that of other programs', async () => {
    const { done, work, interruptedWork, pass } = held({ areChecksComing: true });
    void interruptedWork('loud', 1, 100);
    work('ordinary', 'loud');
    await settle();
    await pass(8);
    expect(done).toEqual(['ordinary loud interrupted']);
    await pass(1);
    expect(done).toEqual(['ordinary loud interrupted', 'ordinary loud turn']);
  });

  it('pauses for at most a second', async () => {
    const { done, work, pass } = held({ areChecksComing: true });
    for (let asked = 0; asked < 2; asked += 1) work('ordinary', 'loud', 5_000);
    await settle();
    await pass(1_001);
    expect(done).toHaveLength(2);
  });

  it('charges each piece of a request, and continues started requests first and never late', async () => {
    const { done, work, workOn, pass } = held({ areChecksComing: true });
    void workOn('loud', 3, 10);
    work('ordinary', 'loud');
    work('ordinary', 'quiet');
    await settle();
    expect(done).toEqual(['ordinary loud turn']);
    // Longer than the wait after which a waiting request is `late`.
    for (let round = 0; round < 5; round += 1) await pass(9_000);
    expect(done).toEqual([
      'ordinary loud turn',
      'ordinary quiet turn',
      'ordinary loud next',
      'ordinary loud next',
      'ordinary loud late',
    ]);
  });

  it('skips disconnected clients, and reports `late` after ten seconds', async () => {
    const { done, work, pass } = held({ areChecksComing: true });
    work('ordinary', 'first', 10_000);
    work('ordinary', 'left', 0, true);
    work('ordinary', 'late');
    await settle();
    await pass(1_001);
    work('ordinary', 'next');
    await settle();
    expect(done).toEqual(['ordinary first turn', 'ordinary left gone', 'ordinary late late', 'ordinary next turn']);
  });

  it('decides checks between two questions to the policies under load', async () => {
    const { folder, remove } = scratch();
    const seen = { grants: 0, sinceCheck: 0, most: 0 };
    const turns = new Turns({ monotonicMs: systemPorts.monotonicMs, after, areChecksComing: () => false });
    const bench = await startBench(folder(), { turns });
    const { grant } = bench;
    const counted = await startBench(folder(), {
      turns,
      grant: (question) => {
        seen.grants += 1;
        seen.sinceCheck += 1;
        seen.most = Math.max(seen.most, seen.sinceCheck);
        return grant(question);
      },
    });
    const [CLIENTS, QUESTIONS] = [8, 4];
    let isOver = false;
    const check = { agent: '', arrivedMs: 0, deadlineMs: Infinity };
    const queue = new CheckQueue<typeof check>({
      monotonicMs: systemPorts.monotonicMs,
      onTurn: () => undefined,
      onTurnOver: () => undefined,
      shed: () => undefined,
      // There is always a waiting check: each decided one is followed by the next.
      run: ([decided]) => {
        seen.sinceCheck = 0;
        if (decided !== undefined && !isOver) queue.add(new QueueNode(check));
      },
    });
    queue.add(new QueueNode(check));
    try {
      const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => idle(counted, counted.planner)));
      for (const socket of sockets) socket.write(longTokenRequest(QUESTIONS));
      await Promise.all(sockets.map((socket) => once(socket, 'data')));
      for (const socket of sockets) socket.destroy();
    } finally {
      isOver = true;
    }
    expect([seen.grants, seen.most]).toEqual([CLIENTS * QUESTIONS, 1]);
    for (const one of [bench, counted]) await one.close();
    remove();
  });
});

import { expect, it } from '@jest/globals';
import { HelloTurns } from '../../../../src/authority/feed/hub/hello-turns.ts';

/** Turns by a clock that a test moves. */
function stage() {
  let nowMs = 0;
  let timers: { readonly atMs: number; readonly act: () => void }[] = [];
  const turns = new HelloTurns({
    monotonicMs: () => nowMs,
    after: (ms, act) => {
      timers.push({ atMs: nowMs + ms, act });
      return () => undefined;
    },
  });
  const began: string[] = [];
  const say = (peer: string): Promise<unknown> =>
    turns.turn(peer).then((isOn) => began.push(isOn ? peer : `${peer} refused`));
  const pass = async (ms: number): Promise<void> => {
    for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs += 1) {
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const { act } of due) act();
      await Promise.resolve();
    }
  };
  return { say, pass, began };
}

it('HelloTurns lets identities take turns, so that a flood delays another identity by one turn (issue 37, point 7)', async () => {
  const { say, pass, began } = stage();
  for (let n = 0; n < 1_000; n += 1) void say('hostile');
  await pass(1);
  expect(began.filter((peer) => peer === 'hostile')).toHaveLength(200);
  expect(began.filter((peer) => peer === 'hostile refused')).toHaveLength(600);
  void say('honest');
  await pass(30);
  expect(began).toContain('honest');
  await pass(3_000);
  expect(began.filter((peer) => peer === 'hostile')).toHaveLength(400);
});

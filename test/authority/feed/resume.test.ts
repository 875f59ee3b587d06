import { describe, expect, it } from '@jest/globals';
import { FeedHub } from '../../../src/authority/feed/hub/feed-hub.ts';
import { cardOf } from '../../../src/core/fleet/card.ts';
import { noHistory } from '../../../src/core/task/history.ts';
import { taskNumber } from '../../builders/task.ts';
import { digestOf, keyOf } from './serving.ts';

const EPOCH = 'e';
const ONE = 'spiffe://acme.test/one instance-1';
const TWO = 'spiffe://acme.test/two instance-1';

const heldNumber = (n: number) => ({
  key: keyOf(n),
  jti_digests: [digestOf(n)],
  state: 'active',
  generation: 1,
  history_version: 0,
});
const held = (...numbers: readonly number[]) => numbers.map(heldNumber);
const at = (seq: number) => ({ epoch: EPOCH, seq, mark: '' });
const changeOf = (n: number) => ({ root: `root-${n}`, part: 'task' as const });

/** A hub whose feed is at 10, with a sidecar that holds the tasks 1 to 3 and has applied everything. */
function stage() {
  const hub = new FeedHub({
    epoch: EPOCH,
    position: 10,
    leaseMs: 5_000,
    marginMs: 250,
    maxHeld: 1_000_000,
    maxHeldInAll: 1_000_000,
    inheritedUntilMs: 0,
  });
  /** Reads and sends all that is due; gives the tasks that were read, in order. */
  const read = (): readonly string[] => {
    const numbers: string[] = [];
    for (let due = hub.due(); due.size > 0; due = hub.due()) {
      for (const [id, cards] of due) {
        numbers.push(...cards.map(({ key }) => `${id === ONE ? '' : '2:'}${Number(key.id.slice(-12))}`));
        const found = cards.map(({ key }) => {
          const n = Number(key.id.slice(-12));
          return cardOf({ task: taskNumber(n), root: `root-${n}`, tokens: new Map(), history: noHistory });
        });
        hub.send(id, cards, { cards: found, head: hub.position });
      }
    }
    return numbers;
  };
  const changes = (...numbers: readonly number[]): void => {
    const place = { seq: hub.position + numbers.length, mark: '' };
    hub.changed(numbers.map(changeOf), place, 0);
  };
  const sent = () => [...hub.outgoing().values()].flat();
  hub.connect(ONE, { resume: at(10), held: held(1, 2, 3) }, 0);
  expect(read()).toEqual(['1', '2', '3']);
  hub.ack(ONE, 10);
  sent();
  return { hub, read, changes, sent };
}

describe('a stream that breaks and comes again (issue 37, point 13)', () => {
  it('costs no reading while nothing has changed', () => {
    const { hub, read, sent } = stage();
    hub.disconnect(ONE, 100);
    hub.connect(ONE, { resume: at(10), held: held(1, 2, 3) }, 200);
    expect(read()).toEqual([]);
    // And it gets its lease at the next beat.
    hub.ping(ONE, 1, 300);
    const beat = hub.beatBegins();
    hub.beatCommitted(beat, 10, 0);
    expect(sent()).toMatchObject([{ of: 'fresh', fresh: { n: 1, position: { seq: 10 } } }]);
  });

  it('brings what changed meanwhile, and what was sent and not applied, and nothing else', () => {
    const { hub, read, changes } = stage();
    changes(1);
    expect(read()).toEqual(['1']);
    hub.disconnect(ONE, 100);
    changes(2);
    // It has applied neither.
    hub.connect(ONE, { resume: at(10), held: held(1, 2, 3) }, 200);
    expect(read()).toEqual(['1', '2']);
    // Now it has applied both.
    hub.connect(ONE, { resume: at(12), held: held(1, 2, 3) }, 300);
    expect(read()).toEqual([]);
  });

  it.each([
    ['the sidecar has other rights', { rights: 'https://other.acme.test' }, ['1', '2', '3']],
    ['it has no position', { resume: null }, ['1', '2', '3']],
    ['it was at another life of the database', { resume: { ...at(10), epoch: 'other' } }, ['1', '2', '3']],
    ['it holds another token of a task', { held: [{ ...heldNumber(1), jti_digests: ['more'] }, ...held(2, 3)] }, ['1']],
    ['it holds another task', { held: held(1, 2, 3, 4) }, ['4']],
  ])('reads anew if %s', (_what, change, expected) => {
    const { hub, read } = stage();
    hub.disconnect(ONE, 100);
    hub.connect(ONE, { resume: at(10), held: held(1, 2, 3), ...change }, 200);
    expect(read()).toEqual(expected);
  });

  it('reads anew what was read at a position that the sidecar has not reached', () => {
    const { hub, read, changes } = stage();
    hub.connect(TWO, { resume: at(10), held: held(5) }, 0);
    changes(7, 8);
    expect(read()).toEqual(['2:5']);
    // Its card was read at 12, and the connection broke before it came.
    hub.connect(TWO, { resume: at(10), held: held(5) }, 100);
    expect(read()).toEqual(['2:5']);
  });

  it('reads anew if some changes are not known', () => {
    const { hub, read } = stage();
    hub.disconnect(ONE, 100);
    hub.changed(null, { seq: 40, mark: '' }, 150);
    hub.connect(ONE, { resume: at(10), held: held(1, 2, 3) }, 200);
    expect(read()).toEqual(['1', '2', '3']);
  });
});

describe('what sidecars say that they hold (issue 37, point 7)', () => {
  it('is read after changes, and in turns of identities, whatever an identity claims to hold', () => {
    const { hub, changes } = stage();
    const range = Array.from({ length: 200 }, (_, n) => 1_000 + n);
    for (let n = 0; n < 3; n += 1)
      hub.connect(`spiffe://acme.test/hostile instance-${n}`, { resume: null, held: held(...range) }, 0);
    hub.connect(TWO, { resume: at(10), held: held(5) }, 0);
    changes(1);
    const reading = [...hub.due()];
    expect(reading.map(([id, cards]) => [id, cards.length])).toEqual([
      [ONE, 1],
      ['spiffe://acme.test/hostile instance-0', 32],
    ]);
    for (const [id, cards] of reading) hub.send(id, cards, { cards: cards.map(() => null), head: hub.position });
    expect([...hub.due()].map(([id, cards]) => [id, cards.length])).toEqual([
      [TWO, 1],
      ['spiffe://acme.test/hostile instance-0', 32],
    ]);
  });
});

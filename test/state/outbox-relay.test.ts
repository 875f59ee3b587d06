import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, describe, expect, it } from '@jest/globals';
import type { HandedRecord } from '../../src/ledger/writer.ts';
import { OutboxRelay } from '../../src/state/outbox-relay.ts';
import { directAuthority } from '../../src/state/sqlite/direct-authority.ts';
import { isStoreFailure } from '../../src/sqlite/store-failure.ts';
import type { Store } from '../../src/state/store.ts';
import { HeldPromises } from '../held-promises.ts';
import { HeldTimers } from '../identity/held-timers.ts';
import { endRecord } from '../builders/ledger-record.ts';
import { scratch } from '../builders/scratch.ts';
import { mustOpen } from '../builders/state-file.ts';

const { folder, remove } = scratch();
afterAll(remove);

/** A relay whose `forget` calls wait until they are released. */
const slowRelay = (file: string) => {
  const store = mustOpen(file);
  const held = new HeldPromises();
  const handed: HandedRecord[] = [];
  const timers = new HeldTimers();
  const relay = new OutboxRelay(
    { take: (record) => handed.push(record) > 0 },
    {
      reader: store,
      authority: held.hold(directAuthority(store).authority, ['forget']),
      after: timers.after,
      taken: 0,
    },
  );
  return { store, held, handed, timers, relay };
};

/** The relay of one process over a shared state file, and what its ledger has; `look` is what it does each second. */
const relayIn = (file: string, claim = (): boolean => true) => {
  const store: Store = mustOpen(file);
  const ledger: HandedRecord[] = [];
  let next: (() => void) | null = null;
  const after = (_ms: number, run: () => void) => {
    next = run;
    return () => void (next = null);
  };
  const { authority } = directAuthority(store);
  const relay = new OutboxRelay(
    { take: (record) => ledger.push(record) > 0 },
    { reader: store, authority, after, taken: 0, claim },
  );
  relay.start();
  return { store, ledger, relay, look: () => next?.(), numbers: () => ledger.map(({ outbox }) => outbox) };
};

const waitingIn = (store: Store): number => {
  const waiting = store.outbox(0, 100);
  return isStoreFailure(waiting) ? -1 : waiting.length;
};

describe('OutboxRelay, where several processes share a state file', () => {
  it('relays and deletes nothing until it has the claim, then everything that waits', () => {
    const file = join(folder(), 'state.db');
    let mayHandOn = false;
    const { store, relay, look, numbers } = relayIn(file, () => mayHandOn);
    store.appendRecords([endRecord(1), endRecord(2)]);
    void relay.pump();
    look();
    expect([numbers(), waitingIn(store)]).toEqual([[], 2]);
    mayHandOn = true;
    look();
    expect(numbers()).toEqual([1, 2]);
  });

  it('stops asking once it has the claim', () => {
    let asked = 0;
    const { look } = relayIn(join(folder(), 'state.db'), () => (asked += 1) > 0);
    look();
    look();
    expect(asked).toBe(1);
  });

  it('relays once what its predecessor had not committed, and again only what was committed but not deleted', async () => {
    const file = join(folder(), 'state.db');
    let isFirstGone = false;
    const first = relayIn(file);
    const second = relayIn(file, () => isFirstGone);
    first.store.appendRecords([1, 2].map((n) => endRecord(n)));
    void first.relay.pump();
    first.relay.committed(first.ledger);
    first.look();
    // One record is committed but not deleted, one is relayed but not committed, one is neither.
    first.store.appendRecords([endRecord(3)]);
    void first.relay.pump();
    first.relay.committed(first.ledger);
    first.store.appendRecords([endRecord(4)]);
    void first.relay.pump();
    second.store.appendRecords([endRecord(5)]);
    isFirstGone = true;
    second.look();
    expect(first.numbers()).toEqual([1, 2, 3, 4]);
    expect(second.numbers()).toEqual([3, 4, 5]);
    second.relay.committed(second.ledger);
    await second.relay.close();
    expect(waitingIn(second.store)).toBe(0);
  });

  it('leaves nothing to relay twice where its predecessor ended by itself', async () => {
    const file = join(folder(), 'state.db');
    const first = relayIn(file);
    first.store.appendRecords([1, 2, 3].map((n) => endRecord(n)));
    void first.relay.pump();
    first.relay.committed(first.ledger);
    await first.relay.close();
    expect(relayIn(file).numbers()).toEqual([]);
  });
});

describe('OutboxRelay with a file that another thread writes', () => {
  it('makes one `forget` call at a time, and one more at its end for what was committed meanwhile', async () => {
    const { store, held, handed, timers, relay } = slowRelay(join(folder(), 'state.db'));
    store.appendRecords([endRecord(1)]);
    relay.start();
    relay.committed(handed);
    timers.fire();
    store.appendRecords([endRecord(2)]);
    void relay.pump();
    relay.committed(handed);
    timers.fire();
    expect([held.waiting, waitingIn(store)]).toEqual([['forget'], 2]);
    let isClosed = false;
    const closing = relay.close().then(() => (isClosed = true));
    held.release();
    await setImmediate();
    expect([isClosed, held.waiting, waitingIn(store)]).toEqual([false, ['forget'], 1]);
    held.release();
    await closing;
    expect([waitingIn(store), handed.map(({ outbox }) => outbox)]).toEqual([0, [1, 2]]);
  });
});

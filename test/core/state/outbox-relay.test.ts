import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { missingRecords } from '../../../src/core/ledger/relayed.ts';
import type { HandedRecord } from '../../../src/core/ledger/writer.ts';
import { OutboxRelay } from '../../../src/core/state/outbox-relay.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { HeldPromises } from '../../held-promises.ts';
import { HeldTimers } from '../identity/held-timers.ts';
import { endRecord } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';

const folder = testFolders();

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

/** A relay beside others, with how far each of its `forget` calls was, and a ledger that takes records or does not. */
const sharedRelay = (file: string) => {
  const store = mustOpen(file);
  const told: number[] = [];
  const handed: HandedRecord[] = [];
  const timers = new HeldTimers();
  const ledger = { isTaking: true };
  const relay = new OutboxRelay(
    { take: (record) => ledger.isTaking && handed.push(record) > 0 },
    {
      reader: store,
      authority: { forget: async (upTo) => (told.push(upTo), null) },
      after: timers.after,
      taken: 0,
      shared: {
        outboxEnd: () => store.outboxEnd(),
        missing: ({ from, to }) => missingRecords({ from, to }, { database: 'db', atMs: 1 }),
      },
    },
  );
  return { store, told, handed, timers, relay, ledger };
};

const textOf = ({ bytes }: HandedRecord): string => Buffer.from(bytes).toString('utf8');

const waitingIn = (store: Store): number => {
  const waiting = store.outbox(0, 100);
  return isStoreFailure(waiting) ? -1 : waiting.length;
};

describe('OutboxRelay with a file that another thread writes', () => {
  it('makes one `forget` call at a time, and another at its end for what was committed meanwhile', async () => {
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

describe('OutboxRelay beside others', () => {
  it('says in the ledger, once, which records were gone before it had them (issue 37, point 13)', async () => {
    const { store, handed, relay } = sharedRelay(join(folder(), 'state.db'));
    store.appendRecords([endRecord(1), endRecord(2), endRecord(3)]);
    store.forget(2);
    await relay.pump();
    expect(handed.map(({ outbox }) => outbox)).toEqual([2, 3]);
    expect(handed.map(textOf)[0]).toContain('"details":{"database":"db","from":1,"to":2},"event":"records-missing"');
    store.appendRecords([endRecord(4)]);
    await relay.pump();
    expect(handed.map(({ outbox }) => outbox)).toEqual([2, 3, 4]);
    await relay.close();
  });

  it('says so too if no record follows those that are gone', async () => {
    const { store, handed, relay } = sharedRelay(join(folder(), 'state.db'));
    store.appendRecords([endRecord(1), endRecord(2)]);
    store.forget(2);
    relay.start();
    await setImmediate();
    expect(handed.map(({ kind, outbox }) => [kind, outbox])).toEqual([['event', 2]]);
    await relay.close();
  });

  it('tells of itself when it starts, and now and then while it has nothing new', async () => {
    const { told, timers, relay } = sharedRelay(join(folder(), 'state.db'));
    relay.start();
    expect(told).toEqual([0]);
    for (let look = 1; look <= 30; look += 1) {
      await setImmediate();
      timers.fire();
    }
    expect(told).toEqual([0, 0, 0]);
    await relay.close();
  });

  it('tells nothing while its ledger takes nothing, so that the others wait for it no longer', async () => {
    const { store, told, handed, timers, relay, ledger } = sharedRelay(join(folder(), 'state.db'));
    relay.start();
    ledger.isTaking = false;
    store.appendRecords([endRecord(1)]);
    for (let look = 1; look <= 45; look += 1) {
      await setImmediate();
      timers.fire();
    }
    expect(told).toEqual([0]);
    ledger.isTaking = true;
    timers.fire();
    relay.committed(handed);
    await setImmediate();
    timers.fire();
    expect(told).toEqual([0, 1]);
    await relay.close();
  });
});

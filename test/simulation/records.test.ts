import { describe, expect, it } from '@jest/globals';
import { lostToAll, missingRecords, relayWatch } from '../../src/ledger/relayed.ts';
import type { HandedRecord } from '../../src/ledger/writer.ts';
import { OutboxRelay } from '../../src/state/outbox-relay.ts';
import { endRecord } from '../builders/ledger-record.ts';
import { HeldTimers } from '../identity/held-timers.ts';
import { Random } from './random.ts';

const AUTHORITIES = [0, 1, 2] as const;
const STEPS = 200;
const FORGOTTEN_AFTER = 10;

/** One disk: the records of a ledger, by their numbers in the database. */
type Disk = Map<number, HandedRecord>;

/** A database by the rule of its `FORGET`, and the ledgers of authorities that go, come back, and lose their disks. */
function run(seed: number, copies: number): { readonly lost: number; readonly missed: number } {
  const random = new Random(seed);
  const outbox = new Map<number, HandedRecord & { readonly outbox: number }>();
  const marks = new Map<number, { seq: number; seen: number }>();
  const disks: Disk[] = AUTHORITIES.map(() => new Map());
  const running = new Map<
    number,
    { readonly relay: OutboxRelay; readonly timers: HeldTimers; readonly taken: HandedRecord[] }
  >();
  let [end, step] = [0, 0];
  const forget = (at: number, upTo: number): void => {
    marks.set(at, { seq: upTo, seen: step });
    const all = [...marks.values()];
    const recent = Math.min(...all.filter(({ seen }) => step - seen < FORGOTTEN_AFTER).map(({ seq }) => seq));
    const most = all.map(({ seq }) => seq).toSorted((a, b) => b - a)[copies - 1] ?? 0;
    for (const seq of outbox.keys()) if (seq <= Math.min(recent, most)) outbox.delete(seq);
  };
  const start = (at: number): void => {
    const timers = new HeldTimers();
    const taken: HandedRecord[] = [];
    const disk = disks[at] ?? new Map();
    const relay = new OutboxRelay(
      { take: (record) => taken.push(record) > 0 },
      {
        reader: { outbox: (after, limit) => [...outbox.values()].filter((row) => row.outbox > after).slice(0, limit) },
        authority: { forget: async (upTo) => (forget(at, upTo), null) },
        after: timers.after,
        taken: Math.max(0, ...disk.keys()),
        shared: { outboxEnd: () => end, missing: (records) => missingRecords(records, { database: 'db', atMs: 1 }) },
      },
    );
    running.set(at, { relay, timers, taken });
    relay.start();
  };
  for (const at of AUTHORITIES) start(at);
  for (step = 0; step < STEPS; step += 1) {
    end += 1;
    outbox.set(end, { ...endRecord(end), outbox: end });
    const at = random.whole(0, AUTHORITIES.length - 1);
    const here = running.get(at);
    const what = random.whole(0, 19);
    if (here === undefined) {
      if (what < 6) start(at);
    } else if (what === 0 && running.size > 1) {
      running.delete(at);
    } else {
      void here.relay.pump();
      for (const record of here.taken) disks[at]?.set(record.outbox ?? 0, record);
      here.relay.committed(here.taken.splice(0));
      here.timers.fire();
    }
  }
  const gone = random.whole(0, AUTHORITIES.length - 1);
  disks[gone]?.clear();
  running.clear();
  for (const at of AUTHORITIES) {
    start(at);
    const here = running.get(at);
    void here?.relay.pump();
    for (const record of here?.taken ?? []) disks[at]?.set(record.outbox ?? 0, record);
  }
  const kept = new Set(
    disks.flatMap((disk) => [...disk].flatMap(([seq, { kind }]) => (kind === 'event' ? [] : [seq]))),
  );
  const lost = Array.from({ length: end }, (_, n) => n + 1).filter((seq) => !kept.has(seq));
  const ledgers = disks.map((disk) => {
    const watch = relayWatch();
    for (const { bytes } of disk.values()) watch.see(JSON.parse(Buffer.from(bytes).toString('utf8')));
    watch.see({ kind: 'checkpoint', relayed: { database: 'db', to: Math.max(0, ...disk.keys()) } });
    return watch.found();
  });
  const told = lostToAll(ledgers);
  const isTold = (seq: number): boolean => told.some(({ records: { from, to } }) => from <= seq && seq <= to);
  return { lost: lost.length, missed: lost.filter(isTold).length };
}

// Issue 37, point 13 (a).
describe('records and their ledgers, by seeds', () => {
  const seeds = Array.from({ length: 200 }, (_, seed) => seed + 1);

  it('no record is lost with any one disk where two ledgers must have it', () => {
    expect(seeds.filter((seed) => run(seed, 2).lost > 0)).toEqual([]);
  });

  it('finds the mistake of leaving a record to one ledger, and misses what is lost by it', () => {
    const losing = seeds.map((seed) => run(seed, 1)).filter(({ lost }) => lost > 0);
    expect(losing.length).toBeGreaterThan(0);
    expect(losing.some(({ missed }) => missed > 0)).toBe(true);
  });
});

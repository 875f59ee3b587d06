import { cpSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { newEmitter } from '../../../src/authority/records/emitter.ts';
import type { LogPart } from '../../../src/authority/records/emitter.ts';
import { openEmitterFile } from '../../../src/authority/records/emitter-file.ts';
import { receivedLogsIn } from '../../../src/authority/records/received-logs.ts';
import { RecordFiles, recordFilesIn } from '../../../src/authority/records/record-files.ts';
import { verdictOn } from '../../../src/core/ledger/proof/verification.ts';
import type { Verdict } from '../../../src/core/ledger/proof/verdict.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { portsAt } from '../../core/ledger/log/logs.ts';
import {
  addRecords,
  authority,
  connected,
  emitterRecords,
  nameOf,
  partFrom,
  sidecarId,
  sidecarLog,
} from './receivers.ts';

const folder = testFolders();

/** The first records of a part. */
const cut = (part: LogPart, size: number): LogPart => ({ ...part, leaves: part.leaves.slice(0, size), checkpoint: '' });
/** The others. */
const rest = (part: LogPart, size: number): LogPart => ({
  ...part,
  from: part.from + size,
  leaves: part.leaves.slice(size),
});
const eventsIn = (place: string): readonly string[] =>
  emitterRecords(place).map(({ event, size }) => `${event} ${size}`);

const verdictIn = (records: string, name: ReturnType<typeof nameOf>): Verdict =>
  verdictOn(mustFind(receivedLogsIn(records).logs.get(name.origin)).stored, { key: name.key, anchors: [] });

const lengthOf = (file: string): number => statSync(file).size;

/** A sidecar with ten records and their checkpoint, and an authority. */
async function both(change: Parameters<typeof authority>[1] = {}) {
  const pod = folder();
  const sidecar = sidecarLog(pod, 10);
  const name = nameOf(sidecar);
  return { pod, sidecar, name, ...(await authority(folder(), change)) };
}

describe('Receiver', () => {
  it('acknowledges what is kept, and records that a log joined, its checkpoints, and that it left', async () => {
    const { pod, sidecar, name, receiver, timers, records, ...own } = await both();
    const { stream, kept } = await connected(receiver, name, 11);
    expect(stream.size).toBe(0);
    const part = partFrom(pod, 0);
    expect(await stream.receive(cut(part, 4))).toBeNull();
    expect(await stream.receive(rest(part, 4))).toBeNull();
    expect(kept).toEqual([]);
    await timers.pass(300);
    expect(kept).toEqual([11]);
    await stream.end(true);
    await own.close();
    sidecar.close();

    expect(eventsIn(own.folder)).toEqual(['joined 0', 'checkpoint 11', 'left 11']);
    const [joined, checkpoint] = emitterRecords(own.folder);
    expect(joined).toMatchObject({ origin: sidecar.origin, by: sidecarId, verifierKey: sidecar.verifierKey });
    expect(checkpoint).toMatchObject({ note: part.checkpoint, signed: 11 });
    expect(verdictIn(records, name)).toMatchObject({ kind: 'sound', size: 11, signed: { from: 1, to: 11 } });
  });

  it('continues after a restart of either side from the same position', async () => {
    const { pod, sidecar, name, receiver, timers, ...own } = await both();
    const first = await connected(receiver, name, 11);
    await first.stream.receive(cut(partFrom(pod, 0), 7));
    await timers.pass(300);
    await own.close();

    const later = await authority(own.folder);
    addRecords(sidecar, { from: 11, to: 20 });
    sidecar.checkpoint();
    const second = await connected(later.receiver, name, 22);
    expect(second.stream.size).toBe(7);
    expect(await second.stream.receive(partFrom(pod, 7))).toBeNull();
    await later.timers.pass(300);
    expect(second.kept).toEqual([22]);
    await later.close();
    sidecar.close();
    expect(eventsIn(own.folder)).toEqual(['joined 0', 'joined 7', 'checkpoint 22']);
    expect(verdictIn(later.records, name)).toMatchObject({ kind: 'sound', size: 22 });
  });

  it('keeps a part that came before a reconnect, and gives the log over to the newer stream', async () => {
    const { pod, name, receiver, timers, ...own } = await both();
    const first = await connected(receiver, name, 11);
    await first.stream.receive(cut(partFrom(pod, 0), 7));
    const again = connected(receiver, name, 11);
    await timers.pass(300);
    const second = await again;
    expect([second.stream.size, first.over]).toEqual([7, ['another stream of this log began']]);
    expect(await first.stream.receive(partFrom(pod, 7))).toEqual({
      problem: 'another stream of this log began',
      isLater: true,
    });
    expect(await second.stream.receive(partFrom(pod, 7))).toBeNull();
    await own.close();
  });

  it('records a log as lost after a minute of silence, with what is kept, and lets it return', async () => {
    const { pod, sidecar, name, receiver, timers, ...own } = await both();
    const first = await connected(receiver, name, 11);
    await first.stream.receive(partFrom(pod, 0));
    await timers.pass(50_000);
    await first.stream.receive({ from: 11, leaves: [], checkpoint: '' });
    await timers.pass(50_000);
    expect(eventsIn(own.folder)).toEqual(['joined 0', 'checkpoint 11']);
    await timers.pass(20_000);
    expect(eventsIn(own.folder)).toEqual(['joined 0', 'checkpoint 11', 'lost 11']);
    expect(emitterRecords(own.folder).at(-1)).toMatchObject({ by: sidecarId, signed: 11 });
    expect(first.over).toEqual(['nothing was heard of it for 60000 ms']);
    addRecords(sidecar, { from: 11, to: 11 });
    const second = await connected(receiver, name, 12);
    expect(await second.stream.receive(cut(partFrom(pod, 11), 0))).toBeNull();
    await own.close();
    expect(eventsIn(own.folder).at(-1)).toBe('joined 11');
  });

  it('records a log as lost that was open when the authority stopped and is not heard of again', async () => {
    const { pod, name, receiver, timers, ...own } = await both();
    const { stream } = await connected(receiver, name, 11);
    await stream.receive(cut(partFrom(pod, 0), 5));
    await timers.pass(300);
    await own.close();
    const later = await authority(own.folder);
    await later.timers.pass(75_000);
    await later.close();
    expect(eventsIn(own.folder)).toEqual(['joined 0', 'joined 5', 'lost 5']);
  });

  it('tells and refuses a log that shrank, and records it once a minute', async () => {
    const { pod, name, receiver, timers, ...own } = await both();
    await (await connected(receiver, name, 11)).stream.receive(partFrom(pod, 0));
    await timers.pass(300);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect(await receiver.connect(name, 3, { onKept: () => undefined, onOver: () => undefined })).toEqual({
        problem: `the log \`${name.origin}\` shrank: it has 3 records, but 11 were received`,
        isLater: false,
      });
    }
    await own.close();
    expect(eventsIn(own.folder)).toEqual(['joined 0', 'checkpoint 11', 'refused 11']);
  });

  it('tells and refuses the second of two copies of a log that both go on', async () => {
    const { pod, sidecar, name, receiver, timers, ...own } = await both();
    sidecar.close();
    const copy = folder();
    cpSync(pod, copy, { recursive: true });
    for (const [place, to] of [
      [pod, 15],
      [copy, 30],
    ] as const) {
      const log = sidecarLog(place, 0, { from: 11 + to, to: 11 + 2 * to });
      log.close();
    }
    await (await connected(receiver, name, 28)).stream.receive(partFrom(pod, 0));
    await timers.pass(300);
    const second = await connected(receiver, name, 43);
    const refused = await second.stream.receive(partFrom(copy, second.stream.size));
    const problem = `\`${name.origin}\` forked: record ${second.stream.size + 1} does not follow from the record before it`;
    expect(refused).toEqual({ problem, isLater: false });
    await own.close();
    expect(emitterRecords(own.folder).at(-1)).toMatchObject({ event: 'refused', why: problem });
  });

  it('refuses a known log from another identity, and records whose it is', async () => {
    const { pod, sidecar, name, receiver, timers, ...own } = await both();
    await (await connected(receiver, name, 11)).stream.receive(partFrom(pod, 0));
    await timers.pass(300);
    const thief = nameOf(sidecar, 'spiffe://acme.test/thief');
    expect(await receiver.connect(thief, 11, { onKept: () => undefined, onOver: () => undefined })).toEqual({
      problem: `the log \`${sidecar.origin}\` belongs to \`${sidecarId}\``,
      isLater: false,
    });
    await own.close();
    expect(emitterRecords(own.folder).at(-1)).toMatchObject({ event: 'refused', by: 'spiffe://acme.test/thief' });
  });

  it('queues and retries while the store refuses, without acknowledging, and tells the fault', async () => {
    let isDown = true;
    const place = folder();
    const files = new RecordFiles(`${place}/records`, portsAt(1_000));
    const { pod, name, receiver, timers, faults, ...own } = await both({
      store: { keep: async (sections) => (isDown ? 'no space' : files.keep(sections)) },
    });
    const { stream, kept } = await connected(receiver, name, 11);
    const part = partFrom(pod, 0);
    await stream.receive(cut(part, 4));
    await timers.pass(3_000);
    await stream.receive(rest(part, 4));
    await timers.pass(3_000);
    expect([kept, faults.at(-1), receiver.status.logs]).toEqual([[], 'no space', 1]);
    isDown = false;
    await timers.pass(1_500);
    expect([kept, faults.at(-1), receiver.status.waitingBytes]).toEqual([[11], null, 0]);
    await own.close();
    await files.close();
    expect(verdictIn(`${place}/records`, name)).toMatchObject({ kind: 'sound', size: 11 });
  });

  it('reads a stream no further while as much waits as is allowed', async () => {
    let isDown = true;
    const { pod, name, receiver, timers, ...own } = await both({
      store: { keep: async () => (isDown ? 'no space' : null) },
      limits: { maxBytes: 100 },
    });
    const { stream } = await connected(receiver, name, 11);
    let isRead = false;
    const reading = stream.receive(partFrom(pod, 0)).then(() => void (isRead = true));
    await timers.pass(5_000);
    expect(isRead).toBe(false);
    isDown = false;
    await timers.pass(1_500);
    await reading;
    expect(isRead).toBe(true);
    await own.close();
  });

  it.each([
    ['in all', { logs: 2 }, 'the authority already receives 2 logs'],
    ['of one identity', { logsOfOne: 2 }, `the authority already receives 2 logs of \`${sidecarId}\``],
  ])('refuses more logs %s than it can follow, until a log has ended', async (_case, limits, problem) => {
    const { receiver, ...own } = await authority(folder(), { limits });
    const logs = [1, 2, 3].map(() => sidecarLog(folder(), 0));
    const [first, second, third] = logs.map((log) => nameOf(log));
    if (first === undefined || second === undefined || third === undefined) throw new Error('no logs');
    const { stream } = await connected(receiver, first, 0);
    await connected(receiver, second, 0);
    const refused = await receiver.connect(third, 0, { onKept: () => undefined, onOver: () => undefined });
    expect(refused).toEqual({ problem, isLater: true });
    await stream.end(true);
    // New logs of an identity come at a rate too.
    await own.timers.pass(1_000);
    await connected(receiver, third, 0);
    await own.close();
    for (const log of logs) log.close();
  });

  it('takes new logs of an identity at a rate, each later, and those of another at once', async () => {
    const { receiver, timers, ...own } = await authority(folder(), { limits: { logsOfOne: 2, newASecond: 1 } });
    const logs = [1, 2, 3, 4].map(() => sidecarLog(folder(), 0));
    const silent = { onKept: () => undefined, onOver: () => undefined };
    for (const log of logs.slice(0, 2)) {
      const { stream } = await connected(receiver, nameOf(log), 0);
      await stream.end(true);
    }
    const [, second, third, fourth] = logs;
    if (second === undefined || third === undefined || fourth === undefined) throw new Error('no logs');
    const refused = {
      problem: `the authority takes 1 new logs of \`${sidecarId}\` a second: they are taken later`,
      isLater: true,
    };
    // A log that ended is named again, so it counts like a new log.
    for (const log of [second, third]) expect(await receiver.connect(nameOf(log), 0, silent)).toEqual(refused);
    await connected(receiver, nameOf(fourth, 'spiffe://acme.test/other'), 0);
    await timers.pass(1_000);
    const { stream } = await connected(receiver, nameOf(third), 0);
    // A stream of a log that is open takes nothing.
    await connected(receiver, nameOf(third), 0);
    expect(await receiver.connect(nameOf(second), 0, silent)).toEqual(refused);
    await stream.end(true);
    await own.close();
    for (const log of logs) log.close();
    expect(emitterRecords(own.folder).filter(({ event }) => event === 'joined')).toHaveLength(4);
  });

  it('takes a log at once after its own faults, however often they came', async () => {
    let isDown = true;
    const { receiver, timers, ...own } = await authority(folder(), {
      limits: { logsOfOne: 2, newASecond: 0 },
      record: async () => !isDown,
    });
    const log = sidecarLog(folder(), 0);
    const silent = { onKept: () => undefined, onOver: () => undefined };
    for (let turn = 0; turn < 5; turn += 1) {
      expect(await receiver.connect(nameOf(log), 0, silent)).toMatchObject({ isLater: true });
      await timers.pass(130_000);
      expect(receiver.status.logs).toBe(0);
    }
    isDown = false;
    await connected(receiver, nameOf(log), 0);
    await own.close();
    log.close();
  });

  it('acknowledges nothing before the log is named in its own ledger', async () => {
    const { name, receiver, ...own } = await both({ record: async () => false });
    expect(await receiver.connect(name, 11, { onKept: () => undefined, onOver: () => undefined })).toEqual({
      problem: 'the ledger of the authority is unavailable',
      isLater: true,
    });
    await own.close();
  });
});

describe('openEmitterFile', () => {
  const DAY_MS = 86_400_000;

  it.each<[what: string, isEmpty: boolean, days: number, isForgotten: boolean]>([
    ['without a record after six days', true, 6, false],
    ['without a record after eight days', true, 8, true],
    ['with records after eight days', false, 8, false],
    ['with records as long as they are kept', false, 30, false],
    ['with records once they are deleted', false, 32, true],
  ])('keeps the owner of a log that ended, %s, or forgets it', async (_what, isEmpty, days, isForgotten) => {
    let nowMs = 0;
    const pods = [1, 2, 3].map((n) => sidecarLog(folder(), n));
    const [ended, open, later] = pods.map((log) => newEmitter(nameOf(log)));
    if (ended === undefined || open === undefined || later === undefined) throw new Error('no logs');
    const path = join(folder(), 'emitters.db');
    const heads = must(openEmitterFile(path, { nowMs: () => nowMs, recordsMs: 30 * DAY_MS }));
    await heads.keep([
      { emitter: isEmpty ? ended : { ...ended, prev: new Uint8Array(32) }, state: 'left', term: 0 },
      { emitter: open, state: 'open', term: 0 },
    ]);
    nowMs = days * DAY_MS;
    const thief = { ...ended, id: 'spiffe://acme.test/thief' };
    expect(await heads.claim(thief)).toMatchObject({ state: 'left', emitter: { id: sidecarId } });
    for (let turn = 0; turn < 2; turn += 1) await heads.keep([{ emitter: later, state: 'lost', term: 0 }]);
    const owner = isForgotten ? thief.id : sidecarId;
    expect(await heads.claim(thief)).toMatchObject({ emitter: { id: owner } });
    expect(await heads.claim(open)).toMatchObject({ state: 'open' });
    await heads.close();
    for (const log of pods) log.close();
  });

  it('looks at every row in turn, however many there are', async () => {
    let nowMs = 0;
    const log = sidecarLog(folder(), 0);
    const name = nameOf(log);
    const heads = must(openEmitterFile(join(folder(), 'emitters.db'), { nowMs: () => nowMs }));
    const named = (n: number) => {
      const origin = `${log.origin.slice(0, -4)}${n.toString(16).padStart(4, '0')}`;
      return newEmitter({ ...name, origin, key: { ...name.key, name: origin } });
    };
    const ended = Array.from({ length: 1_200 }, (_, n) => ({ emitter: named(n), state: 'left' as const, term: 0 }));
    await heads.keep(ended);
    nowMs = 8 * DAY_MS;
    const last = { emitter: named(2_000), state: 'lost' as const, term: 0 };
    for (let turn = 0; turn < 4; turn += 1) await heads.keep([last]);
    const found = await Promise.all(ended.map(({ emitter }) => heads.claim(emitter)));
    expect(found.filter((head) => 'state' in head && head.state === 'left')).toEqual([]);
    await heads.close();
    log.close();
  });
});

describe('openEmitterFile with a damaged row', () => {
  it('refuses the log of that row, and no other', async () => {
    const pods = [1, 2].map(() => sidecarLog(folder(), 0));
    const [damaged, whole] = pods.map((log) => newEmitter(nameOf(log)));
    if (damaged === undefined || whole === undefined) throw new Error('no logs');
    const path = join(folder(), 'emitters.db');
    const first = must(openEmitterFile(path, { nowMs: () => 0 }));
    await first.keep([damaged, whole].map((emitter) => ({ emitter, state: 'open', term: 0 })));
    await first.close();
    const db = new DatabaseSync(path);
    db.prepare("UPDATE emitters SET range = x'01' WHERE origin = ?").run(damaged.origin);
    db.close();
    const heads = must(openEmitterFile(path, { nowMs: () => 0 }));
    expect(await heads.abandoned()).toMatchObject([{ emitter: { origin: whole.origin } }]);
    expect(await heads.claim(damaged)).toEqual({
      problem: `the emitter file is damaged in the row of \`${damaged.origin}\``,
    });
    expect(await heads.claim(whole)).toMatchObject({ state: 'open' });
    await heads.close();
    for (const log of pods) log.close();
  });
});

describe('receivedLogsIn', () => {
  it('skips the incomplete end of a file at every length, as a crash leaves it', async () => {
    const { pod, name, receiver, timers, records, ...own } = await both();
    const { stream } = await connected(receiver, name, 11);
    const part = partFrom(pod, 0);
    await stream.receive(cut(part, 4));
    await timers.pass(300);
    const [file = ''] = recordFilesIn(records);
    const whole = mustFind(receivedLogsIn(records).logs.get(name.origin)).stored;
    expect([...whole.entries()]).toHaveLength(4);
    await stream.receive(rest(part, 4));
    await own.close();
    const sizes = [1, 20, 300, 1_000];
    for (const less of sizes) {
      truncateSync(file, lengthOf(file) - less);
      const { logs, damaged } = receivedLogsIn(records);
      expect([...mustFind(logs.get(name.origin)).stored.entries()]).toHaveLength(4);
      expect(damaged).toEqual([]);
    }
  });

  it('reads each record once if it was kept twice', async () => {
    const { pod, name, receiver, timers, records, ...own } = await both();
    const { stream } = await connected(receiver, name, 11);
    const part = partFrom(pod, 0);
    await stream.receive(part);
    await timers.pass(300);
    await own.close();
    const files = new RecordFiles(records, portsAt(9_000));
    const of = { origin: name.origin, id: name.id, verifierKey: null, term: 0 };
    const section = { ...of, tree: 'x', last: '', checkpoints: [part.checkpoint] };
    expect(await files.keep([{ ...section, from: 2, leaves: part.leaves.slice(2, 9) }])).toBeNull();
    await files.close();
    expect(verdictIn(records, name)).toMatchObject({ kind: 'sound', size: 11, signed: { from: 1, to: 11 } });
  });

  it('finds nothing in a folder that is not there', () => {
    expect(receivedLogsIn('/nowhere/at/all').logs.size).toBe(0);
  });
});

import { describe, expect, it } from '@jest/globals';
import type { EncodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import type { EndRecord } from '../../../src/core/ledger/record.ts';
import { Unacknowledged } from '../../../src/core/ledger/unacknowledged.ts';
import { LedgerWriter } from '../../../src/core/ledger/writer.ts';
import type { AppendFailure, WriterLimits } from '../../../src/core/ledger/writer.ts';

const end = (n: number): EndRecord => ({
  kind: 'end',
  at: n,
  task: 't',
  state: 'completed',
  cause: 'operator.completed',
  note: '',
  by: 'operator',
});
const full: AppendFailure = { code: 'full', detail: 'the disk under the state file is full' };

/** A writer over a sink that can fail, with timers that the test fires. */
const bench = (limits: Partial<WriterLimits> = {}) => {
  const batches: (readonly EncodedRecord[])[] = [];
  const timers: { delayMs: number; run: () => void }[] = [];
  const sink = { failure: null as AppendFailure | Error | null };
  const writer = new LedgerWriter(
    {
      appendRecords: (batch) => {
        if (sink.failure instanceof Error) throw sink.failure;
        if (sink.failure === null) batches.push(batch);
        return sink.failure;
      },
    },
    {
      limits,
      after: (delayMs, run) => {
        const timer = { delayMs, run };
        timers.push(timer);
        return () => void timers.splice(timers.indexOf(timer), 1);
      },
    },
  );
  /** Fires the pending timers, and lets the commits they start finish. */
  const tick = async (): Promise<readonly number[]> => {
    const due = timers.splice(0);
    for (const timer of due) timer.run();
    await new Promise(setImmediate);
    return due.map((timer) => timer.delayMs);
  };
  const written = (): readonly number[] => batches.flat().map((record) => record.at);
  return { writer, sink, batches, timers, tick, written };
};

describe('LedgerWriter.append', () => {
  it('refuses while too much is not acknowledged elsewhere, what is queued included, and says why', async () => {
    const unacknowledged = new Unacknowledged({ records: 3 });
    const sink = { appendRecords: () => null };
    const writer = new LedgerWriter(sink, { refusal: (queued) => unacknowledged.problem(queued) });
    expect([1, 2, 3, 4].map((n) => writer.append(end(n)))).toEqual([true, true, true, false]);
    expect(writer.problem).toBe('3 records are not yet acknowledged by an authority');
    expect(await writer.durable(end(5))).toBe(false);
    await writer.flush();
    unacknowledged.wrote(3, 300);
    expect(writer.append(end(6))).toBe(false);
    unacknowledged.kept(2);
    expect(writer.append(end(7))).toBe(true);
  });

  it('collects records for 50 ms and writes them in order', async () => {
    const { writer, batches, tick, written } = bench();
    expect([writer.append(end(1)), writer.append(end(2)), writer.append(end(3))]).toEqual([true, true, true]);
    expect(batches).toEqual([]);
    expect(await tick()).toEqual([50]);
    expect(written()).toEqual([1, 2, 3]);
  });

  it('does not wait once 256 are queued, and writes at most 256 in one transaction', async () => {
    const { writer, batches, tick, written } = bench();
    for (let n = 0; n < 600; n++) writer.append(end(n));
    expect(await tick()).toEqual([0]);
    while ((await tick()).length > 0);
    expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(256);
    expect(written()).toEqual(Array.from({ length: 600 }, (_, n) => n));
  });

  it('refuses at the bound of 4,096 and accepts again after a commit', async () => {
    const { writer, tick } = bench();
    for (let n = 0; n < 4_096; n++) expect(writer.append(end(n))).toBe(true);
    expect(writer.append(end(4_096))).toBe(false);
    await tick();
    expect(writer.append(end(4_097))).toBe(true);
  });

  it('refuses a record that cannot be encoded', () => {
    expect(bench().writer.append({ ...end(1), note: '\ud800' })).toBe(false);
  });

  it.each<[string, AppendFailure | Error, string]>([
    ['a sink that fails', full, 'the last commit failed: the disk under the state file is full'],
    ['a sink that throws', new Error('boom'), 'the last commit failed: boom'],
  ])(
    'refuses after a failed commit until a commit succeeds, and loses nothing: %s',
    async (_name, failure, problem) => {
      const { writer, sink, tick, written } = bench();
      writer.append(end(1));
      sink.failure = failure;
      await tick();
      expect(writer.problem).toBe(problem);
      expect(writer.append(end(2))).toBe(false);
      expect(await tick()).toEqual([50]);
      sink.failure = null;
      await tick();
      expect(writer.problem).toBeNull();
      expect(writer.append(end(3))).toBe(true);
      await tick();
      expect(written()).toEqual([1, 3]);
    },
  );
});

describe('LedgerWriter.durable', () => {
  it('resolves after the commit, which it shares with waiting records', async () => {
    const { writer, tick, written } = bench();
    writer.append(end(1));
    let isWritten: boolean | null = null;
    const waiting = writer.durable(end(2)).then((result) => (isWritten = result));
    await new Promise(setImmediate);
    expect(isWritten).toBeNull();
    expect(await tick()).toEqual([1]);
    await waiting;
    expect(isWritten).toBe(true);
    expect(written()).toEqual([1, 2]);
  });

  it('gives false on a failed commit and drops the record, so that no allow is recorded that was never given', async () => {
    const { writer, sink, tick, written } = bench();
    sink.failure = full;
    const waiting = writer.durable(end(1));
    await tick();
    expect(await waiting).toBe(false);
    expect(await writer.durable(end(2))).toBe(false);
    sink.failure = null;
    await tick();
    expect(writer.problem).toBeNull();
    expect(written()).toEqual([]);
    const again = writer.durable(end(3));
    await tick();
    expect(await again).toBe(true);
  });
});

describe('LedgerWriter.close', () => {
  it('writes waiting records, then refuses', async () => {
    const { writer, timers, written } = bench();
    for (let n = 0; n < 300; n++) writer.append(end(n));
    expect(await writer.close()).toBeNull();
    expect(written()).toHaveLength(300);
    expect(writer.append(end(9))).toBe(false);
    expect(await writer.durable(end(9))).toBe(false);
    expect(writer.problem).toBe('the ledger is closed');
    expect(timers).toEqual([]);
    expect(await writer.close()).toBeNull();
  });

  it('reports what could not be written', async () => {
    const { writer, sink } = bench();
    writer.append(end(1));
    sink.failure = full;
    writer.append(end(2));
    const problem = '2 records could not be written: the disk under the state file is full';
    expect(await Promise.all([writer.close(), writer.close()])).toEqual([problem, problem]);
    expect(await writer.close()).toBe(problem);
    // Nothing is left that a later call would try for ever.
    expect(await writer.flush()).toBeNull();
    expect(writer.queued).toBe(0);
  });

  it('writes a record that is accepted while it closes, whenever it is', async () => {
    for (let turns = 0; turns < 9; turns += 1) {
      const { writer, written } = bench();
      const late = writer.durable(end(1)).then(async () => {
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        return writer.append(end(2));
      });
      expect(await writer.close()).toBeNull();
      expect([turns, written()]).toEqual([turns, (await late) ? [1, 2] : [1]]);
    }
  });

  it('waits for a commit in progress in a slow sink', async () => {
    const done: number[] = [];
    const writer = new LedgerWriter(
      {
        appendRecords: async (batch) => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          done.push(batch.length);
          return null;
        },
      },
      { limits: { flushMs: 1 } },
    );
    writer.append(end(1));
    await new Promise((resolve) => setTimeout(resolve, 3));
    writer.append(end(2));
    await writer.close();
    expect(done.reduce((sum, n) => sum + n, 0)).toBe(2);
  });
});

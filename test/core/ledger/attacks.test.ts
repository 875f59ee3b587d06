import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { JsonValue } from '../../../src/core/ledger/canonical-json.ts';
import type { Anchor } from '../../../src/core/ledger/proof/head-check.ts';
import { leafFrom } from '../../../src/core/ledger/proof/leaf.ts';
import { leafHash } from '../../../src/core/ledger/proof/merkle.ts';
import type { Verdict } from '../../../src/core/ledger/proof/verdict.ts';
import { verdictOn } from '../../../src/core/ledger/proof/verification.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { privateKeyOf } from './keys.ts';
import { anchorsOf, atOf, chained, logOf, logWith, origin, pinned, stored, type MemoryLog } from './logs.ts';

/** An honest log of 8 to 24 records: what it has signed, and its last anchored record, a few records ago. */
interface Instance {
  readonly log: MemoryLog;
  /** The last signed size; the one before it is half of it. */
  readonly signed: number;
  readonly anchored: number;
  /** Random number that selects where and how to attack. */
  readonly any: number;
}

const instances: fc.Arbitrary<Instance> = fc
  .integer({ min: 8, max: 24 })
  .chain((size) =>
    fc.integer({ min: 6, max: size }).chain((signed) =>
      fc.record({
        size: fc.constant(size),
        signed: fc.constant(signed),
        anchored: fc.integer({ min: 4, max: signed }),
        any: fc.nat(),
      }),
    ),
  )
  .map(({ size, signed, anchored, any }) => {
    const sizes = [...new Set([Math.floor(signed / 2), anchored, signed])].toSorted((a, b) => a - b);
    return { log: logOf(size, sizes), signed, anchored, any };
  });

/** Runs an attack on 200 instances, the same ones each time. */
const attacked = (attack: (instance: Instance) => void): void => {
  fc.assert(fc.property(instances, attack), { numRuns: 200, seed: 20_260_101 });
};

/** The three columns: what a verifier has besides the records. */
const bare = (log: MemoryLog): Verdict => verdictOn(stored({ ...log, checkpoints: [] }), { key: pinned, anchors: [] });
const withCheckpoints = (log: MemoryLog): Verdict => verdictOn(stored(log), { key: pinned, anchors: [] });
const withAnchors = (log: MemoryLog, anchors: readonly Anchor[]): Verdict =>
  verdictOn(stored({ ...log, checkpoints: [] }), { key: pinned, anchors });

const isBroken = (verdict: Verdict): boolean => verdict.kind === 'broken';
/** No claim about records without a head. */
const allBare = (size: number) => ({
  kind: 'sound',
  anchored: null,
  signed: null,
  bare: size === 0 ? null : { from: 1, to: size },
});

const recordsOf = (log: MemoryLog): readonly JsonValue[] =>
  log.entries.map(({ bytes }) => {
    const leaf = leafFrom(bytes);
    if (isProblem(leaf)) throw new Error(leaf.problem);
    return leaf.record;
  });

/** The log with its records from `from` on changed (1 is the first) and chained again; its checkpoints are the old ones. */
function rewritten({ origin: name, entries, checkpoints }: MemoryLog, from: number, count = entries.length): MemoryLog {
  const kept = entries.slice(0, from - 1);
  const last = kept.at(-1);
  const records = Array.from({ length: count - kept.length }, (_, index) => ({ at: atOf(from + index), forged: true }));
  const forged = chained(records, { first: from, prev: last === undefined ? null : leafHash(last.bytes) });
  return { origin: name, entries: [...kept, ...forged], checkpoints };
}

/** The log with only the checkpoints up to `size`: who deletes the tail deletes its checkpoints too. */
const upTo = (log: MemoryLog, size: number): MemoryLog => ({
  ...log,
  entries: log.entries.slice(0, size),
  checkpoints: log.checkpoints.filter((checkpoint) => checkpoint.size <= size),
});

/** The checkpoints that the holder of the key makes for the changed log. */
const signedAgain = (log: MemoryLog): MemoryLog =>
  logWith(
    log.entries,
    log.checkpoints.map(({ size }) => size).filter((size) => size <= log.entries.length),
  );

const bareAfter = (signed: number, { entries }: MemoryLog) =>
  signed === entries.length ? null : { from: signed + 1, to: entries.length };
const minute = 60_000;
/** The log as written by a clock that is `shiftMs` ahead from the first record on. */
const shifted = (log: MemoryLog, shiftMs: number): MemoryLog =>
  signedAgain({ ...log, entries: chained(recordsOf(log).map((_, index) => ({ at: atOf(index + 1) + shiftMs }))) });
it('the honest instances are sound in every column', () => {
  attacked(({ log, signed, anchored }) => {
    const size = log.entries.length;
    expect(bare(log)).toMatchObject(allBare(size));
    expect(withCheckpoints(log)).toMatchObject({ kind: 'sound', anchored: null, signed: { from: 1, to: signed } });
    expect(withAnchors(log, anchorsOf(log, [anchored]))).toMatchObject({
      kind: 'sound',
      anchored: { from: 1, to: anchored },
      remarkCount: 0,
    });
  });
});

describe('L-1, inside the log', () => {
  it.each<[string, (log: MemoryLog, at: number, any: number) => MemoryLog['entries']]>([
    [
      'a record edited, one bit',
      ({ entries }, at, any) =>
        entries.map(({ seq, bytes }, index) => {
          if (index !== at) return { seq, bytes };
          const changed = Buffer.from(bytes);
          const byte = any % changed.length;
          changed[byte] = (changed[byte] ?? 0) ^ (1 << (any % 8));
          return { seq, bytes: changed };
        }),
    ],
    [
      'a record edited, in its canonical form and linked to the record before it',
      ({ entries }, at) => {
        const before = entries[at - 1];
        const prev = before === undefined ? null : leafHash(before.bytes);
        const [forged] = chained([{ at: atOf(at + 1), forged: true }], { first: at + 1, prev });
        return forged === undefined ? entries : entries.with(at, forged);
      },
    ],
    ['a record deleted', ({ entries }, at) => entries.toSpliced(at, 1)],
    [
      'a record deleted, the rows renumbered',
      ({ entries }, at) => entries.toSpliced(at, 1).map(({ bytes }, index) => ({ seq: index + 1, bytes })),
    ],
    [
      'a record inserted',
      ({ entries }, at) => {
        const forged = chained([{ forged: true }], {
          first: at + 1,
          prev: leafHash(entries[at - 1]?.bytes ?? Buffer.alloc(0)),
        });
        return entries.toSpliced(at, 0, ...forged).map(({ bytes }, index) => ({ seq: index + 1, bytes }));
      },
    ],
    [
      'two records swapped',
      ({ entries }, at) => {
        const [a, b] = [entries[at], entries[at + 1]];
        if (a === undefined || b === undefined) throw new Error('no two records');
        return entries.toSpliced(at, 2, b, a);
      },
    ],
    [
      'the bytes of two records swapped',
      ({ entries }, at) => {
        const [a, b] = [entries[at], entries[at + 1]];
        if (a === undefined || b === undefined) throw new Error('no two records');
        return entries.toSpliced(at, 2, { seq: a.seq, bytes: b.bytes }, { seq: b.seq, bytes: a.bytes });
      },
    ],
  ])('%s: detected by the chain alone', (_name, attack) => {
    attacked(({ log, anchored, any }) => {
      // Not the last record: changing it is a change of the tail.
      const at = any % (log.entries.length - 1);
      const forged = { ...log, entries: attack(log, at, any) };
      for (const verdict of [bare(forged), withCheckpoints(forged), withAnchors(forged, anchorsOf(log, [anchored]))]) {
        expect(verdict.kind).toBe('broken');
        // Where a record is reported, it is the changed one or the next, which links to it.
        const where = verdict.kind === 'broken' && verdict.part === 'record' ? verdict.at : at + 1;
        expect([at + 1, at + 2]).toContain(where);
      }
    });
  });
});

describe('L-2, the tail deleted', () => {
  it('is not detected by the chain or by checkpoints deleted with it; the rest is unchanged', () => {
    attacked(({ log, any }) => {
      const cut = upTo(log, any % log.entries.length);
      expect(bare(cut)).toMatchObject(allBare(cut.entries.length));
      expect(withCheckpoints(cut)).toMatchObject({ kind: 'sound', size: cut.entries.length });
    });
  });

  it('is detected by a remaining checkpoint', () => {
    attacked(({ log, signed, any }) => {
      const size = any % signed;
      expect(withCheckpoints({ ...log, entries: log.entries.slice(0, size) })).toMatchObject({
        part: 'checkpoint',
        problem: expect.stringMatching(`^the log ends at ${size}, a checkpoint says `) as unknown,
      });
    });
  });

  it('is detected by an anchor, except for the unanchored tail', () => {
    attacked(({ log, anchored, any }) => {
      const size = any % log.entries.length;
      const verdict = withAnchors(upTo(log, size), anchorsOf(log, [anchored]));
      expect(verdict).toMatchObject(
        size < anchored
          ? { kind: 'broken', part: 'anchor', problem: `the log ends at ${size}, an anchor says ${anchored}` }
          : { kind: 'sound', anchored: { from: 1, to: anchored }, bare: size === anchored ? null : { to: size } },
      );
    });
  });
});

describe('L-3, the whole log deleted', () => {
  const empty: MemoryLog = { origin, entries: [], checkpoints: [] };

  it('is not detected without an anchor: an empty log is sound', () => {
    expect(bare(empty)).toMatchObject(allBare(0));
    expect(withCheckpoints(empty)).toMatchObject(allBare(0));
  });

  it('is detected by any anchor, of the log or of its replacement', () => {
    attacked(({ log, anchored }) => {
      const anchors = anchorsOf(log, [anchored]);
      expect(withAnchors(empty, anchors)).toMatchObject({
        part: 'anchor',
        problem: `the log ends at 0, an anchor says ${anchored}`,
      });
      expect(isBroken(withAnchors(signedAgain(rewritten(log, 1)), anchors))).toBe(true);
    });
  });

  it('is detected by the pinned key if the new log has another epoch', () => {
    const epoch = { ...empty, origin: origin.replace(/.$/, '0') };
    expect(bare(epoch)).toMatchObject({ kind: 'broken', part: 'log' });
  });
});

describe('L-4, rewritten from a record on by somebody who can write the storage', () => {
  it('is not detected by the chain alone', () => {
    attacked(({ log, any }) => {
      const forged = rewritten(log, 1 + (any % log.entries.length));
      expect(bare(forged)).toMatchObject(allBare(log.entries.length));
    });
  });

  it('is detected by the checkpoints, or lies in the bare tail', () => {
    attacked(({ log, signed, any }) => {
      const from = 1 + (any % log.entries.length);
      const verdict = withCheckpoints(rewritten(log, from));
      if (from <= signed) expect(verdict).toMatchObject({ kind: 'broken', part: 'checkpoint' });
      else expect(verdict).toMatchObject({ kind: 'sound', signed: { to: signed }, bare: { from: signed + 1 } });
    });
  });

  it('leaves a longer bare tail if the checkpoints are deleted', () => {
    attacked(({ log, any }) => {
      const from = 1 + (any % log.entries.length);
      const { checkpoints } = upTo(log, from - 1);
      const verdict = withCheckpoints({ ...rewritten(log, from), checkpoints });
      const signed = checkpoints.at(-1)?.size ?? 0;
      expect(verdict).toMatchObject({ kind: 'sound', bare: { from: signed + 1, to: log.entries.length } });
    });
  });

  it('is detected if another key signs the rewritten records', () => {
    attacked(({ log, any }) => {
      const forged = rewritten(log, 1 + (any % log.entries.length));
      const sizes = log.checkpoints.map(({ size }) => size);
      const verdict = withCheckpoints(logWith(forged.entries, sizes, privateKeyOf(Buffer.alloc(32, 9))));
      expect(verdict).toMatchObject({ kind: 'broken', part: 'checkpoint' });
    });
  });

  it('is detected by an anchor, or lies after it', () => {
    attacked(({ log, anchored, any }) => {
      const from = 1 + (any % log.entries.length);
      const verdict = withAnchors(rewritten(log, from), anchorsOf(log, [anchored]));
      if (from <= anchored) expect(verdict).toMatchObject({ kind: 'broken', part: 'anchor', at: anchored });
      else expect(verdict).toMatchObject({ kind: 'sound', anchored: { to: anchored }, bare: { from: anchored + 1 } });
    });
  });
});

describe('L-5, rewritten by the holder of the key', () => {
  it('is not detected by checkpoints, which are signed again', () => {
    attacked(({ log, signed, any }) => {
      const forged = signedAgain(rewritten(log, 1 + (any % log.entries.length)));
      expect(withCheckpoints(forged)).toMatchObject({ kind: 'sound', signed: { from: 1, to: signed } });
    });
  });

  it('is detected for every anchored size', () => {
    attacked(({ log, signed, anchored, any }) => {
      const from = 1 + (any % log.entries.length);
      const forged = signedAgain(rewritten(log, from));
      const verdict = verdictOn(stored(forged), { key: pinned, anchors: anchorsOf(log, [anchored]) });
      if (from <= anchored) expect(verdict).toMatchObject({ kind: 'broken', part: 'anchor', at: anchored });
      else
        expect(verdict).toMatchObject({ kind: 'sound', anchored: { to: anchored }, bare: bareAfter(signed, forged) });
    });
  });
});

describe('L-6, two views of one log', () => {
  it('each is sound by itself, and the view that was not anchored is detected', () => {
    attacked(({ log, anchored, any }) => {
      const fork = signedAgain(rewritten(log, 1 + (any % anchored)));
      expect([bare(fork).kind, withCheckpoints(fork).kind, withCheckpoints(log).kind]).toEqual([
        'sound',
        'sound',
        'sound',
      ]);
      expect(withAnchors(fork, anchorsOf(log, [anchored]))).toMatchObject({ part: 'anchor', at: anchored });
      expect(withAnchors(log, anchorsOf(fork, [anchored]))).toMatchObject({ part: 'anchor', at: anchored });
    });
  });

  it('anchors of both contradict every log', () => {
    attacked(({ log, anchored, any }) => {
      const fork = signedAgain(rewritten(log, 1 + (any % anchored)));
      const both = [...anchorsOf(log, [anchored]), ...anchorsOf(fork, [anchored])];
      expect([withAnchors(log, both), withAnchors(fork, both)].map(isBroken)).toEqual([true, true]);
    });
  });
});

describe('L-7, rolled back to a backup', () => {
  it('is not detected by the chain and its checkpoints', () => {
    attacked(({ log, anchored, any }) => {
      const backup = upTo(log, any % anchored);
      expect([bare(backup).kind, withCheckpoints(backup).kind]).toEqual(['sound', 'sound']);
    });
  });

  it('is detected by an anchor, even when the log has grown again', () => {
    attacked(({ log, anchored, any }) => {
      const size = any % anchored;
      const backup = upTo(log, size);
      const grown = signedAgain(rewritten(log, size + 1, log.entries.length + 3));
      expect(withCheckpoints(grown).kind).toBe('sound');
      for (const rolledBack of [backup, grown]) {
        expect(withAnchors(rolledBack, anchorsOf(log, [anchored]))).toMatchObject({ kind: 'broken', part: 'anchor' });
      }
    });
  });
});

describe('L-8, a suffix rewritten to the same length', () => {
  it('has the right size, and is detected by the hash of the anchor', () => {
    attacked(({ log, anchored, any }) => {
      const forged = signedAgain(rewritten(log, 1 + (any % anchored)));
      expect(forged.entries).toHaveLength(log.entries.length);
      expect(withCheckpoints(forged)).toMatchObject({ kind: 'sound', size: log.entries.length });
      expect(withAnchors(forged, anchorsOf(log, [anchored]))).toMatchObject({ part: 'anchor', at: anchored });
    });
  });
});

describe('L-10, a wrong clock', () => {
  it('is not detected without an anchor', () => {
    attacked(({ log, any }) => {
      const lying = shifted(log, (any % 2 === 0 ? 1 : -1) * (2 * minute + (any % 1_000_000)));
      for (const verdict of [bare(lying), withCheckpoints(lying)]) {
        expect(verdict).toMatchObject({ kind: 'sound', remarkCount: 0 });
      }
    });
  });

  it('is bounded by the times of anchors', () => {
    attacked(({ log, anchored, any }) => {
      const ahead = any % 2 === 0;
      const lying = shifted(log, (ahead ? 1 : -1) * (2 * minute + (any % 1_000_000)));
      // Received at the true time, whatever the log claims.
      const verdict = withAnchors(lying, anchorsOf(lying, [anchored]));
      // A clock that is behind shows only in records after an anchor.
      const shows = ahead || anchored < log.entries.length;
      expect(verdict).toMatchObject({ kind: 'sound', anchored: { to: anchored }, remarkCount: shows ? 1 : 0 });
      if (verdict.kind !== 'sound' || !shows) return;
      expect(verdict.remarks[0]?.seq).toBe(ahead ? 1 : anchored + 1);
      expect(verdict.remarks[0]?.remark).toMatch(ahead ? /^the clock was ahead/ : /^the clock was behind/);
    });
  });

  it('is remarked on if it steps back', () => {
    attacked(({ log, any }) => {
      const size = log.entries.length;
      const from = 1 + (any % (size - 1));
      const entries = chained(
        recordsOf(log).map((_, index) => ({
          at: atOf(index + 1) - (index < from ? 0 : minute),
          kind: index + 1 === size ? 'checkpoint' : 'use',
        })),
      );
      expect(bare({ ...log, entries })).toMatchObject({
        kind: 'sound',
        remarks: [{ seq: size, remark: `the clock stepped back by ${minute - 1_000 * (size - from)} ms` }],
      });
    });
  });
});

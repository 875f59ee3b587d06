import { describe, expect, it } from '@jest/globals';
import { clockSteps } from '../../../src/core/ledger/clock-steps.ts';

/** A record with its claimed instant and the monotonic instant of writing; a checkpoint is written when it claims. */
type Written = readonly [kind: 'use' | 'checkpoint', at: unknown, mono: number, boot?: string];

const hour = 3_600_000;
const noon = 12 * hour;

/** The detected steps, with the index of the record that shows each. */
const stepsIn = (records: readonly Written[]) => {
  const steps = clockSteps();
  return records.flatMap(([kind, at, mono, boot = 'first'], index) => {
    const found = steps.see({ boot, mono, record: { kind, at: at as number } });
    return found === null ? [] : [[index, found]];
  });
};

describe('clockSteps', () => {
  it.each<[string, readonly Written[], readonly (readonly number[])[]]>([
    [
      'nothing for records written in another order',
      [
        ['use', noon + 500, 600],
        ['use', noon + 100, 600],
        ['use', noon + 550, 601],
        ['checkpoint', noon + 700, 700],
        ['use', noon + 650, 750],
        ['checkpoint', noon + 900, 900],
      ],
      [],
    ],
    [
      'nothing for a record that waited in an outbox for a day',
      [
        ['checkpoint', noon + 24 * hour, 1_000],
        ['use', noon, 2_000],
        ['checkpoint', noon + 24 * hour + 1_000, 2_000],
      ],
      [],
    ],
    [
      'nothing for a checkpoint that waited by both clocks',
      [
        ['checkpoint', noon, 1_000],
        ['checkpoint', noon + 60_000, 61_000],
      ],
      [],
    ],
    [
      'nothing for a clock that is slewed',
      [
        ['checkpoint', noon, 1_000],
        ['checkpoint', noon + 4_000, 6_000],
        ['checkpoint', noon + 8_000, 11_000],
      ],
      [],
    ],
    [
      'a clock set back while a process ran, although no instant is out of order',
      [
        ['use', noon - 2 * hour, 900],
        ['checkpoint', noon - 2 * hour, 1_000],
        ['checkpoint', noon - hour, 2 * hour + 1_000],
      ],
      [[2, hour]],
    ],
    [
      'a clock set back, once, although tasks use the clock floor',
      [
        ['use', noon, 0],
        ['checkpoint', noon, 0],
        ['use', noon + 5_000, 5_000],
        ['checkpoint', noon - hour + 5_000, 5_000],
        ['use', noon + 9_900, 10_000],
        ['checkpoint', noon - hour + 10_000, 10_000],
        ['use', noon + 14_800, 15_000],
        ['checkpoint', noon - hour + 15_000, 15_000],
      ],
      [[3, hour]],
    ],
    [
      'a second step',
      [
        ['checkpoint', noon, 0],
        ['checkpoint', noon - hour + 5_000, 5_000],
        ['checkpoint', noon - 3 * hour + 10_000, 10_000],
      ],
      [
        [1, hour],
        [2, 2 * hour],
      ],
    ],
    [
      'a clock set back between two processes',
      [
        ['checkpoint', noon, 900_000, 'first'],
        ['checkpoint', noon - hour, 50, 'second'],
        ['checkpoint', noon - hour + 5_000, 5_050, 'second'],
      ],
      [[1, hour]],
    ],
    [
      'a clock that was ahead between two checkpoints',
      [
        ['checkpoint', noon, 0],
        ['use', noon + hour, 2_000],
        ['checkpoint', noon + 5_000, 5_000],
        ['use', noon + 6_000, 6_000],
        ['checkpoint', noon + 10_000, 10_000],
      ],
      [[2, hour - 5_000]],
    ],
    [
      'nothing for an invalid instant',
      [
        ['checkpoint', 'noon', 0],
        ['use', null, 1],
        ['checkpoint', noon, 2],
      ],
      [],
    ],
  ])('detects %s', (_name, records, steps) => {
    expect(stepsIn(records)).toEqual(steps);
  });
});

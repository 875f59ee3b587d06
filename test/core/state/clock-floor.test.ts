import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ClockFloor, CONFIRM_MS, MAX_FLOOR_MS, MAX_STEP_MS, SLOWED_BY } from '../../../src/core/state/clock-floor.ts';
import type { FloorMark } from '../../../src/core/state/clock-floor.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const START = Date.UTC(2026, 10, 24, 12);
const unknown: FloorMark = { floorMs: 0, boot: null };

/** A machine whose clocks a test sets. The wall clock is off by `offMs`; the monotonic clock does not count sleep. */
class Machine {
  offMs = 0;
  bootId: string | null = 'boot-1';
  #passedMs = 0;
  #sleptMs = 0;

  pass(ms: number): void {
    this.#passedMs += ms;
  }

  /** Lets time pass that the monotonic clock does not count. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
  }

  /** The true time. */
  get trueMs(): number {
    return START + this.#passedMs + this.#sleptMs;
  }

  floor(mark: FloorMark = unknown): ClockFloor {
    return new ClockFloor(
      {
        nowMs: () => Math.floor(this.trueMs + this.offMs),
        monotonicMs: () => this.#passedMs,
        boot: () =>
          this.bootId === null
            ? null
            : { bootId: this.bootId, sinceMs: Math.floor(9 * HOUR + this.#passedMs + this.#sleptMs) },
      },
      mark,
    );
  }

  /** Reads every second for `ms`, and returns by how much the floor is off at the end, in milliseconds. */
  watch(floor: ClockFloor, ms: number): number {
    for (let passed = 0; passed < ms; passed += SECOND) {
      this.pass(SECOND);
      floor.read();
    }
    return this.lead(floor);
  }

  lead(floor: ClockFloor): number {
    return floor.read().floorMs - this.trueMs;
  }
}

describe('ClockFloor', () => {
  it('equals the wall clock to the millisecond while both clocks agree, whatever the interval of readings', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { maxLength: 100 }), (steps) => {
        const machine = new Machine();
        const floor = machine.floor();
        for (const ms of steps) {
          machine.pass(ms);
          const { wallMs, floorMs } = floor.read();
          expect(floorMs).toBe(wallMs);
        }
      }),
    );
  });

  it('does not step back by a millisecond if the wall clock did over a restart', () => {
    const machine = new Machine();
    const floor = machine.floor();
    const { floorMs } = floor.read();
    machine.offMs = -1;
    expect(machine.floor(floor.mark()).read().floorMs).toBe(floorMs);
  });

  it('follows a wall clock set forward by up to 5 s at once, but only once in 15 minutes', () => {
    const machine = new Machine();
    const floor = machine.floor();
    machine.offMs = MAX_STEP_MS;
    expect(machine.lead(floor)).toBe(MAX_STEP_MS);
    machine.offMs += SECOND;
    expect(machine.lead(floor)).toBe(MAX_STEP_MS);
    machine.watch(floor, 4 * MINUTE);
    expect(machine.lead(floor)).toBe(MAX_STEP_MS + SECOND);
  });

  it('does not follow a step of +10 min that is corrected within 15 minutes', () => {
    const machine = new Machine();
    const floor = machine.floor();
    machine.offMs = 10 * MINUTE;
    expect(machine.watch(floor, CONFIRM_MS - SECOND)).toBe(0);
    machine.offMs = 0;
    expect(machine.watch(floor, HOUR)).toBe(0);
  });

  it('follows a wall clock that was ahead for 15 minutes, by the smallest lead', () => {
    const machine = new Machine();
    const floor = machine.floor();
    machine.offMs = 20 * MINUTE;
    machine.watch(floor, MINUTE);
    machine.offMs = 10 * MINUTE;
    machine.watch(floor, CONFIRM_MS - 2 * MINUTE);
    machine.offMs = HOUR;
    expect(machine.watch(floor, 2 * MINUTE)).toBe(10 * MINUTE);
    expect(machine.watch(floor, CONFIRM_MS + SECOND)).toBe(HOUR);
  });

  it('goes on 1 % slower after a step back until the wall clock catches up', () => {
    const machine = new Machine();
    const floor = machine.floor();
    machine.offMs = -10 * MINUTE;
    expect(machine.watch(floor, 10 * MINUTE)).toBeGreaterThanOrEqual(-SLOWED_BY * 10 * MINUTE - 1);
    const lead = machine.watch(floor, 20 * HOUR);
    expect(lead - machine.offMs).toBeGreaterThanOrEqual(0);
    expect(lead - machine.offMs).toBeLessThanOrEqual(2);
  });

  it('is reset if the wall clock is more than 24 hours behind for 15 minutes, not by a single reading', () => {
    const machine = new Machine();
    const floor = machine.floor();
    machine.offMs = -MAX_FLOOR_MS - HOUR;
    expect(machine.watch(floor, CONFIRM_MS - SECOND)).toBe(0);
    expect(machine.watch(floor, 2 * SECOND)).toBe(machine.offMs);
  });

  it('counts sleep of the machine, even if the wall clock does not show it', () => {
    const machine = new Machine();
    const floor = machine.floor();
    machine.sleep(HOUR);
    expect(machine.lead(floor)).toBe(0);
    machine.sleep(HOUR);
    machine.offMs = -2 * HOUR;
    expect(machine.watch(floor, 2 * SECOND)).toBeGreaterThan(-SECOND);
  });

  it('treats sleep as a step if no clock counts it', () => {
    const machine = new Machine();
    machine.bootId = null;
    const floor = machine.floor();
    machine.sleep(HOUR);
    expect(machine.lead(floor)).toBe(-HOUR);
    expect(machine.watch(floor, CONFIRM_MS + SECOND)).toBe(0);
  });

  it.each<[string, (machine: Machine) => void, number]>([
    ['with a correct wall clock', () => undefined, 0],
    ['while the wall clock is ahead', (machine) => (machine.offMs = 10 * MINUTE), 0],
    ['while it is behind', (machine) => (machine.offMs = -10 * MINUTE), 0],
    [
      'after a reboot, by the wall clock',
      (machine) => Object.assign(machine, { bootId: 'boot-2', offMs: 10 * MINUTE }),
      10 * MINUTE,
    ],
    [
      'without a later mark, by the wall clock',
      (machine) => Object.assign(machine, { bootId: null, offMs: HOUR }),
      HOUR,
    ],
    [
      'after a reboot, by the mark',
      (machine) => Object.assign(machine, { bootId: 'boot-2', offMs: -HOUR }),
      -20 * MINUTE,
    ],
    [
      'after a reboot, by a wall clock more than 24 h before the mark',
      (machine) => Object.assign(machine, { bootId: 'boot-2', offMs: -25 * HOUR }),
      -25 * HOUR,
    ],
  ])('continues when the process restarts %s', (_name, change, expected) => {
    const machine = new Machine();
    const mark = machine.floor().mark();
    machine.pass(5 * MINUTE);
    machine.sleep(15 * MINUTE);
    change(machine);
    expect(machine.lead(machine.floor(mark))).toBe(expected);
  });

  /** What can happen to a machine: time passes, it sleeps, or its wall clock is set anywhere within a day. */
  const happening = fc.record({
    passMs: fc.double({ min: 0, max: 20 * MINUTE, noNaN: true }),
    sleepMs: fc.constantFrom(0, 0, 0, HOUR),
    offMs: fc.oneof(
      fc.constant(null),
      fc.integer({ min: -12 * HOUR, max: 12 * HOUR }),
      fc.integer({ min: -3_000, max: 3_000 }),
    ),
    restarts: fc.boolean(),
  });

  it('never steps back, whatever the wall clock does and however often the process restarts', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const machine = new Machine();
        let floor = machine.floor();
        let last = 0;
        for (const { passMs, sleepMs, offMs, restarts } of happenings) {
          machine.pass(passMs);
          machine.sleep(sleepMs);
          machine.offMs = offMs ?? machine.offMs;
          if (restarts) floor = machine.floor(floor.mark());
          const { floorMs } = floor.read();
          expect(floorMs).toBeGreaterThanOrEqual(last);
          last = floorMs;
        }
      }),
    );
  });

  it('gains at most 5 s, and 5 s per 15 minutes, over the elapsed time, for any unconfirmed readings', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const machine = new Machine();
        const floor = machine.floor();
        floor.read();
        for (const { passMs, sleepMs, offMs } of happenings) {
          machine.pass(passMs / 10);
          machine.sleep(sleepMs);
          machine.offMs = offMs ?? machine.offMs;
          floor.read();
          // The clock is right for a moment in between, which prevents a confirmation.
          machine.offMs = 0;
          floor.read();
        }
        const passedMs = machine.trueMs - START;
        const boundMs = MAX_STEP_MS + (passedMs * MAX_STEP_MS) / CONFIRM_MS;
        expect(machine.lead(floor)).toBeLessThanOrEqual(boundMs + 1);
        expect(machine.lead(floor)).toBeGreaterThanOrEqual(-SLOWED_BY * passedMs - SECOND);
      }),
    );
  });

  it('meets a wall clock again that is no longer changed, wherever it was set', () => {
    fc.assert(
      fc.property(fc.integer({ min: -MAX_FLOOR_MS, max: 40 * 24 * HOUR }), (offMs) => {
        const machine = new Machine();
        const floor = machine.floor();
        machine.offMs = offMs;
        for (let minute = 0; minute < 20; minute += 1) machine.watch(floor, MINUTE);
        for (let hour = 0; hour < 2_500; hour += 1) {
          machine.pass(HOUR);
          floor.read();
        }
        const { wallMs, floorMs } = floor.read();
        expect(Math.abs(floorMs - wallMs)).toBeLessThanOrEqual(MAX_STEP_MS);
        expect(offMs < 0 ? floorMs - wallMs : 0).toBeLessThanOrEqual(2);
      }),
      { numRuns: 30 },
    );
  });
});

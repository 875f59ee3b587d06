import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { LedgerGrowth, retainOf, roomLeft } from '../../../src/serve/ledger/ledger-room.ts';
import { mustConfig } from '../../builders/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'ledger-room-'));
afterAll(() => rmSync(folder, { recursive: true }));
const disk = statfsSync(folder);
const DAY_S = 86_400;

const ledgerOf = (section: string) => {
  const text = `trustDomains: [acme.test]\nstate: sqlite:${folder}/state.db\n${section}`;
  return mustConfig(text, { folder }).ledger;
};

describe('retainOf', () => {
  it('is half of the file system by default, even before the folder exists', () => {
    const { maxBytes, maxAgeMs } = retainOf(ledgerOf(''));
    expect(maxBytes).toBe(Math.floor((disk.blocks * disk.bsize) / 2));
    expect(maxAgeMs).toBe(400 * DAY_S * 1_000);
  });

  it('is the configured size', () => {
    expect(retainOf(ledgerOf('ledger: { retainGiB: 3, retainDays: 2 }'))).toEqual({
      maxBytes: 3 * 1024 ** 3,
      maxAgeMs: 2 * DAY_S * 1_000,
    });
  });
});

describe('roomLeft', () => {
  it('is bounded by the limit and by the disk', () => {
    expect(roomLeft(folder, { bytes: 400, maxBytes: 1_000 })).toBe(600);
    expect(roomLeft(folder, { bytes: 1_400, maxBytes: 1_000 })).toBe(0);
    const free = roomLeft(folder, { bytes: 0, maxBytes: Number.MAX_SAFE_INTEGER });
    expect(free).toBeLessThanOrEqual(disk.blocks * disk.bsize);
    expect(free % disk.bsize).toBe(0);
  });
});

/** Notes a size each minute and returns the growth that the last note gives. */
const steady = (growth: LedgerGrowth, hours: number, perHour: number, from = { hour: 0, bytes: 0 }) => {
  let rate: number | null = null;
  for (let minute = 0; minute <= hours * 60; minute++)
    rate = growth.note(from.bytes + (perHour * minute) / 60, (from.hour * 60 + minute) * 60_000);
  return rate;
};

describe('Growth', () => {
  it('is unknown in the first minutes, then the bytes added per second', () => {
    expect(new LedgerGrowth().note(5_000, 0)).toBeNull();
    expect(steady(new LedgerGrowth(), 1 / 12, 3_600)).toBeNull();
    expect(steady(new LedgerGrowth(), 1, 3_600)).toBeCloseTo(1);
  });

  it('counts deleted segments as no growth, and forgets what is older than a day', () => {
    const growth = new LedgerGrowth();
    expect(steady(growth, 2, 3_600)).toBeCloseTo(1);
    growth.note(0, 2 * 3_600_000);
    expect(steady(growth, 2, 3_600, { hour: 2, bytes: 0 })).toBeCloseTo(1);
    expect(steady(growth, 30, 0, { hour: 4, bytes: 7_200 })).toBe(0);
  });
});

import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { TimeZones } from '../../../src/core/action/catalog/time-zones.ts';
import { formattedWall, localTimes, temporalWall } from '../../../src/core/policy/local-time.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import type { CacheResult } from '../../../src/core/policy/answers/cache.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { datetime } from './answers/keyed.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const zones = (...names: readonly string[]): TimeZones => new Map(names.map((name) => [name, name]));
const at = (zone: string, instant: string) => localTimes(zones(zone), Date.parse(instant))[zone];

describe('localTimes', () => {
  it.each([
    ['UTC', '2026-01-15T12:00:00Z', [4, 720, '2026-01-15']],
    ['Europe/Berlin', '2026-01-15T12:00:00Z', [4, 780, '2026-01-15']],
    ['Europe/Berlin', '2026-07-15T12:00:00Z', [3, 840, '2026-07-15']],
    // The skipped hour and the repeated hour of daylight saving.
    ['Europe/Berlin', '2026-03-29T00:59:59Z', [7, 119, '2026-03-29']],
    ['Europe/Berlin', '2026-03-29T01:00:00Z', [7, 180, '2026-03-29']],
    ['Europe/Berlin', '2026-10-25T00:30:00Z', [7, 150, '2026-10-25']],
    ['Europe/Berlin', '2026-10-25T01:30:00Z', [7, 150, '2026-10-25']],
    ['America/New_York', '2026-01-01T04:59:00Z', [3, 1439, '2025-12-31']],
    ['America/New_York', '2026-01-01T05:00:00Z', [4, 0, '2026-01-01']],
    ['Asia/Kolkata', '2026-01-18T18:30:00Z', [1, 0, '2026-01-19']],
    ['Australia/Lord_Howe', '2026-01-15T12:00:00Z', [4, 1380, '2026-01-15']],
    ['Pacific/Kiritimati', '2026-01-15T12:00:00Z', [5, 120, '2026-01-16']],
    ['Europe/Berlin', '1969-12-31T23:30:00Z', [4, 30, '1970-01-01']],
    // Before today's time zones: the offset had seconds.
    ['Europe/Paris', '1900-01-01T00:00:00Z', [1, 9, '1900-01-01']],
  ] as const)('is in %s at %s what the clock on the wall says', (zone, instant, [weekday, minuteOfDay, date]) => {
    expect(at(zone, instant)).toEqual({ weekday, minuteOfDay, date: datetime(date) });
  });

  it('is the same on a Node.js that has no `Temporal`', () => {
    const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'), 'UTC', 'US/Pacific', 'Etc/GMT+5');
    const instant = fc.integer({ min: Date.parse('1850-01-01'), max: Date.parse('2200-01-01') });
    fc.assert(
      fc.property(zone, instant, (name, atMs) => {
        expect(formattedWall(name, atMs)).toEqual(temporalWall(name, atMs));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is computed once per second', () => {
    const named = zones('Europe/Berlin');
    const first = localTimes(named, 1_800_000_000_000);
    expect(localTimes(named, 1_800_000_000_999)).toBe(first);
    expect(localTimes(named, 1_800_000_001_000)).not.toBe(first);
    expect(localTimes(named, 1_800_000_000_999)).toEqual(first);
  });

  it('gives a value that the engine refuses for an instant that no date can hold', () => {
    const never = { weekday: 0, minuteOfDay: 0, date: datetime('') };
    expect(localTimes(zones('UTC'), Number.NaN)).toEqual({ UTC: never });
    // The last instant of a date, which is later there.
    expect(localTimes(zones('Asia/Tokyo'), 8_640_000_000_000_000)).toEqual({ 'Asia/Tokyo': never });
  });
});

const policies = `
@id("read") permit (principal, action == Remit::Action::"issue", resource)
when { context.requested.action == "files.read" && context.time.office.minuteOfDay >= 510 };
@id("list") permit (principal, action == Remit::Action::"issue", resource) when { context.requested.action == "files.list" };
@id("weekend") forbid (principal, action == Remit::Action::"issue", resource)
when { context.time.office.weekday > 5 || context.time.tokyo.date == datetime("2026-01-15") };
`;
const catalog = exampleCatalog.replace('office: Europe/Berlin', 'office: Europe/Berlin\n  tokyo: Asia/Tokyo');

function asked(set: PolicySet, nowMs: number) {
  const agent = mustSpiffeId('spiffe://acme.test/a');
  const server = set.catalog.servers.get('files');
  if (server === undefined) throw new Error('no server');
  const requested = { action: 'files.read', risk: 'low', constraints: unconstrained } as const;
  const facts = {
    agent,
    server,
    purpose: '',
    actions: ['files.read'],
    requested,
    ttlSeconds: 1,
    taskSeconds: 1,
    nowMs,
  };
  return issueQuestion(facts, set.catalog);
}

function kept(set: PolicySet, instant: string | number) {
  const nowMs = typeof instant === 'number' ? instant : Date.parse(instant);
  let cache: CacheResult | null = null;
  const keep = { nowMs, untilMs: nowMs + 604_800_000, onCache: (result: CacheResult) => (cache = result) };
  return { answer: set.ask(asked(set, nowMs), keep), cache };
}

describe('an answer by local time', () => {
  it('is cached until a value that was read changes', async () => {
    const set = await mustLoad(folderWith(policies, { catalog }));
    const permitted = { kind: 'permitted', policyIds: ['read'] };
    expect(kept(set, '2026-01-16T07:29:59Z')).toEqual({ answer: { kind: 'not-permitted' }, cache: 'miss' });
    expect(kept(set, '2026-01-16T07:30:00Z')).toEqual({ answer: permitted, cache: 'miss' });
    // Minute 510 is a bound; all later minutes are on its other side.
    expect(kept(set, '2026-01-16T07:31:00Z')).toEqual({ answer: permitted, cache: 'miss' });
    expect(kept(set, '2026-01-16T14:59:59Z')).toEqual({ answer: permitted, cache: 'hit' });
    expect(kept(set, '2026-01-16T22:59:59Z')).toEqual({ answer: permitted, cache: 'hit' });
    expect(kept(set, '2026-01-16T23:00:00Z')).toMatchObject({ answer: { policyIds: ['weekend'] }, cache: 'miss' });
    expect(kept(set, '2026-01-14T15:00:00Z')).toMatchObject({ answer: { policyIds: ['weekend'] }, cache: 'miss' });
  });

  it('is equal with and without cache at any time', async () => {
    const set = await mustLoad(folderWith(policies, { catalog }));
    const start = Date.parse('2026-01-12T00:00:00Z');
    let hits = 0;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 * 24 * 60 * 2 }), (halfMinutes) => {
        const nowMs = start + halfMinutes * 30_000;
        const { answer, cache } = kept(set, nowMs);
        if (cache === 'hit') hits += 1;
        expect(answer).toEqual(set.ask(asked(set, nowMs)));
      }),
      { numRuns: 1_000 },
    );
    expect(hits).toBeGreaterThan(100);
  });

  it('has a key of sides of bounds only, and no time if no policy reads a time', async () => {
    const set = await mustLoad(folderWith(policies, { catalog }));
    expect(set.keyReads(asked(set, 0))).toEqual([
      'context.requested.action',
      'context.time.office.minuteOfDay against long 510',
      'context.time.office.weekday against long 5',
      expect.stringMatching(/^context\.time\.tokyo\.date against datetime \d+$/),
    ]);
    const timeless = await mustLoad(
      folderWith('@id("p") permit (principal, action, resource) when { context has ttlSeconds };', { catalog }),
    );
    expect(timeless.keyReads(asked(timeless, 0))).toEqual(['has context.ttlSeconds']);
    expect(kept(timeless, '2026-01-16T07:29:59Z').cache).toBe('miss');
    expect(kept(timeless, '2026-01-17T22:00:00Z').cache).toBe('hit');
  });

  it('is refused by the type checker if the catalog has no such zone', async () => {
    const none = exampleCatalog.replace(/timeZones:\n.*\n/, '');
    for (const [text, named] of [
      [policies, exampleCatalog],
      [policies, none],
    ] as const) {
      await expect(mustLoad(folderWith(text, { catalog: named }))).rejects.toThrow(/`time(\.tokyo)?`/);
    }
  });
});

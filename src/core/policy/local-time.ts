import type { TimeZones } from '../action/catalog/time-zones.ts';
import type { CedarRecord } from './cedar-value.ts';

/**
 * The record `context.time`: for each named zone `weekday` (1 is Monday, 7 Sunday), `minuteOfDay` (0 to 1439 local time,
 * daylight saving included) and `date` (the local day as `datetime("2026-12-25")`), by the time zone database of the runtime
 * (`process.versions.tz`). Computed once per second for all checks.
 *
 * @param nowMs milliseconds since the Unix epoch; an instant that Cedar cannot represent gives a value that the engine refuses
 */
export function localTimes(zones: TimeZones, nowMs: number): CedarRecord {
  const second = Math.floor(nowMs / 1000);
  const known = read.get(zones);
  if (known?.second === second) return known.times;
  const times = Object.fromEntries(Array.from(zones, ([name, zone]) => [name, localTime(zone, second * 1000)]));
  read.set(zones, { second, times });
  return times;
}

/** Memoised by the zones of a catalog. */
const read = new WeakMap<TimeZones, { readonly second: number; readonly times: CedarRecord }>();

function localTime(zone: string, atMs: number): CedarRecord {
  if (!isDate(new Date(atMs))) return NEVER;
  const wall = wallIn(zone, atMs);
  return isDate(wall) ? timeOf(wall) : NEVER;
}

const isDate = (date: Date): boolean => !Number.isNaN(date.getTime());

/** @param wall local time, as if it were UTC */
const timeOf = (wall: Date): CedarRecord => ({
  weekday: wall.getUTCDay() || 7,
  minuteOfDay: wall.getUTCHours() * 60 + wall.getUTCMinutes(),
  date: dateValue(wall.toISOString().split('T', 1).join()),
});

const dateValue = (arg: string): CedarRecord => ({ __extn: { fn: 'datetime', arg } });

const NEVER: CedarRecord = { weekday: 0, minuteOfDay: 0, date: dateValue('') };

/** The local time of a zone as if it were UTC, to the minute; an invalid date if `Date` cannot represent it. */
type Wall = (zone: string, atMs: number) => Date;

/** Reads 1 MiB of the time zone database into memory. */
export const temporalWall: Wall = (zone, atMs) => {
  const there = new Temporal.ZonedDateTime(BigInt(atMs) * 1_000_000n, zone);
  return new Date(Date.UTC(there.year, there.month - 1, there.day, there.hour, there.minute));
};

const FIELDS = ['year', 'month', 'day', 'hour', 'minute'] as const;

/** The same with `Intl.DateTimeFormat`, which takes 9 MiB of memory. */
export const formattedWall: Wall = (zone, atMs) => {
  const parts = formatOf(zone).formatToParts(atMs);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0] = FIELDS.map((field) =>
    Number(parts.find(({ type }) => type === field)?.value),
  );
  return new Date(Date.UTC(year, month - 1, day, hour, minute));
};

/** Node.js has `Temporal` from version 26 on. */
const wallIn = 'Temporal' in globalThis ? temporalWall : formattedWall;

/** By zone; the database has some 600. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  formats.set(timeZone, made);
  return made;
}

import { dirname, join, resolve } from 'node:path';
import { integer, made, optional, textOf } from '../runtime/fields.ts';
import { isProblem } from '../runtime/problem.ts';
import { aloneOr, section } from './fields.ts';
import { statePathOf } from './state.ts';
import type { StatePlace } from './state.ts';
import { s3PlaceFrom } from './s3-place.ts';
import type { S3Place } from './s3-place.ts';

/** The place in which an authority keeps the records of its sidecars. */
export type RecordsPlace =
  /** Files of a folder, written by one process. */
  | { readonly kind: 'file'; readonly folder: string }
  | { readonly kind: 's3'; readonly place: S3Place }
  /** The database of the state, of all authorities on it. */
  | { readonly kind: 'postgres' };

/** The section `records`. */
export interface RecordsConfig {
  /** Default `null`: in the database of the state, if any, else in the folder `records` beside the state file. */
  readonly place: RecordsPlace | null;
  /** Age in days at which records are deleted. Default 400, 1 to 36,500. */
  readonly retainDays: number;
  /** Stored size of all records at which the oldest are deleted, 1 to 65,536 GiB. Default `null`: no limit. */
  readonly retainGiB: number | null;
}

const RETAIN_DAYS = 400;
const FILE = 'file:';

const recordsPlace = (folder: string) =>
  textOf<RecordsPlace>('`file:/path`, `s3://bucket/prefix` or `postgres`', (value) => {
    if (value === 'postgres') return { kind: 'postgres' };
    if (value.startsWith(FILE)) return { kind: 'file', folder: resolve(folder, value.slice(FILE.length)) };
    if (!value.startsWith('s3:')) return { problem: `got \`${value}\`` };
    const place = s3PlaceFrom(value);
    return isProblem(place) ? place : { kind: 's3', place };
  });

/** Reads the section `records`, or its `place` alone. */
export const records = (folder: string) =>
  aloneOr(
    made(recordsPlace(folder), (place): RecordsConfig => ({ place, retainDays: RETAIN_DAYS, retainGiB: null })),
    section<RecordsConfig>({
      place: optional(recordsPlace(folder), null),
      retainDays: optional(integer(1, 36_500), RETAIN_DAYS),
      retainGiB: optional(integer(1, 65_536), null),
    }),
  );

/** The place of records: that of the configuration, or its default. */
export function recordsPlaceOf({
  records: { place },
  state,
}: {
  readonly records: Pick<RecordsConfig, 'place'>;
  readonly state: StatePlace;
}): RecordsPlace {
  if (place !== null) return place;
  return state.kind === 'postgres'
    ? { kind: 'postgres' }
    : { kind: 'file', folder: join(dirname(statePathOf(state)), 'records') };
}

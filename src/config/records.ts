import { dirname, join, resolve } from 'node:path';
import { textOf } from '../runtime/fields.ts';
import { isProblem } from '../runtime/problem.ts';
import { statePathOf } from './state.ts';
import type { StatePlace } from './state.ts';
import { s3PlaceFrom } from './s3-place.ts';
import type { S3Place } from './s3-place.ts';

/** Where an authority keeps the records of its sidecars. */
export type RecordsPlace =
  /** Files of a folder, written by one process. */
  { readonly kind: 'file'; readonly folder: string } | { readonly kind: 's3'; readonly place: S3Place };

const FILE = 'file:';

/** Reads the key `records`. */
export const recordsPlace = (folder: string) =>
  textOf<RecordsPlace>('`file:/path` or `s3://bucket/prefix`', (value) => {
    if (value.startsWith(FILE)) return { kind: 'file', folder: resolve(folder, value.slice(FILE.length)) };
    if (!value.startsWith('s3:')) return { problem: `got \`${value}\`` };
    const place = s3PlaceFrom(value);
    return isProblem(place) ? place : { kind: 's3', place };
  });

/** Where records are kept where the configuration does not say: the folder `records` beside the state file. */
export const recordsPlaceOf = ({
  records,
  state,
}: {
  readonly records: RecordsPlace | null;
  readonly state: StatePlace;
}): RecordsPlace => records ?? { kind: 'file', folder: join(dirname(statePathOf(state)), 'records') };

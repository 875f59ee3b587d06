import { recordText } from '../../../core/ledger/record.ts';

/** A name and a value, for people. The value has at most 2,048 characters and a digest. */
export type Detail = readonly [name: string, value: string];

/** Shows text of a call, with each credential in it replaced by a digest. */
export type Shown = (text: string) => string;

/** Most entries shown of a list. */
const MAX_ENTRIES = 64;

/** A detail; empty if there is no value. */
export const detail = (name: string, value: string | number | null | undefined): readonly Detail[] =>
  value === null || value === undefined || value === '' ? [] : [[name, recordText(String(value))]];

/** The entries of a list as one value, `none` if the list is empty. */
export function listText(entries: readonly string[]): string {
  const shown = entries.slice(0, MAX_ENTRIES).join(', ');
  const left = entries.length - MAX_ENTRIES;
  return entries.length === 0 ? 'none' : `${shown}${left > 0 ? ` and ${left} more` : ''}`;
}

/** An instant in milliseconds since the Unix epoch, for people; `null` if it has no date. */
export const instantText = (ms: number | null): string | null => {
  if (ms === null) return null;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
};

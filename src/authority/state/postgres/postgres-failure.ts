import { DatabaseError } from 'pg';
import { storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';

/** What SQLSTATEs mean for a caller; the longest prefix counts. */
const codes: ReadonlyMap<string, { readonly code: StoreFailure['code']; readonly text: string }> = new Map([
  ['23505', { code: 'conflict', text: 'a row with that key exists' }],
  ['23', { code: 'refused', text: 'the database does not store that' }],
  ['P0001', { code: 'refused', text: 'the database does not store that' }],
  ['22021', { code: 'refused', text: 'the database does not store a text of the input' }],
  ['22P05', { code: 'refused', text: 'the database does not store a text of the input' }],
  ['53100', { code: 'full', text: 'the disk of the database is full' }],
  ['40', { code: 'busy', text: 'a conflict with another transaction' }],
  ['55P03', { code: 'busy', text: 'a row is locked by another transaction' }],
  ['53', { code: 'busy', text: 'the database has no room for the call' }],
  ['57', { code: 'busy', text: 'the database ended the call' }],
  ['08', { code: 'busy', text: 'the connection to the database was lost' }],
  ['25', { code: 'busy', text: 'the database takes no writes' }],
  ['28', { code: 'unusable', text: 'the database refuses the login' }],
  [
    '42501',
    {
      code: 'unusable',
      text: 'the role lacks a privilege: run `remit migrate --grant ROLE` with the role of this process',
    },
  ],
  ['42P01', { code: 'unusable', text: 'the database lacks the tables of Remit: run `remit migrate`' }],
  ['3F000', { code: 'unusable', text: 'the database lacks the tables of Remit: run `remit migrate`' }],
  ['3D000', { code: 'unusable', text: 'there is no such database' }],
]);

/** The failure of a call for an error of PostgreSQL, or of the connection to it. The message of a server has no secret of ours. */
export function failureOfPostgres(error: unknown): StoreFailure {
  if (!(error instanceof DatabaseError)) {
    const cause = error instanceof Error ? error.message : String(error);
    return storeFailure('busy', `the database cannot be reached: ${cause}`);
  }
  const { code = '', message } = error;
  const known = codes.get(code) ?? codes.get(code.slice(0, 2));
  return known === undefined
    ? storeFailure('busy', `the database failed with ${code}: ${message}`)
    : storeFailure(known.code, known.code === 'conflict' ? known.text : `${known.text}: ${message}`);
}

/** SQLSTATEs after which every connection to the server is dropped: it is no primary any more, or shuts down. */
const GONE = /^(?:25006|57P0[123]|08...)$/;

/** Whether the server or the way to it is gone, so that the primary must be found again. What was sent may have been done. */
export const isLost = (error: unknown): boolean =>
  !(error instanceof DatabaseError) || GONE.test(error.code ?? '') || error.severity === 'FATAL';

import { encodedRecord } from '../../src/core/ledger/encoded-record.ts';
import { must } from './must.ts';

/** The record of a key that an operator revoked. */
export const keyRevocation = (kid: string) =>
  must(
    encodedRecord({
      kind: 'event',
      at: 1_000,
      task: null,
      event: 'key-revoked',
      cause: 'operator.revoked',
      note: 'its memory was read',
      by: 'operator Ada',
      details: { kid },
    }),
  );

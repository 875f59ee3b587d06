import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ledgerFetch } from '../../../src/cli/ledger/ledger-fetch.ts';
import { ledgerQuery } from '../../../src/cli/ledger/ledger-query.ts';
import { taskNumber } from '../../builders/task.ts';
import { ran } from '../../cli/ledgers.ts';

/** Copies received records from a store with packs of six records or more. Gives what the command prints, and the files of the index. */
export async function fetchedWithPacks(from: string, out: string): Promise<readonly [string, readonly string[]]> {
  const printed = await ran((args, io) => ledgerFetch(args, io, { packRecords: 6 }), from, '--out', out);
  return [printed.out + printed.err, readdirSync(join(out, 'index')).toSorted()];
}

/** What a query finds of task 7 in a copy, with its index and, once that is deleted, without it. */
export async function foundWithAndWithout(ledger: string, copy: string) {
  const asked = () => ran(ledgerQuery, '--ledger', ledger, '--received', copy, '--task', taskNumber(7).id, '--json');
  const indexed = await asked();
  rmSync(join(copy, 'index'), { recursive: true });
  return { indexed, read: await asked() };
}

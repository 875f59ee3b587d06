/** A ledger of observed uses and a policy folder with entries, for tests of `remit observe`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { dayOf } from '../../../src/core/runtime/day.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { baseSchema, exampleCatalog } from '../../builders/policy-folder.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { observedUse } from '../../tools/learn/learning.ts';

export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;

/** A day from today on, as `until` has it. */
export const dayFromNow = (days: number): string => dayOf(Date.now() + days * DAY_MS);

/** Writes a ledger with these records, oldest first; returns its folder. */
export function ledgerOf(folder: string, records: readonly UseRecord[]): string {
  const log = mustOpenLog(settingsIn(folder));
  const inOrder = records.toSorted((one, other) => one.at - other.at);
  log.append(
    inOrder.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
    'f'.repeat(32),
  );
  log.close();
  return join(folder, 'ledger');
}

/** A use that is observed under the entry `legacy`, some hours ago. */
export const seen = (agent: string, hoursAgo: number, change: Partial<UseRecord> = {}): UseRecord =>
  observedUse({
    agent,
    entry: 'legacy',
    at: Date.now() - hoursAgo * HOUR_MS,
    action: 'files.list',
    would: { decision: 'allow', reason: null, detail: null, policyIds: ['reads'] },
    ...change,
  });

/** One call a day at the same time, on each of the last days. */
export const daily = (agent: string, days: number, change: Partial<UseRecord> = {}): readonly UseRecord[] =>
  Array.from({ length: days }, (_, day) => seen(agent, 1 + day * 24, change));

/** Writes a policy folder with this `enforcement.yaml`. */
export async function policiesWith(folder: string, enforcement: string): Promise<string> {
  await writeFile(join(folder, 'actions.yaml'), exampleCatalog);
  await writeFile(join(folder, 'base.cedarschema'), baseSchema);
  await writeFile(
    join(folder, 'all.cedar'),
    '@id("reads")\npermit (principal, action == Remit::Action::"files.list", resource);\n',
  );
  await writeFile(join(folder, 'enforcement.yaml'), enforcement);
  return folder;
}

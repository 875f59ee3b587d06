import { dirname, join } from 'node:path';
import type { LedgerRecord } from '../../src/core/ledger/record.ts';
import { mustOpenLog, settingsIn } from '../core/ledger/log/logs.ts';
import { encoded } from '../builders/ledger-record.ts';
import { mustOpen } from '../builders/state-file.ts';
import { tokenNumber } from '../builders/task.ts';
import { intentOf, storedTask, useOf } from '../tools/policy/cases/records.ts';

/** The uses of a day: with and without a known task, under this policy set and another, and denials made before the policies. */
const uses = (policySet: string): readonly LedgerRecord[] => [
  useOf({ decisionId: 'list', policySet }),
  useOf({
    decisionId: 'create',
    policySet,
    action: 'payments.create',
    method: 'POST',
    policyIds: ['payments-write'],
  }),
  useOf({ decisionId: 'nobody', task: null, agent: null, decision: 'deny', reason: 'identity.missing', policyIds: [] }),
  useOf({ decisionId: 'late', decision: 'deny', reason: 'token.expired', policyIds: [] }),
  useOf({ decisionId: 'before', decision: 'deny', reason: 'policy.not-permitted', policyIds: [] }),
];

/**
 * Writes a state file with one task, and beside it a ledger with its intent and uses, and `more` uses with other paths. Returns the path of
 * the state file.
 */
export function recordedUses(folder: string, policySet: string, path = '', more = 0): string {
  const state = join(folder, 'state.db');
  const store = mustOpen(state);
  const failure = store.insertTask(storedTask(), tokenNumber(1), []);
  if (failure !== null) throw new Error(JSON.stringify(failure));
  store.close();
  const log = mustOpenLog(settingsIn(dirname(state)));
  // Record numbers come from the log and are not members of a record.
  const others = Array.from({ length: more }, (_, n) => useOf({ decisionId: `more-${n}`, path: `/${path}` }));
  const records = [intentOf(), ...uses(policySet), ...others].map(({ ...record }) => {
    Reflect.deleteProperty(record, 'seq');
    return { bytes: encoded(record).bytes, outbox: null };
  });
  log.append(records, 'f'.repeat(32));
  log.close();
  return state;
}

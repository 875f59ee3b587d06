import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ledgerVerify } from '../../../../src/cli/ledger/ledger-verify.ts';
import type { JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import { encodedRecord } from '../../../../src/core/ledger/encoded-record.ts';
import { formerTextsMissing } from '../../../../src/core/ledger/log/former-texts.ts';
import { keepPolicies, keptPoliciesFile } from '../../../../src/core/ledger/log/kept-policies.ts';
import type { SegmentLog } from '../../../../src/core/ledger/log/log.ts';
import type { LedgerRecord } from '../../../../src/core/ledger/record.ts';
import { setHashOf } from '../../../../src/core/policy/loading/set-hash.ts';
import { folderWith } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { ran } from '../../../cli/ledgers.ts';
import { policyLoad } from '../../../tools/evidence/demo-ledger.ts';
import { mustOpenLog, settingsIn } from './logs.ts';

const folder = testFolders();

const sets = ['one', 'two', 'three'].map((id) => {
  const source = folderWith(`@id("${id}") permit (principal, action, resource);`);
  return { source, hash: setHashOf(source) };
});
const [first = '', second = '', third = ''] = sets.map(({ hash }) => hash);

/** A record of the load of a set. */
function load(log: SegmentLog, policySet: string, more: Readonly<Record<string, JsonValue | undefined>> = {}): void {
  const record = { ...policyLoad, policySet, ...more };
  // A record of an earlier version lacks a member.
  must(log.append([{ bytes: must(encodedRecord(record as unknown as LedgerRecord)).bytes, outbox: null }], 'none'));
  must(log.checkpoint());
}

/** A ledger of an earlier version with the texts of three sets, of which that version deleted the first without a record. */
async function former() {
  const at = folder();
  const log = mustOpenLog(settingsIn(at));
  const ledger = join(at, 'ledger');
  for (const set of sets) {
    must(await keepPolicies(ledger, set));
    load(log, set.hash, { textsGivenUp: undefined });
  }
  rmSync(keptPoliciesFile(ledger, first));
  const verify = async () => {
    log.close();
    return ran(ledgerVerify, '--key', log.verifierKey, '--ledger', ledger);
  };
  return { log, ledger, verify };
}

// Issue 37, point 3: such a ledger was called BROKEN for good.
describe('policy texts that an earlier version deleted without a record', () => {
  it('are named by the first record of this version, and verify says so', async () => {
    const { log, ledger, verify } = await former();
    const missing = formerTextsMissing(ledger);
    expect(missing).toEqual([first]);
    load(log, third, { textsMissing: missing });
    const { exit, out } = await verify();
    expect([exit, out]).toEqual([0, expect.stringMatching(/verdict {4}whole$/m)]);
    expect(out).toContain(
      `remark     record 7: policy texts that an earlier version kept were missing by then, which deleted the oldest without a record: ${first}`,
    );
  });

  it('are missing without such a record', async () => {
    const { log, verify } = await former();
    load(log, third);
    const { exit, out } = await verify();
    expect([exit, out]).toEqual([3, expect.stringContaining(`the text of policy set ${first} is missing`)]);
  });

  it.each<[string, (ledger: string, log: SegmentLog) => unknown]>([
    ['with nothing more', () => undefined],
    ['and a later record names it', (_ledger, log) => load(log, third, { textsMissing: [second] })],
    [
      'and a later start looks again',
      (ledger, log) => load(log, third, { textsMissing: [...formerTextsMissing(ledger)] }),
    ],
  ])('cannot be pretended: a text that is deleted after that record is missing, %s', async (_how, then) => {
    const { log, ledger, verify } = await former();
    load(log, third, { textsMissing: [...formerTextsMissing(ledger)] });
    rmSync(keptPoliciesFile(ledger, second));
    expect(formerTextsMissing(ledger)).toEqual([]);
    then(ledger, log);
    const { exit, out } = await verify();
    expect([exit, out]).toEqual([3, expect.stringContaining(`the text of policy set ${second} is missing`)]);
  });

  it('are none in a ledger of this version, and without a ledger', async () => {
    const at = folder();
    const log = mustOpenLog(settingsIn(at));
    load(log, first);
    expect(formerTextsMissing(join(at, 'ledger'))).toEqual([]);
    expect(formerTextsMissing(join(at, 'nothing'))).toEqual([]);
    log.close();
  });
});

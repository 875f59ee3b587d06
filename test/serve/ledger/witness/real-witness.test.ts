import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ledgerVerify } from '../../../../src/cli/ledger/ledger-verify.ts';
import { visitWitness } from '../../../../src/serve/ledger/witness/witness-visit.ts';
import type { WitnessState } from '../../../../src/serve/ledger/witness/witness-visit.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { addUse, diskLedger, ran } from '../../../cli/ledgers.ts';
import { mustOpenLog, portsAt } from '../../../core/ledger/log/logs.ts';
import { describeWith, litewitnessPart } from '../../../parts.ts';
import { independentExit } from '../../../verifier/independent.ts';
import { startLitewitness, type Litewitness } from './litewitness.ts';

const folder = testFolders();

/** A ledger, the file of its cosigned checkpoints, and visits of a witness to it. */
function witnessed(witness: Litewitness, uses: number) {
  const ledger = diskLedger(folder(), uses, { isClosed: false });
  const file = join(ledger.folder, '../witnessed.txt');
  const keep = (note: string): void => appendFileSync(file, `${note}\n`);
  const visit = (at = ledger.folder): Promise<WitnessState> =>
    visitWitness(witness, null, { folder: at, keep, signal: AbortSignal.timeout(60_000) });
  return { ledger, file, visit };
}

describeWith(litewitnessPart(), 'litewitness', (binaries) => {
  let witness: Litewitness;
  let second: Litewitness;
  beforeAll(async () => {
    witness = await startLitewitness(binaries, { folder: folder(), name: 'witness.acme.test/one' });
    second = await startLitewitness(binaries, { folder: folder(), name: 'witness.acme.test/two' });
  });
  afterAll(async () => {
    await witness?.stop();
    await second?.stop();
  });

  it('cosigns a ledger as it grows, and both verifiers count it', async () => {
    const { ledger, file, visit } = witnessed(witness, 9);
    expect(await visit()).toMatchObject({
      kind: 'behind',
      problem: 'it does not know this ledger or its key: give it the verifier key that `remit serve` prints',
    });
    witness.addLog(ledger.key);
    expect(await visit()).toEqual({ kind: 'cosigned', size: 12 });
    // From each checkpoint to the next, through several segments.
    for (let n = 10; n <= 24; n += 2) {
      addUse(ledger.log, n);
      addUse(ledger.log, n + 1);
      ledger.log.checkpoint();
      expect(await visit()).toEqual({ kind: 'cosigned', size: ledger.log.size });
    }
    addUse(ledger.log, 26);
    ledger.log.close();
    expect(await visit()).toEqual({ kind: 'cosigned', size: ledger.log.size });

    const keys = ['--key', ledger.key, '--ledger', ledger.folder, '--witness', witness.keyText, '--witnessed', file];
    const { exit, out } = await ran(ledgerVerify, ...keys);
    expect([exit, out]).toEqual([0, expect.stringContaining(`anchored   1 to ${ledger.log.size}\n`)]);
    expect(out).toMatch(
      new RegExp(`^witness {4}witness\\.acme\\.test/one: records 1 to ${ledger.log.size}, at 2\\d{3}-`, 'm'),
    );
    const independent = { key: ledger.key, folder: ledger.folder, witnesses: [witness.keyText], witnessed: file };
    expect(independentExit(independent, 0)).toBe(0);
    // A second witness that has cosigned nothing is missing in a quorum of two.
    const both = [...keys, '--witness', second.keyText];
    expect(await ran(ledgerVerify, ...both)).toMatchObject({
      exit: 2,
      out: expect.stringContaining('sound, and cosigned by fewer than 2 of the witnesses'),
    });
    expect(independentExit({ ...independent, witnesses: [witness.keyText, second.keyText] }, 2)).toBe(2);
    expect((await ran(ledgerVerify, ...both, '--quorum', '1')).exit).toBe(0);
  });

  it('refuses a ledger that was put back from a copy, and another history of it', async () => {
    const { ledger, file, visit } = witnessed(witness, 9);
    witness.addLog(ledger.key);
    const copy = join(folder(), 'ledger');
    cpSync(ledger.folder, copy, { recursive: true });
    for (let n = 10; n <= 14; n++) addUse(ledger.log, n);
    ledger.log.close();
    expect(await visit()).toEqual({ kind: 'cosigned', size: 18 });
    expect(await visit(copy)).toEqual({
      kind: 'contradicts',
      size: 18,
      problem: expect.stringMatching(/^it has cosigned 18 records, and the last checkpoint here has 12: /),
    });
    const log = mustOpenLog({ ...ledger.settings, folder: copy, checkpointFile: null }, portsAt(1_800_000_000_000));
    for (let n = 30; n <= 50; n++) addUse(log, n);
    log.close();
    expect(await visit(copy)).toEqual({
      kind: 'contradicts',
      size: 18,
      problem: expect.stringMatching(/^it has cosigned other records than the first 18 of this ledger/),
    });
    // What the witness has cosigned convicts the copy, which the holder of the key has signed.
    const { exit, out } = await ran(
      ledgerVerify,
      '--key',
      ledger.key,
      '--ledger',
      copy,
      '--witness',
      witness.keyText,
      '--witnessed',
      file,
    );
    expect([exit, out]).toEqual([3, expect.stringContaining('are not those of this anchor')]);
    const independent = { key: ledger.key, folder: copy, witnesses: [witness.keyText], witnessed: file };
    expect(independentExit(independent, 3)).toBe(3);
    expect((await ran(ledgerVerify, '--key', ledger.key, '--ledger', copy)).exit).toBe(0);
  });
});

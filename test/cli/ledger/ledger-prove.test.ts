import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerCheckProof } from '../../../src/cli/ledger/ledger-check-proof.ts';
import { ledgerProve } from '../../../src/cli/ledger/ledger-prove.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { diskLedger, ran, segmentsOf, tamper, type DiskLedger } from '../ledgers.ts';

const folder = testFolders();

let ledger: DiskLedger;
beforeAll(() => {
  ledger = diskLedger(folder(), 10);
});

const prove = (...args: readonly string[]) => ran(ledgerProve, '--ledger', ledger.folder, ...args);
const check = (file: string, ...args: readonly string[]) => ran(ledgerCheckProof, file, '--key', ledger.key, ...args);
const origin = (): string => ledger.key.split('+')[0] ?? '';

describe('remit ledger prove and check-proof', () => {
  it('prove every record of every segment on its own', async () => {
    for (let seq = 1; seq <= 14; seq++) {
      const { exit, out } = await prove(String(seq));
      expect([seq, exit, out.split('\n')[0]]).toEqual([seq, 0, 'c2sp.org/tlog-proof@v1']);
      const file = join(folder(), 'proof');
      writeFileSync(file, out);
      const checked = await check(file, '--json');
      expect([checked.exit, JSON.parse(checked.out)]).toMatchObject([0, { origin: origin(), leaf: { seq } }]);
    }
  });

  it('accept a decision id, write a private file, and print the record for people', async () => {
    const file = join(folder(), 'proof');
    expect(await prove('use-5', '--out', file)).toEqual({ exit: 0, out: '', err: '' });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const { exit, out } = await check(file);
    expect(exit).toBe(0);
    expect(out).toMatch(
      new RegExp(
        `^proved    record 6 of \`${origin()}\`\nunder     the signed checkpoint of 8 records with root [\\w+/=]{44}\n`,
      ),
    );
    expect(out).toContain('  "decisionId": "use-5",\n');
    expect(await prove('use-5', '--out', file)).toMatchObject({
      exit: 2,
      err: `remit ledger prove: \`${file}\` cannot be written: EEXIST\n`,
    });
  });

  it('work if earlier records were pruned', async () => {
    const pruned = diskLedger(folder(), 10);
    rmSync(segmentsOf(pruned.folder)[0] ?? '');
    for (const id of ['5', '8', '13']) {
      const { out } = await ran(ledgerProve, '--ledger', pruned.folder, id);
      const file = join(folder(), 'proof');
      writeFileSync(file, out);
      expect((await ran(ledgerCheckProof, file, '--key', pruned.key)).exit).toBe(0);
    }
    expect(await ran(ledgerProve, '--ledger', pruned.folder, '4')).toMatchObject({
      exit: 1,
      err: 'remit ledger prove: record 4 was pruned: the ledger begins later\n',
    });
  });

  it.each([
    ['99', 'record 99 does not exist: the ledger ends before it'],
    ['no-such-decision', 'there is no record of this decision'],
  ])('exit with 1 for %s', async (id, problem) => {
    expect(await prove(id)).toEqual({ exit: 1, out: '', err: `remit ledger prove: ${problem}\n` });
  });

  it('state how long to wait for a record that is not signed yet', async () => {
    const open = diskLedger(folder(), 4, { isClosed: false });
    expect(await ran(ledgerProve, '--ledger', open.folder, 'use-4')).toMatchObject({
      exit: 1,
      err: 'remit ledger prove: record 5 is not covered by a checkpoint yet: the next is due within 5 seconds while `remit serve` runs, or at its end\n',
    });
    open.log.close();
  });

  it('give no proof for a changed record or its neighbours', async () => {
    const bad = diskLedger(folder(), 4);
    const [path = ''] = segmentsOf(bad.folder);
    tamper(
      path,
      `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), 'allow', 'deny') AS BLOB) WHERE seq = 2`,
    );
    for (const id of ['1', '2']) {
      expect(await ran(ledgerProve, '--ledger', bad.folder, id)).toMatchObject({
        exit: 1,
        err: `remit ledger prove: record ${id} cannot be proved because the ledger is damaged: run \`remit ledger verify\`\n`,
      });
    }
  });

  it.each<[string, (proof: string) => string, RegExp]>([
    [
      'another record',
      (proof) => proof.replace(/^extra .*$/m, `extra ${Buffer.from('{}').toString('base64')}`),
      /does not prove the record/,
    ],
    ['another place', (proof) => proof.replace(/^index 5$/m, 'index 4'), /does not prove the record/],
    ['another size', (proof) => proof.replace(/\n8\n/, '\n9\n'), /has an invalid checkpoint: it has a wrong signature/],
    ['nothing', () => '', /must begin with/],
  ])('exit with 1 for a proof with %s', async (_name, change, said) => {
    const file = join(folder(), 'proof');
    writeFileSync(file, change((await prove('6')).out));
    const { exit, out, err } = await check(file);
    expect([exit, out]).toEqual([1, '']);
    expect(err).toMatch(/^remit ledger check-proof: NOT proved: /);
    expect(err).toMatch(said);
  });

  it('exit with 1 for a proof of another ledger, and with 2 without a key or a file', async () => {
    const file = join(folder(), 'proof');
    writeFileSync(file, (await prove('6')).out);
    const other = diskLedger(folder(), 1);
    expect((await ran(ledgerCheckProof, file, '--key', other.key)).exit).toBe(1);
    expect((await ran(ledgerCheckProof, file, '--key', other.key, '--key', ledger.key)).exit).toBe(0);
    expect((await ran(ledgerCheckProof, file)).exit).toBe(2);
    expect(await check('/nowhere')).toEqual({
      exit: 2,
      out: '',
      err: 'remit ledger check-proof: the proof `/nowhere` cannot be read: ENOENT\n',
    });
  });
});

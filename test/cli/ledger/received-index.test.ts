import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { indexReceived } from '../../../src/authority/records/received-index.ts';
import { ledgerIndex } from '../../../src/cli/ledger/ledger-index.ts';
import { ledgerQuery } from '../../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../../src/cli/ledger/ledger-verify.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../ledgers.ts';
import { receivedFleet } from '../received-fleet.ts';

/** The index of the records of sidecars, through the commands. */

const folder = testFolders();

let fleet: Awaited<ReturnType<typeof receivedFleet>>;
beforeAll(async () => {
  fleet = await receivedFleet(folder);
});

const asked = (...args: readonly string[]) =>
  ran(ledgerQuery, '--ledger', fleet.ledger, '--received', fleet.records, '--json', '--oldest-first', ...args);
const verified = async () =>
  ran(ledgerVerify, '--ledger', fleet.ledger, '--received', fleet.records, '--key', fleet.key);

describe('the index of received records', () => {
  it('finds the same, and is compared with the records', async () => {
    const questions = [
      ['--token', 'digest-21'],
      ['--decision-id', 'use-31'],
      ['--path', '/v1/payments'],
      ['--kind', 'checkpoint'],
      ['--not-executed', '--limit', '4'],
      ['--token', 'digest-12', '--whole-tasks'],
    ];
    const before = [];
    for (const question of questions) before.push(await asked(...question));
    expect(before[0]?.out).toContain('"decisionId":"use-21"');
    const whole = (await verified()).out;
    // The command makes full parts only: here the ledger's newest segment and the records of sidecars have none.
    expect(await ran(ledgerIndex, '--ledger', fleet.ledger, '--received', fleet.records)).toMatchObject({
      exit: 0,
      out: expect.stringMatching(
        /: 0 records in 0 parts, 0 of them made now; \d+ records are not indexed\n.*: 0 records in 0 parts, 0 of them made now; 19 records are not indexed\n$/,
      ),
    });
    expect(indexReceived(fleet.records, { suffix: 'a', packRecords: 6 })).toMatchObject({ packs: 3, made: 3, left: 0 });
    const after = [];
    for (const question of questions) after.push(await asked(...question));
    expect(after).toEqual(before);
    expect((await verified()).out).toBe(whole);
  });

  it('is broken if it hides a record', async () => {
    const folderOf = join(fleet.records, 'index');
    const [name = ''] = readdirSync(folderOf);
    const path = join(folderOf, name);
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 0xff, bytes.length - 5);
    writeFileSync(path, bytes);
    const { exit, out } = await verified();
    expect([exit, out]).toEqual([3, expect.stringContaining(`its index \`${path}\` does not match its records`)]);
  });
});

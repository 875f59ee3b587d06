import { cpSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { testFolders } from '../builders/test-folders.ts';
import { ran, tamper } from './ledgers.ts';
import { receivedFleet } from './received-fleet.ts';

/**
 * Issue 37, point 3: each column of the file in which an authority keeps how far it has each log, changed by itself, in the row of each log. The
 * columns are listed by the file, so that a new one without a row fails.
 */
const folder = testFolders();

let whole: Awaited<ReturnType<typeof receivedFleet>>;
beforeAll(async () => {
  whole = await receivedFleet(folder);
});

/** A copy of the received records, with the file of heads. */
function copied(): { readonly records: string; readonly heads: string } {
  const records = folder();
  cpSync(whole.records, records, { recursive: true });
  return { records, heads: join(records, 'emitters.db') };
}

const verdict = async (records: string): Promise<readonly [number, string]> => {
  const { exit, out } = await ran(ledgerVerify, '--key', whole.key, '--ledger', whole.ledger, '--received', records);
  return [exit, out];
};

/** What is found of a change, or why nothing is. */
const columns: Readonly<Record<string, readonly (readonly [what: string, sql: string, says: RegExp | null])[]>> = {
  origin: [
    ['of another log', "origin = origin || 'x'", /is damaged in the row of/],
    [
      'and key of another log',
      "origin = replace(origin, 'tools-7', 'tools-8'), verifier_key = replace(verifier_key, 'tools-7', 'tools-8')",
      /is damaged in the row of|which the ledger of the authority does not name/,
    ],
  ],
  verifier_key: [['damaged', "verifier_key = 'x'", /is damaged in the row of/]],
  id: [['another sidecar', "id = 'spiffe://acme.test/ns/tools/sa/other'", /has another sidecar of/]],
  range: [
    ['none', "range = x'0000000000000000'", /has 0 records of `.*`, the ledger of the authority says that \d are kept/],
    [
      'another hash',
      "range = CAST(substr(range, 1, length(range) - 1) || x'00' AS BLOB)",
      /has a tree of `.*` that is not that/,
    ],
    [
      'more records',
      "range = CAST(x'0000000000000040' || substr(range, -32) AS BLOB)",
      /has 64 records of `.*`, of which some/,
    ],
    ['damaged', "range = x'00'", /is damaged in the row of/],
  ],
  head: [
    ['another hash', 'head = zeroblob(32)', /has another hash of the last record/],
    ['none', "head = x''", /has another hash of the last record/],
    ['damaged', "head = x'00'", /is damaged in the row of/],
  ],
  signed: [
    ['none', 'signed = 0', /says that 0 records of `.*` are under a checkpoint/],
    ['one more', 'signed = signed + 1', /says that \d records of `.*` are under a checkpoint/],
  ],
  state: [
    ['another', "state = CASE state WHEN 'left' THEN 'open' ELSE 'left' END", /says of `.*` that it is (open|left)/],
    ['none', "state = 'x'", /is damaged in the row of/],
  ],
  // When an ended log is forgotten, which is then sent from its first record.
  at_ms: [['another time', 'at_ms = 0', null]],
};

function columnsOf(heads: string): readonly string[] {
  const db = new DatabaseSync(heads, { readOnly: true });
  const found = db.prepare("SELECT name FROM pragma_table_info('emitters')").all();
  db.close();
  return found.map(({ name }) => String(name));
}

describe('remit ledger verify --received, of the file of heads', () => {
  it('has a row for each of its columns', () => {
    expect(Object.keys(columns).toSorted()).toEqual([...columnsOf(copied().heads)].toSorted());
  });

  it('finds nothing wrong before', async () => {
    expect((await verdict(copied().records))[0]).toBe(0);
  });

  it.each(
    Object.entries(columns).flatMap(([column, ways]) =>
      ways.flatMap(([what, sql, says]) => [0, 1, 2].map((row) => [column, what, row, sql, says] as const)),
    ),
  )('%s, %s, of row %i', async (_column, _what, row, sql, says) => {
    const { records, heads } = copied();
    const at = `WHERE origin = (SELECT origin FROM emitters ORDER BY origin LIMIT 1 OFFSET ${row})`;
    expect(tamper(heads, `UPDATE emitters SET ${sql} ${at}`)).toBe(1);
    const [exit, out] = await verdict(records);
    expect([exit, out]).toEqual(says === null ? [0, expect.any(String)] : [3, expect.stringMatching(says)]);
  });

  it('finds that the keys of two logs were exchanged', async () => {
    const { records, heads } = copied();
    tamper(
      heads,
      `UPDATE emitters SET verifier_key = (SELECT e.verifier_key FROM emitters e WHERE e.origin <> emitters.origin LIMIT 1)`,
    );
    expect((await verdict(records))[0]).toBe(3);
  });

  it('finds a row of a log that was never received', async () => {
    const { records, heads } = copied();
    const made = `SELECT replace(origin, 'tools-7', 'tools-8'), replace(verifier_key, 'tools-7', 'tools-8'), id, range, head, signed, state, at_ms`;
    tamper(heads, `INSERT INTO emitters ${made} FROM emitters LIMIT 1`);
    expect((await verdict(records))[0]).toBe(3);
  });

  it('finds that the file is none', async () => {
    const { records, heads } = copied();
    truncateSync(heads, 100);
    expect(await verdict(records)).toEqual([3, expect.stringContaining('is damaged: ')]);
  });

  it('finds nothing without the file: each sidecar then sends its log anew', async () => {
    const { records, heads } = copied();
    rmSync(heads);
    expect((await verdict(records))[0]).toBe(0);
  });
});

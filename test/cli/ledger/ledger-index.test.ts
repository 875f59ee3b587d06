import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerIndex } from '../../../src/cli/ledger/ledger-index.ts';
import { ledgerQuery } from '../../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../../src/cli/ledger/ledger-verify.ts';
import { indexLedger } from '../../../src/core/ledger/log/indexed-ledger.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { IndexBuilder } from '../../../src/core/ledger/search/index-builder.ts';
import { indexFileBytes } from '../../../src/core/ledger/search/index-file.ts';
import { encoded, useRecord } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { taskNumber } from '../../builders/task.ts';
import { mustOpenLog, portsAt, settingsIn } from '../../core/ledger/log/logs.ts';
import { ran, START_MS } from '../ledgers.ts';

const folder = testFolders();

const use = (n: number, change: Partial<UseRecord> = {}): UseRecord =>
  useRecord({
    at: START_MS + n * 1_000,
    decisionId: `use-${n}`,
    task: taskNumber(n % 3).id,
    agent: taskNumber(n).agent,
    credential: 'task-token',
    action: 'payments.pay',
    args: { amount: n, payment: `p-${n}` },
    policyIds: ['payments-limit'],
    policySet: 'set-1',
    policyGeneration: 1,
    tokenUse: 1,
    reuse: ['first'],
    jtiDigest: `digest-${n}`,
    method: 'POST',
    path: `/v1/payments/p-${n}`,
    ...change,
  });

/** Twelve uses with a checkpoint and a new segment after every four, and their verifier key. */
let home = '';
let key = '';
beforeAll(() => {
  const settings = settingsIn(folder(), { segment: { maxBytes: 1, maxAgeMs: 3_600_000 } });
  const clock = { nowMs: START_MS };
  const log = mustOpenLog(settings, { ...portsAt(0), nowMs: () => clock.nowMs });
  for (let n = 1; n <= 12; n += 1) {
    clock.nowMs = START_MS + n * 1_000;
    const record =
      n === 12 ? use(n, { args: { payment: 'p-7' }, decision: 'deny', reason: 'policy.forbidden' }) : use(n);
    must(log.append([{ bytes: encoded(record).bytes, outbox: null }], 'f'.repeat(32)) ?? 'done');
    if (n % 4 === 0) log.checkpoint();
  }
  key = log.verifierKey;
  log.close();
  home = settings.folder;
});

/** A copy of the ledger with its index, in parts of two records. */
function indexed(): string {
  const at = join(folder(), 'ledger');
  cpSync(home, at, { recursive: true });
  must(indexLedger(at, { nowMs: START_MS, suffix: 'a', partRecords: 2 }));
  return at;
}

const partsIn = (ledger: string): readonly string[] =>
  readdirSync(join(ledger, 'index'))
    .toSorted()
    .map((name) => join(ledger, 'index', name));

const found = async (ledger: string, ...args: readonly string[]) => {
  const { out, err } = await ran(ledgerQuery, '--ledger', ledger, '--json', '--oldest-first', ...args);
  const ids = out.split('\n').flatMap((line) => (line === '' ? [] : [String(JSON.parse(line).decisionId)]));
  return { ids, err };
};

describe('remit ledger index', () => {
  it('indexes closed segments whole, once, and says what it did', async () => {
    const at = join(folder(), 'ledger');
    cpSync(home, at, { recursive: true });
    const first = await ran(ledgerIndex, '--ledger', at, '--json');
    expect(JSON.parse(first.out)).toEqual({
      ledger: at,
      parts: 3,
      made: 3,
      indexed: 15,
      left: 0,
      discarded: 0,
    });
    expect(await ran(ledgerIndex, '--ledger', at)).toEqual({
      exit: 0,
      out: `${at}: 15 records in 3 parts, 0 of them made now; 0 records are not indexed\n`,
      err: '',
    });
    expect((await ran(ledgerVerify, '--ledger', at, '--key', key)).exit).toBe(0);
  });

  it('refuses a folder without a ledger, and a folder that cannot be written', async () => {
    const nothing = folder();
    expect(await ran(ledgerIndex, '--ledger', nothing)).toEqual({
      exit: 2,
      out: '',
      err: `remit ledger index: no ledger in \`${nothing}\`\n`,
    });
    const at = join(folder(), 'ledger');
    cpSync(home, at, { recursive: true });
    writeFileSync(join(at, 'index'), 'not a folder');
    expect(await ran(ledgerIndex, '--ledger', at)).toMatchObject({
      exit: 2,
      err: `remit ledger index: the index of \`${at}\` cannot be written: ENOTDIR\n`,
    });
    chmodSync(at, 0o700);
  });

  it('makes a part again that is not an index of these records', async () => {
    const at = indexed();
    const [first = '', second = ''] = partsIn(at);
    cpSync(first, second);
    expect(await ran(ledgerIndex, '--ledger', at)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('old files'),
    });
    expect((await found(at, '--value', 'p-4')).err).toBe('');
  });
});

describe('remit ledger query with an index', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['a value', ['--value', 'p-7'], ['use-7', 'use-12']],
    ['an argument', ['--arg', 'amount=3'], ['use-3']],
    ['two arguments', ['--arg', 'amount=3', '--arg', 'payment=p-4'], []],
    ['a token', ['--token', 'digest-9'], ['use-9']],
    ['a policy and a value', ['--policy', 'payments-limit', '--value', 'p-2'], ['use-2']],
    ['a policy set', ['--policy-set', 'set-2'], []],
    ['a template', ['--path', '/v1/payments/{id}', '--limit', '2'], ['use-1', 'use-2']],
    ['all of the tasks of a value', ['--value', 'p-4', '--whole-tasks'], ['use-1', 'use-4', 'use-7', 'use-10']],
    ['a reason', ['--reason', 'policy.forbidden'], ['use-12']],
  ])('finds by %s what it finds without', async (_name, args, ids) => {
    expect(await found(home, ...args)).toMatchObject({ ids });
    const at = indexed();
    expect((await found(at, ...args)).ids).toEqual(ids);
  });

  it('says why a part is not used, and reads the records instead', async () => {
    const at = indexed();
    const [part = ''] = partsIn(at);
    const [other = ''] = partsIn(indexed()).slice(-1);
    cpSync(other, part);
    const { ids, err } = await found(at, '--value', 'p-1');
    expect(ids).toEqual(['use-1']);
    expect(err).toMatch(
      /is of records \d+ to \d+, expected from 1 on: records were read instead; `remit ledger index` makes/,
    );
  });

  it('shows what the head of a part says without its control characters', async () => {
    const at = indexed();
    const [part = ''] = partsIn(at);
    const head = { origin: 'x\u001b]0;owned\u0007\u001b[2J', from: 1, upto: 2, last: 'x' };
    writeFileSync(part, indexFileBytes(head, new IndexBuilder().finished()));
    const { ids, err } = await found(at, '--value', 'p-1');
    expect([ids, err]).toEqual([
      ['use-1'],
      expect.stringContaining('is of the ledger `x?]0;owned??[2J`: records were read instead'),
    ]);
  });

  it.each([
    [['--arg', 'p-7'], '--arg must be NAME=VALUE, got `p-7`: --value finds a value of any name'],
    [['--path', 'v1'], '--path `v1`: a path template must begin with `/`'],
  ])('refuses %j', async (args, message) => {
    expect(await ran(ledgerQuery, '--ledger', home, ...args)).toEqual({
      exit: 2,
      out: '',
      err: `remit ledger query: ${message}\n`,
    });
  });
});

const verdict = async (ledger: string): Promise<readonly [number, string]> => {
  const { exit, out } = await ran(ledgerVerify, '--ledger', ledger, '--key', key);
  return [exit, out];
};

describe('remit ledger verify', () => {
  it('is whole with an index, and without some of its parts', async () => {
    const at = indexed();
    expect((await verdict(at))[0]).toBe(0);
    for (const path of partsIn(at).filter((_, index) => index % 2 === 0)) rmSync(path);
    expect((await verdict(at))[0]).toBe(0);
    expect((await found(at, '--value', 'p-7')).ids).toEqual(['use-7', 'use-12']);
  });

  it('finds a change of any byte of an index', async () => {
    const at = indexed();
    const [path = ''] = partsIn(at);
    const whole = readFileSync(path);
    // Its head, its tables and its entries: 41 places of it.
    for (let at40 = 0; at40 <= 40; at40 += 1) {
      const bytes = Buffer.from(whole);
      const place = Math.min(bytes.length - 1, Math.floor((bytes.length * at40) / 40));
      bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
      writeFileSync(path, bytes);
      expect([place, (await verdict(at))[0]]).toEqual([place, 3]);
    }
  });

  it('finds an index that hides a record, and says which', async () => {
    const at = indexed();
    const [path = ''] = partsIn(at);
    const bytes = readFileSync(path);
    // The key of an entry, so that it is of another text: the structure of the file stays whole.
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 0xff, bytes.length - 5);
    writeFileSync(path, bytes);
    const [exit, out] = await verdict(at);
    expect([exit, out]).toEqual([3, expect.stringContaining(`its index \`${path}\` does not match records 1 to 2`)]);
  });

  it('goes on if a part is deleted meanwhile', async () => {
    const at = indexed();
    const [path = ''] = partsIn(at);
    rmSync(path);
    // Listed, and gone when it is opened.
    symlinkSync(join(at, 'gone'), path);
    expect((await verdict(at))[0]).toBe(0);
  });

  it('finds an index of other records under the name of a part', async () => {
    const at = indexed();
    const [first = '', second = ''] = partsIn(at);
    cpSync(first, second);
    expect((await verdict(at))[0]).toBe(3);
  });
});

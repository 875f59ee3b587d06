import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { ledgerIndex } from '../../../src/cli/ledger/ledger-index.ts';
import { ledgerStats } from '../../../src/cli/ledger/ledger-stats.ts';
import type { SegmentLog } from '../../../src/core/ledger/log/log.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { commandRun } from '../../builders/command-run.ts';
import { encoded, useRecord } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { taskNumber } from '../../builders/task.ts';
import { mustOpenLog, portsAt, settingsIn } from '../../core/ledger/log/logs.ts';
import { ran, segmentsOf, START_MS, tamper } from '../ledgers.ts';

const folder = testFolders();

const HOUR = 3_600_000;

const pay = (n: number, change: Partial<UseRecord> = {}): UseRecord =>
  useRecord({
    at: START_MS + n * (HOUR / 2),
    decisionId: `use-${n}`,
    task: taskNumber(n).id,
    agent: taskNumber(n).agent,
    credential: 'task-token',
    action: 'payments.pay',
    args: { amount: `${n}.10`, currency: n % 2 === 0 ? 'EUR' : 'USD' },
    policyIds: ['payments-limit', 'payments-hours'],
    policySet: 'set-1',
    policyGeneration: 1,
    tokenUse: 1,
    reuse: ['first'],
    jtiDigest: `digest-${n}`,
    method: 'POST',
    ...change,
  });

let home = '';
let log: SegmentLog;
let cache = '';
const add = (n: number, change: Partial<UseRecord> = {}): void =>
  void must(log.append([{ bytes: encoded(pay(n, change)).bytes, outbox: null }], 'f'.repeat(32)) ?? 'done');

/** Three payments under a checkpoint, and a fourth after it. */
beforeEach(() => {
  const settings = settingsIn(folder());
  home = settings.folder;
  cache = join(folder(), 'cache');
  log = mustOpenLog(settings, portsAt(START_MS));
  for (const n of [1, 2, 3]) add(n);
  log.checkpoint();
  add(4, { decision: 'deny', reason: 'policy.forbidden', args: { amount: 'much', currency: 'EUR' } });
});

const stats = (...args: readonly string[]) =>
  commandRun(ledgerStats, ['--ledger', home, ...args], {
    environment: { XDG_CACHE_HOME: cache },
  });
const groups = async (...args: readonly string[]) =>
  (await stats('--json', '--kind', 'use', ...args)).out.map((line): unknown => JSON.parse(line));
const at = (n: number): number => START_MS + n * (HOUR / 2);

describe('remit ledger stats', () => {
  it('counts by members, with first, last and exact sums', async () => {
    expect(await groups('--by', 'arg:currency', '--sum', 'amount')).toEqual([
      { by: { 'arg:currency': 'USD' }, count: 2, first: at(1), last: at(3), sums: { amount: '4.2' } },
      { by: { 'arg:currency': 'EUR' }, count: 2, first: at(2), last: at(4), sums: { amount: '2.1' } },
    ]);
  });

  it('counts in intervals, in their order', async () => {
    expect(await groups('--by', 'decision', '--every', '1h')).toEqual([
      { by: { decision: 'allow' }, from: START_MS, count: 1, first: at(1), last: at(1) },
      { by: { decision: 'allow' }, from: START_MS + HOUR, count: 2, first: at(2), last: at(3) },
      { by: { decision: 'deny' }, from: START_MS + 2 * HOUR, count: 1, first: at(4), last: at(4) },
    ]);
  });

  it('prints a table', async () => {
    expect((await stats('--by', 'kind,policy')).out).toEqual([
      'KIND        POLICY                          RECORDS  FIRST                     LAST',
      'use         payments-limit, payments-hours  4        2026-01-01T00:30:00.000Z  2026-01-01T02:00:00.000Z',
      'checkpoint  -                               1        2026-01-01T00:00:00.000Z  2026-01-01T00:00:00.000Z',
      'all                                         5',
    ]);
  });

  it('keeps what was counted up to the checkpoint, and reads only what follows', async () => {
    const first = await groups('--by', 'decision');
    const [name = ''] = readdirSync(join(cache, 'remit'));
    const kept = JSON.parse(readFileSync(join(cache, 'remit', name), 'utf8')) as {
      head: { size: number };
      state: { all: number; groups: { count: number }[] };
    };
    expect([kept.head.size, kept.state.all]).toEqual([4, 3]);
    expect(await groups('--by', 'decision')).toEqual(first);
    // It counts on from what is kept.
    const [allowed] = kept.state.groups;
    if (allowed !== undefined) allowed.count = 1_000;
    writeFileSync(join(cache, 'remit', name), JSON.stringify(kept));
    expect(await groups('--by', 'decision')).toContainEqual(expect.objectContaining({ count: 1_000 }));
    expect(await groups('--by', 'decision', '--no-cache')).toEqual(first);
    log.checkpoint();
    add(5);
    expect(await groups('--by', 'decision')).toContainEqual(expect.objectContaining({ count: 1_001 }));
  });

  it.each([
    [
      'another tree at that checkpoint',
      () =>
        void tamper(
          segmentsOf(home)[0] ?? '',
          "UPDATE checkpoints SET range = CAST(x'0000000000000004' || zeroblob(32) AS BLOB)",
        ),
    ],
    ['no such checkpoint', () => void tamper(segmentsOf(home)[0] ?? '', 'DELETE FROM checkpoints')],
  ])('counts anew if the ledger has %s', async (_what, change) => {
    await groups('--by', 'decision');
    const [name = ''] = readdirSync(join(cache, 'remit'));
    const path = join(cache, 'remit', name);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('"count":3', '"count":1000'));
    log.close();
    change();
    expect(await groups('--by', 'decision')).toContainEqual(expect.objectContaining({ count: 3 }));
  });

  it('keeps nothing of records that are not those of the checkpoint', async () => {
    log.close();
    const honest = await groups('--by', 'decision', '--no-cache');
    const [segment = ''] = segmentsOf(home);
    const say = (from: string, to: string): number =>
      tamper(
        segment,
        'UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), ?, ?) AS BLOB) WHERE seq = 2',
        `"decision":"${from}"`,
        `"decision":"${to}"`,
      );
    expect(say('allow', 'deny')).toBe(1);
    expect(await groups('--by', 'decision')).not.toEqual(honest);
    expect(await groups('--by', 'decision')).toEqual(await groups('--by', 'decision', '--no-cache'));
    // The same file with the records that were signed: of the changed copy nothing is left.
    expect(say('deny', 'allow')).toBe(1);
    expect(await groups('--by', 'decision')).toEqual(honest);
    expect(readdirSync(join(cache, 'remit'))).toHaveLength(1);
    expect(await groups('--by', 'decision')).toEqual(honest);
  });

  it('counts by the bytes of records alone, as a search does of an intact ledger', async () => {
    for (const asked of [
      ['--decision', 'deny'],
      ['--agent', taskNumber(2).agent],
      ['--action', 'payments.pay', '--arg', 'currency=EUR'],
      ['--reason', 'policy.forbidden'],
      ['--mode', 'enforce'],
      ['--since', '2026-01-01T01:00:00Z', '--until', '2026-01-01T02:00:00Z'],
      ['--agent', 'spiffe://acme.test/nobody'],
    ])
      expect(await groups('--by', 'agent', ...asked)).toEqual(await groups('--by', 'agent', ...asked, '--no-cache'));
  });

  it.each(['', '{}', '{"head":{"size":4},"state":1}', 'null'])('counts anew if the kept file is %j', async (text) => {
    const first = await groups('--by', 'decision');
    const [name = ''] = readdirSync(join(cache, 'remit'));
    writeFileSync(join(cache, 'remit', name), text);
    expect(await groups('--by', 'decision')).toEqual(first);
  });

  it('keeps nothing of a relative time, and finds the same through an index', async () => {
    await stats('--since', '-1h');
    expect(() => readdirSync(cache)).toThrow('ENOENT');
    await ran(ledgerIndex, '--ledger', home);
    expect(await groups('--by', 'action', '--policy', 'payments-hours')).toEqual([
      { by: { action: 'payments.pay' }, count: 4, first: at(1), last: at(4) },
    ]);
  });

  it('shows the largest groups', async () => {
    expect(await stats('--by', 'task', '--top', '1')).toMatchObject({
      code: 0,
      err: ['remit ledger stats: the 1 largest of 5 groups are shown: --top shows more'],
    });
  });

  it.each([
    [['--by', 'colour'], /^remit ledger stats: --by must be of kind, decision, .* or arg:NAME, got `colour`$/],
    [['--every', 'hour'], /--every must be a time such as `15m`, `1h` or `1d`, got `hour`$/],
    [['--every', '0h'], /--every must be a time such as `15m`, `1h` or `1d`, got `0h`$/],
    [['--top', '0'], /--top must be a whole number from 1 to 100000$/],
    [['--not-executed'], /--not-executed is not counted over time: use `remit ledger query --not-executed --count`$/],
  ])('refuses %j', async (args, message) => {
    expect(await stats(...args)).toEqual({ code: 2, out: [], err: [expect.stringMatching(message)] });
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/commands/ledger-query.ts';
import { scratch, taskNumber } from '../store/samples.ts';
import { diskLedger, ran, segmentsOf, tamper, type DiskLedger } from './ledgers.ts';

const { folder, remove } = scratch();
afterAll(remove);

let ledger: DiskLedger;
beforeAll(() => {
  ledger = diskLedger(folder(), 7);
});

const query = (...args: readonly string[]) => ran(ledgerQuery, '--ledger', ledger.folder, ...args);
const found = async (...args: readonly string[]) => {
  const { out } = await query('--json', ...args);
  return out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).seq as number]));
};

const taskId = (n: number): string => taskNumber(n).id;

describe('remit ledger query', () => {
  it('prints a table, the newest record first, over all segments', async () => {
    const { exit, out, err } = await query('--kind', 'use', '--limit', '4');
    expect([exit, err]).toEqual([0, 'remit ledger query: the last 4 are shown: --limit shows more\n']);
    const what = 'use 1: payments.read GET payments.acme.test/v1/payments';
    const trace = 'a'.repeat(32);
    expect(out.split('\n')).toEqual([
      `RECORD  TIME                      TASK                                  WHAT${' '.repeat(53)}DECISION  REASON            POLICIES  TRACE`,
      `9       2026-01-01T00:00:07.000Z  ${taskId(7)}  ${what}  allow     -                 -         ${trace}`,
      `7       2026-01-01T00:00:06.000Z  ${taskId(6)}  ${what}  allow     -                 -         ${trace}`,
      `6       2026-01-01T00:00:05.000Z  ${taskId(5)}  ${what}  allow     -                 -         ${trace}`,
      `5       2026-01-01T00:00:04.000Z  ${taskId(4)}  ${what}  deny      policy.forbidden  -         ${trace}`,
      '',
    ]);
  });

  it.each<[string, readonly string[], readonly number[]]>([
    ['everything', [], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]],
    ['the oldest first', ['--oldest-first', '--limit', '3'], [1, 2, 3]],
    ['a task', ['--task', taskNumber(5).id], [6]],
    ['an agent', ['--agent', 'spiffe://acme.test/ns/agents/sa/planner', '--limit', '2'], [9, 7]],
    ['an agent that is none', ['--agent', 'spiffe://acme.test/x'], []],
    ['an action', ['--action', 'payments.read', '--limit', '1'], [9]],
    ['denials', ['--decision', 'deny'], [5]],
    ['a reason', ['--reason', 'policy.forbidden'], [5]],
    ['a reason that nobody gave', ['--reason', 'token.binding'], []],
    ['a kind', ['--kind', 'checkpoint'], [10, 8, 4]],
    ['a decision', ['--decision-id', 'use-3'], [3]],
    ['a trace', ['--trace', 'a'.repeat(32), '--limit', '1'], [9]],
    ['a time', ['--since', '2026-01-01T00:00:02Z', '--until', '2026-01-01T01:00:04+01:00', '--kind', 'use'], [3, 2]],
    ['a time ago', ['--since', '-1m'], []],
    ['what all of it says', ['--task', taskNumber(4).id, '--decision', 'allow'], []],
  ])('finds by %s', async (_name, args, records) => {
    expect(await found(...args)).toEqual(records);
  });

  it('prints a line of JSON with the members of the record', async () => {
    const { out } = await query('--json', '--decision-id', 'use-1');
    expect(JSON.parse(out)).toMatchObject({
      seq: 1,
      kind: 'use',
      decisionId: 'use-1',
      decision: 'allow',
      reason: null,
    });
  });

  it('says that there are none', async () => {
    expect(await query('--task', 'x')).toEqual({ exit: 0, out: 'no records\n', err: '' });
  });

  it('keeps a line for a record that was damaged, and writes no control character', async () => {
    const bad = diskLedger(folder(), 2);
    const [path = ''] = segmentsOf(bad.folder);
    tamper(path, "UPDATE records SET bytes = CAST('\u001b[31m' AS BLOB) WHERE seq = 1");
    tamper(
      path,
      `UPDATE records SET bytes = CAST(replace(CAST(bytes AS TEXT), '"at":1', '"at":1e300,"x":1') AS BLOB) WHERE seq = 2`,
    );
    const { exit, out } = await ran(ledgerQuery, '--ledger', bad.folder, '--oldest-first');
    expect(exit).toBe(0);
    expect(out).toMatch(/^1 +- +- +the record is not JSON in UTF-8$/m);
    expect(out).toMatch(/^2 +- +- +the record is not canonical JSON$/m);
    expect(out).not.toContain('\u001b');
  });

  it.each([
    [['--decision', 'perhaps'], '--decision must be allow or deny'],
    [['--kind', 'x'], '--kind must be one of intent, token, use, end, event, outcome, finding, policy, checkpoint'],
    [['--limit', '0'], '--limit must be a whole number from 1 to 100000'],
    [
      ['--since', 'yesterday'],
      '--since must be an instant such as `2026-01-02T03:04:05Z`, or how long ago: `-90s`, `-15m`, `-2h`, `-7d`',
    ],
    [
      ['--since', '2026-13-01'],
      '--since must be an instant such as `2026-01-02T03:04:05Z`, or how long ago: `-90s`, `-15m`, `-2h`, `-7d`',
    ],
    [['--ledger', '/nowhere'], 'there is no ledger in `/nowhere`'],
    [['operand'], 'unexpected argument `operand`'],
  ])('refuses %j', async (args, problem) => {
    expect(await query(...args)).toEqual({ exit: 2, out: '', err: `remit ledger query: ${problem}\n` });
  });

  it('takes a quote in a value for what it is', async () => {
    expect(await found('--task', "x' OR 1=1 --")).toEqual([]);
  });
});

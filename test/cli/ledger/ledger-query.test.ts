import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ReasonCode } from '../../../src/core/decision/reasons.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { withLedger } from '../../../src/cli/ledger/ledger-source.ts';
import { TooManyUnindexed } from '../../../src/core/ledger/search/executed-calls.ts';
import { ledgerQuery } from '../../../src/cli/ledger/ledger-query.ts';
import { policyTestCommand } from '../../../src/cli/policy/policy-test.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { taskNumber } from '../../builders/task.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { observedUse } from '../../tools/learn/learning.ts';
import { examplePolicies, mustCases, planner } from '../../tools/policy/cases/folder.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';
import { diskLedger, ran, segmentsOf, tamper, type DiskLedger } from '../ledgers.ts';
import { recordedUses } from '../recorded-uses.ts';

const folder = testFolders();

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
  it('prints a table of all segments, newest record first', async () => {
    const { exit, out, err } = await query('--kind', 'use', '--limit', '4');
    expect([exit, err]).toEqual([0, 'remit ledger query: the last 4 are shown: --limit shows more\n']);
    const what = 'use 1: payments.read GET payments.acme.test/v1/payments';
    const agent = 'spiffe://acme.test/ns/agents/sa/planner';
    const trace = 'a'.repeat(32);
    expect(out.split('\n')).toEqual([
      `RECORD  TIME                      TASK                                  WHAT${' '.repeat(53)}CALLER${' '.repeat(35)}DECISION  REASON            POLICIES  TRACE`,
      `9       2026-01-01T00:00:07.000Z  ${taskId(7)}  ${what}  ${agent}  allow     -                 -         ${trace}`,
      `7       2026-01-01T00:00:06.000Z  ${taskId(6)}  ${what}  ${agent}  allow     -                 -         ${trace}`,
      `6       2026-01-01T00:00:05.000Z  ${taskId(5)}  ${what}  ${agent}  allow     -                 -         ${trace}`,
      `5       2026-01-01T00:00:04.000Z  ${taskId(4)}  ${what}  ${agent}  deny      policy.forbidden  -         ${trace}`,
      '',
    ]);
  });

  it.each<[string, readonly string[], readonly number[]]>([
    ['everything', [], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]],
    ['the oldest first', ['--oldest-first', '--limit', '3'], [1, 2, 3]],
    ['a task', ['--task', taskNumber(5).id], [6]],
    ['an agent', ['--agent', 'spiffe://acme.test/ns/agents/sa/planner', '--limit', '2'], [9, 7]],
    ['an unknown agent', ['--agent', 'spiffe://acme.test/x'], []],
    ['an action', ['--action', 'payments.read', '--limit', '1'], [9]],
    ['denials', ['--decision', 'deny'], [5]],
    ['a reason', ['--reason', 'policy.forbidden'], [5]],
    ['a reason without records', ['--reason', 'token.binding'], []],
    ['a kind', ['--kind', 'checkpoint'], [10, 8, 4]],
    ['a decision', ['--decision-id', 'use-3'], [3]],
    ['a trace', ['--trace', 'a'.repeat(32), '--limit', '1'], [9]],
    ['a time', ['--since', '2026-01-01T00:00:02Z', '--until', '2026-01-01T01:00:04+01:00', '--kind', 'use'], [3, 2]],
    ['a relative time', ['--since', '-1m'], []],
    ['several conditions together', ['--task', taskNumber(4).id, '--decision', 'allow'], []],
  ])('finds by %s', async (_name, args, records) => {
    expect(await found(...args)).toEqual(records);
  });

  it('is refused, as is any command that reads a ledger, if a search needs an index', async () => {
    const refused = await withLedger(ledger.folder, async () => {
      throw new TooManyUnindexed('run `remit ledger index` first');
    });
    expect(refused).toEqual({ exit: 2, message: 'run `remit ledger index` first' });
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

  it('reports that no record matches', async () => {
    expect(await query('--task', 'x')).toEqual({ exit: 0, out: 'no records\n', err: '' });
  });

  it('prints a line for a damaged record, without control characters', async () => {
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
    [
      ['--kind', 'x'],
      '--kind must be one of intent, token, use, settled, end, event, outcome, finding, policy, checkpoint, pruned, emitter',
    ],
    [['--mode', 'shadow'], '--mode must be observe or enforce'],
    [['--would', 'perhaps'], '--would must be allow, deny or a reason code'],
    [['--count', '--limit', '3'], '--count counts all records: it excludes --as-test and --limit'],
    [['--limit', '0'], '--limit must be a whole number from 1 to 100000'],
    [
      ['--since', 'yesterday'],
      '--since must be an instant such as `2026-01-02T03:04:05Z`, or how long ago: `-90s`, `-15m`, `-2h`, `-7d`',
    ],
    [
      ['--since', '2026-13-01'],
      '--since must be an instant such as `2026-01-02T03:04:05Z`, or how long ago: `-90s`, `-15m`, `-2h`, `-7d`',
    ],
    [['--since', '2026-01-02', '--until', '2026-01-01'], '--until must be after --since'],
    [['--ledger', '/nowhere'], 'no ledger in `/nowhere`'],
    [['operand'], 'unexpected argument `operand`'],
    [['--as-test', '--json'], '--as-test and --json exclude each other'],
    [['--policies', 'cedar-policies'], '--policies goes with --as-test'],
    [['--as-test', '--policies', '/nowhere'], '`/nowhere` could not be read: ENOENT'],
    [['--as-test', '--state', '/nowhere/state.db'], 'state file `/nowhere/state.db` cannot be opened: ENOENT'],
  ])('refuses %j', async (args, problem) => {
    expect(await query(...args)).toEqual({ exit: 2, out: '', err: `remit ledger query: ${problem}\n` });
  });

  it('treats a quote in a value literally', async () => {
    expect(await found('--task', "x' OR 1=1 --")).toEqual([]);
  });
});

const would = (reason: ReasonCode | null) =>
  ({ decision: reason === null ? 'allow' : 'deny', reason, detail: null, policyIds: [] }) as const;

describe('remit ledger query of observed uses', () => {
  let observed: string;
  beforeAll(() => {
    const settings = settingsIn(folder());
    const log = mustOpenLog(settings);
    const { mode: _mode, entry: _entry, would: _would, shape: _shape, ...enforced } = observedUse({ entry: 'legacy' });
    const records: readonly UseRecord[] = [
      observedUse({ entry: 'legacy', would: would('action.unknown') }),
      observedUse({ entry: 'legacy', would: would('action.unknown') }),
      observedUse({ entry: 'legacy', would: would(null) }),
      observedUse({ entry: 'legacy', decision: 'deny', reason: 'task.revoked', would: would('task.revoked') }),
      enforced,
      { ...enforced, decision: 'deny', reason: 'action.unknown' },
    ];
    log.append(
      records.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
      'f'.repeat(32),
    );
    log.close();
    observed = settings.folder;
  });
  const inObserved = async (...args: readonly string[]) => ran(ledgerQuery, '--ledger', observed, ...args);

  it.each([
    ['all that is observed', ['--mode', 'observe'], [1, 2, 3, 4]],
    ['all that is enforced, and no record of another kind', ['--mode', 'enforce'], [5, 6]],
    ['what would be denied', ['--would', 'deny'], [1, 2, 4]],
    ['what would be allowed', ['--would', 'allow'], [3]],
    ['a reason of would', ['--would', 'action.unknown'], [1, 2]],
    ['a reason that was answered', ['--mode', 'observe', '--reason', 'task.revoked'], [4]],
    ['a reason of an enforced use', ['--reason', 'action.unknown'], [6]],
  ])('finds by mode: %s', async (_name, args, seqs) => {
    const { out } = await inObserved('--oldest-first', '--json', ...args);
    expect(out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).seq as number]))).toEqual(seqs);
  });

  it('counts observed uses apart', async () => {
    const table = await inObserved('--count', '--kind', 'use');
    expect(table.out.split('\n').map((line) => line.split(/ {2,}/))).toEqual(
      expect.arrayContaining([
        ['use', 'allow', '-', 'observed, would deny', 'action.unknown', '2'],
        ['use', 'allow', '-', 'observed, would allow', '-', '1'],
        ['use', 'deny', 'task.revoked', 'observed, would deny', 'task.revoked', '1'],
        ['use', 'allow', '-', '-', '-', '1'],
        ['use', 'deny', 'action.unknown', '-', '-', '1'],
      ]),
    );
    expect(table.out).toMatch(/ all +6\n$/);
    const json = await inObserved('--count', '--mode', 'observe', '--would', 'action.unknown', '--json');
    expect(JSON.parse(json.out)).toEqual({
      kind: 'use',
      decision: 'allow',
      reason: null,
      mode: 'observe',
      would: 'deny',
      wouldReason: 'action.unknown',
      count: 2,
    });
  });
});

describe('remit ledger query --as-test', () => {
  let example: ExampleFolder;
  let state: string;
  beforeAll(async () => {
    example = exampleFolder();
    state = recordedUses(dirname(example.path), (await examplePolicies()).hash);
  });
  afterAll(() => example.remove());
  const asTest = (...args: readonly string[]) => ran(ledgerQuery, '--state', state, '--as-test', ...args);

  it('makes one suite of the matching uses, with notes of what each lacks', async () => {
    const by = ['--policies', 'cedar-policies', '--oldest-first', '--limit', '3'];
    const { exit, out, err } = await asTest(...by);
    expect([exit, err.split('\n')]).toEqual([
      0,
      [
        'remit ledger query: the first 3 are shown: --limit shows more',
        'remit ledger query: 1 record left out, such as 1: not a use',
        '',
      ],
    ]);
    const lines = out.split('\n');
    expect(lines.slice(0, 8)).toEqual([
      'cases:',
      '  # query, headers and body are not recorded',
      '  # the context is that of the task now',
      '  - name: decision list',
      `    agent: ${planner}`,
      '    now: 2026-01-15T12:00:00.000Z',
      '    task:',
      '      purpose: pay',
    ]);
    expect(lines.slice(-18)).toEqual([
      '      age_seconds: 10',
      '      risk: low',
      '    credential:',
      '      kind: task-token',
      '      uses: 1',
      '      reuse:',
      '        - first',
      '    history:',
      '      actions:',
      '        - payments.list',
      '      labels: []',
      '    call:',
      '      method: POST',
      '      url: https://payments.acme.test/v1/payments',
      '    expect: allow',
      '    policies:',
      '      - payments-write',
      '',
    ]);
    expect(out).toContain('  # to be added, if they were sent: amount, currency\n');
  });

  it('reports records that make no case, and knows the task without a state file', async () => {
    const { exit, out, err } = await ran(ledgerQuery, '--ledger', join(dirname(state), 'ledger'), '--as-test');
    expect([exit, err.split('\n')]).toEqual([
      0,
      [
        'remit ledger query: 2 records left out, such as 7, 1: not a use',
        'remit ledger query: 1 record left out, such as 5: no case can result in token.expired',
        'remit ledger query: 1 record left out, such as 4: the caller of the recorded call was not known',
        '',
      ],
    ]);
    expect(mustCases(out).map(({ name, circumstances: { task } }) => [name, task.purpose])).toEqual([
      ['decision before', 'pay'],
      ['decision create', 'pay'],
      ['decision list', 'pay'],
    ]);
    expect(out).toContain('  # the context of the task is not known\n');
  });

  it('makes a suite that `remit policy test` accepts', async () => {
    const { out } = await asTest('--decision', 'allow');
    writeFileSync(join(example.path, 'tests/recorded.test.yaml'), out);
    const tested = await example.run(policyTestCommand, example.path, '--filter', 'decision ');
    // A person must add the arguments of the second case, as its notes say.
    expect([tested.code, ...tested.out.slice(0, 3)]).toEqual([
      1,
      'p/tests/recorded.test.yaml:4:5: failed: decision create',
      '  expected allow, got deny action.arguments (arguments of `payments.create`: the content type is not `application/json`)',
      '  expected the policies payments-write, got none',
    ]);
    expect(tested.out[3]).toBe('p: 1 passed, 1 failed, 0 skipped');
  });

  it('makes an empty suite without uses', async () => {
    const { exit, out } = await asTest('--kind', 'intent');
    expect([exit, out]).toEqual([0, 'cases: []\n']);
  });

  it('leaves out cases beyond the limits of a suite', async () => {
    const large = recordedUses(folder(), 'x', 'p'.repeat(8_000), 150);
    const { out, err } = await ran(ledgerQuery, '--state', large, '--as-test', '--limit', '200', '--oldest-first');
    const cases = mustCases(out).length;
    expect(Buffer.byteLength(out)).toBeLessThanOrEqual(1024 * 1024);
    expect(cases).toBeGreaterThan(100);
    expect(err).toContain(`${153 - cases} records left out`);
  });
});

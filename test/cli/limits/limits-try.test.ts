import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { limitsTry } from '../../../src/cli/limits/limits-try.ts';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { useRecord } from '../../builders/ledger-record.ts';
import { planner, reporter } from '../../tools/policy/cases/folder.ts';
import { ran } from '../ledgers.ts';
import { ledgerOf } from '../observe/observing.ts';

const folder = testFolders();

const LIMITS = `limits:
  - id: a-day
    agents: ['*']
    actions: [payments.create]
    per: [agent]
    window: 1d
    calls: 3
    amount: { argument: amount, limit: 1000 }
  - { id: currencies, agents: ['*'], actions: [payments.create], per: [], window: 1h, distinct: { argument: currency, limit: 2 } }
`;
const NOON = Date.UTC(2026, 10, 3, 12);
const DAYS = ['--since', '2026-11-01', '--until', '2026-12-01'];

const paid = (n: number, change: Partial<UseRecord> = {}): UseRecord =>
  useRecord({
    at: NOON + n,
    decisionId: `00000000-0000-7000-8000-00000000000${n}`,
    agent: planner,
    credential: 'workload-identity',
    action: 'payments.create',
    args: { amount: 400 },
    policyIds: ['p'],
    policyGeneration: 1,
    method: 'POST',
    ...change,
  });

let ledger: string;
let policies: string;
beforeAll(() => {
  const at = folder();
  ledger = ledgerOf(at, [...[1, 2, 3, 4].map((n) => paid(n)), paid(5, { agent: reporter })]);
  policies = join(at, 'policies');
  cpSync('cedar-policies', policies, { recursive: true });
  writeFileSync(join(policies, 'limits.yaml'), LIMITS);
});

async function run(...args: readonly string[]) {
  const { exit, out, err } = await ran(limitsTry, ...args);
  return { code: exit, out: out.split('\n').slice(0, -1), err: err.split('\n').slice(0, -1) };
}

describe('remit limits try', () => {
  it('says what limits would have denied, by limit and key, and what was not tried', async () => {
    const { code, out, err } = await run(policies, '--ledger', ledger, ...DAYS);
    expect([code, err, ...out.slice(1)]).toEqual([
      1,
      [],
      '5 records from 2026-11-01T00:00:00.000Z to 2026-12-01T00:00:00.000Z',
      'a-day, calls, 3 in 1d: not reached; the most was 2, of ["spiffe://acme.test/ns/agents/sa/planner"]',
      'a-day, amount, 1000 in 1d: 2 denials for 1 of 2 keys',
      '  ["spiffe://acme.test/ns/agents/sa/planner"]: 2 denials in 1 window, first 2026-11-03T12:00:00.003Z 00000000-0000-7000-8000-000000000003',
      'currencies, different currency, 2 in 1h: no record that it counts',
      'not tried by currencies: 5 uses of payments.create, whose `currency` is not recorded',
      '5 counted, 2 would have been denied',
    ]);
    expect(out[0]).toMatch(/policies: 2 limits, set sha-256:/);
  });

  it('reads a span, and exits 0 if nothing would have been denied', async () => {
    const { code, out } = await run(
      policies,
      '--ledger',
      ledger,
      '--since',
      '2026-11-03T12:00:00.003Z',
      '--until',
      '2026-12-01',
    );
    expect([code, out[1], out.at(-1)]).toEqual([
      0,
      '3 records from 2026-11-03T12:00:00.003Z to 2026-12-01T00:00:00.000Z',
      '3 counted, 0 would have been denied',
    ]);
  });

  it('prints one object with --json', async () => {
    const { code, out } = await run(policies, '--ledger', ledger, ...DAYS, '--json');
    expect([code, JSON.parse(out.join(''))]).toEqual([
      1,
      {
        path: policies,
        hash: expect.stringMatching(/^sha-256:/),
        from: '2026-11-01T00:00:00.000Z',
        to: '2026-12-01T00:00:00.000Z',
        counted: 5,
        denied: 2,
        left: 0,
        limits: [
          expect.objectContaining({ limit: 'a-day', measure: 'calls' }),
          {
            limit: 'a-day',
            measure: 'amount',
            counts: 'amount',
            max: 1000,
            windowMs: 86_400_000,
            keys: [
              {
                who: JSON.stringify([planner]),
                windows: 1,
                denied: 2,
                most: 800,
                first: { atMs: NOON + 3, decisionId: paid(3).decisionId },
              },
              { who: JSON.stringify([reporter]), windows: 0, denied: 0, most: 400, first: null },
            ],
          },
          expect.objectContaining({ limit: 'currencies', keys: [] }),
        ],
        untried: [{ limit: 'currencies', action: 'payments.create', lacks: '`currency`', count: 5 }],
      },
    ]);
  });

  it.each<[string, () => readonly string[], string]>([
    [
      'a folder without limits',
      () => ['cedar-policies', '--ledger', ledger],
      '`cedar-policies` has no limits: they are in its file `limits.yaml`',
    ],
    ['a missing folder', () => ['no/such', '--ledger', ledger], '`no/such` could not be read: ENOENT'],
    ['an instant that is none', () => [policies, '--since', 'May'], '--since must be'],
    ['a span without an instant', () => [policies, '--since', '1d', '--until', '2d'], '--until must be after --since'],
    ['an instant before all dates', () => [policies, '--since', '999999999d'], '--since must be'],
    ['no ledger', () => [policies, '--ledger', mustFolder()], 'no ledger in'],
  ])('refuses %s', async (_name, args, message) => {
    const { code, out, err } = await run(...args());
    expect([code, out, err.join('\n')]).toEqual([2, [], expect.stringContaining(`remit limits try: ${message}`)]);
  });
});

function mustFolder(): string {
  const empty = join(folder(), 'empty');
  mkdirSync(empty);
  return empty;
}

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { policyList } from '../../../src/cli/policy/policy-list.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';
import { recordedUses } from '../recorded-uses.ts';

const DAY_MS = 86_400_000;
/** The day in so many days, in UTC. */
const dayIn = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);

const ending = (of: string, id: string, day: string): string =>
  of.replace(`@id("${id}")\n`, `@id("${id}")\n@until("${day}")\n`);

let example: ExampleFolder;
let ledger: string;
const [soon, over, later] = [dayIn(11), dayIn(-3), dayIn(200)];

beforeAll(() => {
  example = exampleFolder();
  const file = join(example.path, 'policies/payments.cedar');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, ending(ending(text, 'payments-read', soon), 'payments-write', later));
  const files = join(example.path, 'policies/files.cedar');
  writeFileSync(files, ending(readFileSync(files, 'utf8'), 'files-read', over));
  ledger = join(dirname(recordedUses(dirname(example.path), 'sha-256:x')), 'ledger');
});
afterAll(() => example.remove());

const list = (...args: readonly string[]) => example.run(policyList, example.path, ...args);

describe('remit policy list', () => {
  it('lists every policy with its place and end (issue 43, point 4)', async () => {
    const { code, out, err } = await list();
    expect({ code, err }).toEqual({ code: 0, err: [] });
    expect(out).toContain(
      `p/policies/payments.cedar:3:1: permit \`payments-read\`: no owner; ends on ${soon}, in 11 days`,
    );
    expect(out).toContain('p/policies/payments.cedar:23:1: forbid `payments-limit`: no owner');
    expect(out.at(-1)).toBe('p: 19 policies');
  });

  it('lists the permits that end within a time, or have ended', async () => {
    const { code, out } = await list('--expiring', '30d');
    expect(code).toBe(1);
    expect(out).toEqual([
      expect.stringContaining(`permit \`files-read\`: no owner; ended on ${over}`),
      expect.stringContaining(`permit \`payments-read\`: no owner; ends on ${soon}`),
      'p: 2 policies',
    ]);
    expect((await list('--expiring', '365d')).out).toHaveLength(4);
    expect((await list('--expiring', '1d')).out).toHaveLength(2);
  });

  it('says how often records were decided by a policy, and that others decided none since the first record', async () => {
    const { out } = await list('--ledger', ledger);
    expect(out.find((line) => line.includes('`payments-write`'))).toContain('used 1 time, last on 2026-01-15');
    expect(out.find((line) => line.includes('`payments-limit`'))).toContain('never used since 2026-01-15');
    expect(out.at(-1)).toBe('p: 19 policies, records since 2026-01-15');
  });

  it('lists permits that decided nothing, and no forbid', async () => {
    const { code, out } = await list('--unused', '--ledger', ledger, '--json');
    const { policies } = JSON.parse(out.join('\n')) as {
      readonly policies: readonly { readonly id: string; readonly effect: string; readonly idle: string | null }[];
    };
    expect(code).toBe(1);
    const ids = policies.map(({ id }) => id);
    expect(ids).toContain('files-delete');
    expect(ids).not.toContain('payments-write');
    expect(policies.every(({ effect }) => effect === 'permit')).toBe(true);
    expect(policies.find(({ id }) => id === 'files-read')?.idle).toContain('counts as absent');
  });

  it('says which permit adds nothing, since another covers it (issue 43, point 4)', async () => {
    const own = exampleFolder();
    const narrow = `@id("narrow") permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"payments.read",
      resource in Remit::Server::"payments") when { context.intent.purpose == "audit" };\n`;
    writeFileSync(join(own.path, 'policies/narrow.cedar'), narrow);
    const { out } = await own.run(policyList, own.path);
    expect(out.filter((line) => line.includes('adds nothing'))).toEqual([
      'p/policies/narrow.cedar:1:1: permit `narrow`: no owner; the permit adds nothing: `payments-read` permits all of it',
    ]);
    own.remove();
  });

  it.each([
    [
      'a time that is no number of days',
      ['--expiring', '2h'],
      '--expiring must be a number of days from `1d` to `3650d`',
    ],
    [
      '--unused without a ledger',
      ['--unused'],
      '--unused and --since need a ledger: name one with --config, --state or --ledger',
    ],
  ])('refuses %s', async (_what, args, message) => {
    expect(await list(...args)).toEqual({ code: 2, out: [], err: [`remit policy list: ${message}`] });
  });
});

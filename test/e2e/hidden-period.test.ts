import { cp, rm, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { keptPoliciesFolder } from '../../src/core/ledger/log/kept-policies.ts';
import { segmentsOf, tamper } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';
import { ran } from './process.ts';

const tomorrow = (): string => new Date(Date.now() + 86_400_000).toISOString();

/** How many lines a command prints of the records before tomorrow. */
const linesOf = async (...words: readonly string[]) =>
  (await ran(['ledger', ...words, '--until', tomorrow()])).out.split('\n').length - 1;

const found = async (at: string) => [
  await linesOf('query', '--ledger', at, '--json', '--limit', '1000'),
  await linesOf('export', '--ledger', at),
];

/**
 * Issue 37, point 3, as it was attacked: a ledger of real calls through Envoy, whose segment is made to say that it was begun in 2099. No key
 * is needed for that. The built commands are asked.
 */
describeWith(envoyPart(), 'a period of a ledger that somebody hides', (envoy) => {
  const scratch = testFolder();
  let key = '';
  let copies = 0;

  beforeAll(async () => {
    const lines: string[] = [];
    const domain = await startDomain(envoy, { folder: scratch.folder, log: (line) => lines.push(line) });
    const { planner, thief } = domain.stage;
    const declared = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, declared)).toEqual([200, null]);
    expect(await callPayments(thief, domain, declared)).toEqual([401, 'token.binding']);
    await domain.stop();
    key = /verified with (\S+)/.exec(lines.join('\n'))?.[1] ?? '';
  });

  const copyOf = async (): Promise<string> => {
    copies += 1;
    const at = join(scratch.folder, `copy-${copies}`);
    await cp(join(scratch.folder, 'ledger'), at, { recursive: true });
    return at;
  };
  const verified = async (at: string) => {
    const { code, out } = await ran(['ledger', 'verify', '--key', key, '--ledger', at]);
    return [code, out] as const;
  };
  /** What an auditor is shown: the verdict, all records, and the tokens in other hands among them. */
  const shown = async (at: string) => {
    const asked = ['--framework', 'owasp-asi-2026', '--from', '-1d', '--to', tomorrow(), '--format', 'json'];
    const { code, out } = await ran(['ledger', 'evidence', '--key', key, '--ledger', at, ...asked]);
    const { ledger, records, classes } = JSON.parse(out);
    const misuses = classes.find(({ id }: { id: string }) => id === 'E7').count;
    return { code, verdict: ledger.verdict.kind, records: records.count, misuses };
  };
  it('is shown by `evidence`, `query` and `export`, and `verify` says that the ledger is broken', async () => {
    const honest = await copyOf();
    const before = await shown(honest);
    expect(before).toMatchObject({ code: 0, verdict: 'sound', misuses: expect.any(Number) });
    expect([before.records > 5, before.misuses > 0]).toEqual([true, true]);
    const all = await found(honest);
    expect(all).toEqual([before.records, before.records]);
    expect((await verified(honest))[0]).toBe(0);

    const hidden = await copyOf();
    for (const path of segmentsOf(hidden)) tamper(path, 'UPDATE log SET created_ms = 4070908800000');
    expect(await shown(hidden)).toEqual({ ...before, code: 1, verdict: 'broken' });
    expect(await found(hidden)).toEqual(all);
    expect(await verified(hidden)).toEqual([3, expect.stringContaining('it was begun at 4070908800000')]);
  });

  it.each<[string, (file: string) => Promise<void>, RegExp]>([
    ['changed', (file) => writeFile(file, '{}'), /BROKEN: the text of policy set sha-256:\S+ was changed/],
    [
      'deleted',
      (file) => rm(file),
      /BROKEN: the text of policy set sha-256:\S+ is missing, and record \d+ says that it is kept/,
    ],
  ])('a policy text that was %s is found', async (_what, attack, says) => {
    const at = await copyOf();
    const texts = keptPoliciesFolder(at);
    for (const name of readdirSync(texts).filter((each) => each.endsWith('.json'))) await attack(join(texts, name));
    expect(await verified(at)).toEqual([3, expect.stringMatching(says)]);
    expect(await shown(at)).toMatchObject({ code: 1, verdict: 'broken' });
  });
});

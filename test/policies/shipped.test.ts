import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { policyTest } from '../../src/cli/policy/policy-test.ts';
import { commandRun } from '../builders/command-run.ts';

async function run(...args: readonly string[]) {
  const { code, out } = await commandRun(policyTest, args);
  return { code, out };
}

const examples = readdirSync('cedar-policies/examples', { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

describe('the shipped policies', () => {
  it('pass their suites with full coverage and no surviving mutant', async () => {
    expect(await run('cedar-policies', '--threshold', '100', '--mutate')).toEqual({
      code: 0,
      out: [
        'cedar-policies: 72 passed, 0 failed, 0 skipped',
        'not listed: 174 calls tried, all denied',
        'clause coverage 100 % (51 of 51): 8 of 8 permits, 11 of 11 forbids, 32 of 32 outcomes of clauses',
        '95 mutants (16 more refused by validation): 95 noticed, 0 survived, 0 accepted',
      ],
    });
  });

  it.each(examples)('the example %s passes its suite with no surviving mutant', async (name) => {
    const { code, out } = await run(
      `cedar-policies/examples/${name}`,
      '--base',
      'cedar-policies',
      '--threshold',
      '100',
      '--mutate',
    );
    expect([code, out[0], out[2], out.at(-1)]).toEqual([
      0,
      expect.stringMatching(/: \d+ passed, 0 failed, 0 skipped$/),
      expect.stringMatching(/^clause coverage 100 %/),
      expect.stringMatching(/ noticed, 0 survived, [01] accepted$/),
    ]);
  });

  it('are all in the list of examples', () => {
    const list = readFileSync('cedar-policies/examples/README.md', 'utf8');
    expect(Array.from(list.matchAll(/^\| `(\S+)` \|/gm), ([, name = '']) => name).toSorted()).toEqual(
      examples.toSorted(),
    );
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyLint } from '../../../src/cli/policy/policy-lint.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';

let folder: ExampleFolder;
beforeEach(() => {
  folder = exampleFolder();
});
afterEach(() => folder.remove());

const write = (text: string) => writeFileSync(join(folder.path, 'x.cedar'), text);

describe('remit policy lint', () => {
  it('prints only notes for the shipped policies', async () => {
    const { code, out, err } = await folder.run(policyLint);
    expect([code, err, out.at(-1)]).toEqual([0, [], 'cedar-policies: 0 errors, 0 warnings, 4 notes']);
    expect(out.slice(0, 8)).toEqual([
      'cedar-policies/actions.yaml:12:17: note: `payments.create` is of high risk, and no limit sums its `amount` over the tasks of an agent [unlimited-amount]',
      '  12 |       - action: payments.create',
      '     |                 ^',
      '  help: give `limits.yaml` an entry with this action and an `amount`',
      'cedar-policies/policies/payments.cedar:19:40: note: `payments-write`: reads `context.intent.ageSeconds`, which changes with each use [per-use-value]',
      '  19 | when { context.intent.purpose != "" && context.intent.ageSeconds <= 3600 };',
      '     |                                        ^',
      '  help: decisions that depend on it are not reused',
    ]);
  });

  it('prints a warning with its line and its rule', async () => {
    write('@id("x") permit (principal, action == Remit::Action::"files.read", resource);\n');
    const { code, out } = await folder.run(policyLint, folder.path);
    expect([code, out.at(-1)]).toEqual([1, 'p: 0 errors, 1 warning, 4 notes']);
    expect(out).toEqual(
      expect.arrayContaining([
        'p/x.cedar:1:1: warning: `x`: any agent can use this permit [permit-any-agent]',
        '  1 | @id("x") permit (principal, action == Remit::Action::"files.read", resource);',
        '    | ^',
        '  help: name an agent, a group or a trust domain as `principal`',
      ]),
    );
  });

  it('reports policies that do not load', async () => {
    write('@id("x") permit (principal, action == Remit::Action::"files.rea", resource);\n');
    const { code, out } = await folder.run(policyLint, folder.path);
    expect([code, out.at(-1)]).toEqual([1, 'p: 1 error, 2 warnings, 4 notes']);
    expect(out).toContain('p/x.cedar:1:39: error: `x`: unrecognized action `Remit::Action::"files.rea"` [invalid]');
  });

  it('reports an invalid catalog', async () => {
    writeFileSync(join(folder.path, 'actions.yaml'), 'servers: 1\n');
    const { code, out } = await folder.run(policyLint, folder.path);
    expect([code, out.at(-1)]).toEqual([1, 'p: 1 error, 0 warnings, 0 notes']);
  });

  it('prints JSON and SARIF', async () => {
    write('@id("x") permit (principal, action == Remit::Action::"files.read", resource);\n');
    const json = JSON.parse((await folder.run(policyLint, folder.path, '--json')).out.join(''));
    expect(json).toMatchObject({ folder: 'p', findings: expect.any(Array) });
    expect(json.findings.at(-1)).toEqual({
      rule: 'permit-any-agent',
      level: 'warning',
      policy: 'x',
      file: 'p/x.cedar',
      line: 1,
      column: 1,
      message: 'any agent can use this permit',
      help: 'name an agent, a group or a trust domain as `principal`',
    });
    const sarif = JSON.parse((await folder.run(policyLint, folder.path, '--sarif')).out.join(''));
    const { results, tool } = sarif.runs[0];
    expect(results.map(({ ruleId, level }: { ruleId: string; level: string }) => `${ruleId} ${level}`)).toEqual([
      'unlimited-amount note',
      'per-use-value note',
      'per-use-value note',
      'per-use-value note',
      'permit-any-agent warning',
    ]);
    expect(tool.driver.rules).toHaveLength(22);
  });

  it.each([
    ['a missing folder', ['no/such'], 'the policy folder `no/such` could not be read: ENOENT'],
    ['two formats', ['--json', '--sarif'], '`--json` and `--sarif` exclude each other'],
    ['a time-out without a proof', ['--timeout', '5'], '--timeout goes with --prove'],
    ...['0', '3601', '1.5', 'x'].map(
      (timeout) =>
        [
          `the time-out \`${timeout}\``,
          ['--prove', '--timeout', timeout],
          '`--timeout` must be a whole number of seconds from 1 to 3600',
        ] as const,
    ),
  ])('refuses %s', async (_name, args, message) => {
    expect(await folder.run(policyLint, ...args)).toEqual({ code: 2, out: [], err: [`remit policy lint: ${message}`] });
  });
});

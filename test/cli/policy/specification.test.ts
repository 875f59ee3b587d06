import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { policyAnalyze } from '../../../src/cli/policy/policy-analyze.ts';
import { policyTestCommand } from '../../../src/cli/policy/policy-test.ts';
import { commandRun } from '../../builders/command-run.ts';
import { PROVES, scriptedEngine } from '../../builders/scripted-engine.ts';
import { analysisPart, describeWith } from '../../parts.ts';
import { until } from '../../until.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';

jest.setTimeout(600_000);

let example: ExampleFolder;
const beside = (name: string): string => join(dirname(example.path), name);
beforeAll(() => {
  example = exampleFolder();
});
afterAll(() => example.remove());

const CREATE = 'principal, action == Remit::Action::"payments.create", resource';

/** A specification in a file of its own. */
function specified(name: string, text: string): string {
  const file = beside(`${name}.cedar`);
  writeFileSync(file, text);
  return file;
}

it('remit policy analyze --spec says how far it is', async () => {
  const spec = specified(
    'two',
    `@id("a") forbid (${CREATE}); @id("b") forbid (${CREATE}) when { context.risk == "low" };`,
  );
  const shown: string[] = [];
  const words = [example.path, '--spec', spec, '--engine', scriptedEngine(beside('proves'), PROVES)];
  const { code } = await commandRun(policyAnalyze.run, words, {
    environment: process.env,
    progress: (line) => shown.push(line),
  });
  expect(code).toBe(0);
  // The last clears the line.
  expect(shown).toEqual(['1 of 2 questions', '2 of 2 questions', '']);
});

describeWith(analysisPart(), 'remit policy analyze --spec with Cedar and cvc5', (engine) => {
  const held = (spec: string, ...more: readonly string[]) =>
    example.run(policyAnalyze, example.path, '--spec', spec, '--engine', engine, ...more);

  it('proves what holds, with exit code 0 (issue 43, point 1)', async () => {
    const spec = specified(
      'holds',
      `@id("never-above-500") @reason("nobody pays more") forbid (${CREATE}) when { context.args.amount > 500 };
       @id("payers-alone") permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.create", resource);`,
    );
    const { code, out } = await held(spec, '--timeout', '600');
    expect({ code, out }).toEqual({
      code: 0,
      out: [
        'proved: payments.create: against `never-above-500` (nobody pays more): holds',
        'proved: payments.create: against `payers-alone`: holds',
        '2 questions: 2 proved, 0 refuted, 0 undecided',
      ],
    });
  });

  it('refutes with a case that `remit policy test` reproduces until the set is mended (issue 43, point 1)', async () => {
    const spec = specified(
      'refuted',
      `@id("below-100") @reason("a person pays more") forbid (${CREATE}) when { context.args.amount >= 100 };
       @id("certified") permit (principal, action == Remit::Action::"files.delete", resource)
       when { context.credential.binding == "certificate" };`,
    );
    const cases = join(example.path, 'tests/against-spec.cedartests.json');
    const { code, out } = await held(spec, '--timeout', '600', '--cases', cases);
    expect([code, out.at(-1)]).toEqual([1, '2 questions: 0 proved, 2 refuted, 0 undecided']);
    expect(out.join('\n')).toContain(
      'refuted: payments.create: against `below-100` (a person pays more), by `payments-write`',
    );
    expect(out.join('\n')).toContain('refuted: files.delete: against `certified`, by `files-delete`');
    const tests = () => example.run(policyTestCommand, example.path, '--filter', 'counter-example: ');
    const before = await tests();
    expect(before.code).toBe(1);
    expect(before.out.join('\n')).toMatch(/expected deny, got allow[^]*expected deny, got allow[^]*0 passed, 2 failed/);
    writeFileSync(
      join(example.path, 'policies/mended.cedar'),
      `@id("few") forbid (${CREATE}) when { context.args.amount >= 100 };
       @id("bound") forbid (principal, action == Remit::Action::"files.delete", resource)
       unless { context.credential.binding == "certificate" };`,
    );
    expect((await tests()).out.join('\n')).toContain('2 passed, 0 failed');
    const mended = await held(spec, '--timeout', '600');
    expect([mended.code, mended.out.at(-1)]).toEqual([0, '2 questions: 2 proved, 0 refuted, 0 undecided']);
  });

  it('is undecided about an invariant that can fail, since Remit would deny by it', async () => {
    const spec = specified('fails', `@id("sum") forbid (${CREATE}) when { context.args.amount + 1 > 501 };`);
    const { code, out } = await held(spec, '--timeout', '600');
    expect([code, out]).toEqual([
      1,
      [
        'undecided: payments.create: against `sum`',
        '  tried: `sum` can fail for extreme values, and Remit denies then',
        '1 question: 0 proved, 0 refuted, 1 undecided',
      ],
    ]);
  });

  it('ends a question at `--timeout`, with its solver, and says what was tried (issue 43, point 1)', async () => {
    // Two numbers whose product is that of two primes: no solver finds them within a second.
    const hard =
      'context.credential.secondsLeft > 1 && context.credential.uses > 1 && context.credential.secondsLeft * context.credential.uses == 1000000016000000063';
    const spec = specified('hard', `@id("hard") forbid (${CREATE}) when { ${hard} };`);
    const within = beside('scratch');
    mkdirSync(within);
    const words = [example.path, '--spec', spec, '--engine', engine, '--timeout', '1', '--json'];
    const environment = { ...process.env, TMPDIR: within };
    const { code, out } = await commandRun(policyAnalyze.run, words, { environment });
    const [finding, ...others] = JSON.parse(out.join('')).findings;
    expect([code, others, finding.verdict]).toEqual([1, [], 'undecided']);
    const late = '\\d+ policies against 2: no answer within 1 s or the bound of memory$';
    expect(finding.tried).toEqual([
      expect.stringMatching(new RegExp(`^${late}`)),
      expect.stringMatching(new RegExp(`^\`payments-write\` alone: ${late}`)),
    ]);
    expect(readdirSync(within)).toEqual([]);
    await until(() => processesIn(within).length === 0, { what: 'no program of the question runs' });
  });
});

/** Processes whose working directory is in a folder. */
const processesIn = (folder: string): readonly string[] =>
  readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false;
    }
  });

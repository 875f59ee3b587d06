import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyTest } from '../../../src/cli/policy/policy-test.ts';
import { commandRun } from '../../builders/command-run.ts';

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'remit-test-')), 'p');
  mkdirSync(folder);
  for (const name of ['base.cedarschema', 'entities.cedarentities.json'])
    cpSync(join('cedar-policies', name), join(folder, name));
  write(
    'actions.yaml',
    'servers:\n  s:\n    hosts: [s.test]\n    audience: https://s.test\n    routes: [{ action: read, method: GET, path: /, risk: low }]\n',
  );
  write(
    'a.cedar',
    '@id("a") permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"read", resource)\nwhen { context.risk == "low" };\n',
  );
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const ALLOW = `cases:\n  - { name: it reads, agent: ${AGENT}, action: read, expect: allow }\n`;
const DENY = `  - { name: not with a raised risk, agent: ${AGENT}, action: read, task: { risk: high }, expect: deny }\n`;

const plain = (lines: readonly string[]) => lines.map((line) => line.replaceAll(folder, 'p'));

async function run(...args: readonly string[]) {
  const { code, out, err } = await commandRun(policyTest, args, { environment: process.env });
  return { code, out: plain(out), err: plain(err) };
}

describe('remit policy test', () => {
  it('passes, and prints what was tried and covered', async () => {
    write('a.test.yaml', ALLOW + DENY);
    expect(await run(folder)).toEqual({
      code: 0,
      out: [
        'p: 2 passed, 0 failed, 0 skipped',
        'not listed: 1 calls tried, all denied',
        'clause coverage 100 % (3 of 3): 1 of 1 permits, 0 of 0 forbids, 2 of 2 outcomes of clauses',
      ],
      err: [],
    });
  });

  it('fails with place and cause', async () => {
    write(
      'a.test.yaml',
      `${ALLOW.replace('expect: allow', 'expect: deny, skip: later')}${DENY.replace('deny', 'allow')}`,
    );
    expect(await run(folder)).toEqual({
      code: 1,
      out: [
        'skipped: it reads: later',
        'p/a.test.yaml:3:5: failed: not with a raised risk',
        '  expected allow, got deny policy.not-permitted (no policy permits `read`)',
        'p: 0 passed, 1 failed, 1 skipped',
        'not listed: 1 calls tried, all denied',
        'clause coverage 33 % (1 of 3): 0 of 1 permits, 0 of 0 forbids, 1 of 2 outcomes of clauses',
      ],
      err: [],
    });
  });

  it('fails if an agent is allowed an unlisted action, except with --listed-only', async () => {
    write('a.test.yaml', `cases:\n${DENY}`);
    const { code, out } = await run(folder);
    expect([code, out[0]]).toEqual([1, `not listed: ${AGENT} may read by a, in a plain call, but no case lists it`]);
    expect(out[2]).toBe('not listed: 3 calls tried, 1 agents and actions allowed');
    expect(await run(folder, '--listed-only')).toMatchObject({ code: 0 });
  });

  it('shows everything with --verbose', async () => {
    write('a.test.yaml', ALLOW);
    expect((await run(folder, '--verbose')).out.slice(0, 2)).toEqual([
      'passed: it reads: allow by a',
      'not covered: p/a.cedar:1:1: `a`: `when` at 2:1 never kept it from matching',
    ]);
  });

  it('lists surviving mutants with --mutate, and fails beyond --survivors', async () => {
    write('a.test.yaml', ALLOW + DENY);
    write(
      'a.cedar',
      readFileSync(join(folder, 'a.cedar'), 'utf8').replace('when {', 'when { context.intent.purpose != "" &&'),
    );
    expect(await run(folder, '--threshold', '100')).toMatchObject({ code: 0 });
    const survivors = [
      'p/a.cedar:1:18: survives: `a`: any principal will do: `principal in Remit::AgentGroup::"agents"` is left out [mutant-ID]',
      '  would be noticed by "it reads" with agent spiffe://acme.test/ns/agents/sa/planner-other: deny by no policy, but allow by a with the mutant',
      'p/a.cedar:2:8: survives: `a`: `context.intent.purpose != ""` is left out [mutant-ID]',
      '  would be noticed by "it reads" with context.intent.purpose "": deny by no policy, but allow by a with the mutant',
      '8 mutants: 6 noticed, 2 survived, 0 accepted',
    ];
    const { code, out } = await run(folder, '--mutate');
    const lines = out.slice(3).map((line) => line.replaceAll(/mutant-[0-9a-f]{8}/g, 'mutant-ID'));
    expect([code, lines]).toEqual([1, survivors]);
    expect(await run(folder, '--mutate', '--survivors', '1')).toMatchObject({ code: 1 });
    expect(await run(folder, '--mutate', '--survivors', '2')).toMatchObject({ code: 0 });
    const { code: coded, out: json } = await run(folder, '--mutate', '--json');
    expect([coded, JSON.parse(json.join(''))]).toMatchObject([
      1,
      {
        good: false,
        failed: 0,
        mutation: {
          mutants: 8,
          noticed: 6,
          unloadable: 0,
          survivors: [
            { policy: 'a', file: 'p/a.cedar', line: 1, column: 18, end: { line: 1, column: 58 } },
            { line: 2 },
          ],
          accepted: [],
          uselessAccepts: [],
        },
      },
    ]);
  });

  it('accepts mutants by `@accept`, and reports a useless `@accept`', async () => {
    write('a.test.yaml', `${ALLOW}${DENY}  - { name: a stranger, agent: ${AGENT}x, action: read, expect: deny }\n`);
    const text = readFileSync(join(folder, 'a.cedar'), 'utf8');
    write('a.cedar', text.replace('when {', 'when { context.intent.purpose != "" &&'));
    const [, id] = /(mutant-[0-9a-f]{8})/.exec((await run(folder, '--mutate')).out.join('\n')) ?? [];
    const accepting = text.replace('permit', `@accept("${id}") permit`);
    write('a.cedar', accepting.replace('when {', 'when { context.intent.purpose != "" &&'));
    const accepted = await run(folder, '--mutate');
    expect([accepted.code, accepted.out.at(-1)]).toEqual([0, '8 mutants: 7 noticed, 0 survived, 1 accepted']);
    write('a.cedar', accepting);
    const useless = await run(folder, '--mutate');
    expect([useless.code, useless.out.at(-2)]).toEqual([
      1,
      `p/a.cedar:1:1: \`a\`: \`@accept\` names \`${id}\`, which does not survive`,
    ]);
  });

  it('does not mutate if a case fails, and refuses to with a filter', async () => {
    write('a.test.yaml', ALLOW.replace('expect: allow', 'expect: deny'));
    const { code, out } = await run(folder, '--mutate', '--listed-only');
    expect([code, out.at(-1)]).toEqual([1, 'not mutated: all cases must pass first']);
    expect(await run(folder, '--mutate', '--filter', 'a')).toMatchObject({
      code: 2,
      err: [
        'remit policy test: `--mutate` and `--filter` exclude each other: any case may be the one that detects a mutant',
      ],
    });
    expect(await run(folder, '--survivors', '1')).toMatchObject({
      code: 2,
      err: ['remit policy test: `--survivors` goes with `--mutate`'],
    });
    expect(await run(folder, '--mutate', '--survivors', 'x')).toMatchObject({
      code: 2,
      err: ['remit policy test: `--survivors` must be a whole number'],
    });
  });

  it('compares the coverage with a threshold', async () => {
    write('a.test.yaml', ALLOW);
    expect(await run(folder, '--threshold', '66')).toMatchObject({ code: 0 });
    const { code, out } = await run(folder, '--threshold', '67');
    expect([code, out.at(-1)]).toEqual([
      1,
      'clause coverage 66 % (2 of 3): 1 of 1 permits, 0 of 0 forbids, 1 of 2 outcomes of clauses: less than the required 67 %',
    ]);
  });

  it('runs only the cases that match a name, and fails if none does', async () => {
    write('a.test.yaml', ALLOW + DENY);
    expect((await run(folder, '--filter', 'raised')).out[0]).toBe('p: 1 passed, 0 failed, 0 skipped');
    expect(await run(folder, '--filter', 'nothing')).toMatchObject({
      code: 1,
      out: ['p: 0 passed, 0 failed, 0 skipped', 'no case name matches the filter', expect.any(String)],
    });
  });

  it('writes JUnit XML, and prints one object with --json', async () => {
    write('a.test.yaml', ALLOW + DENY);
    const junit = join(folder, 'results.xml');
    const { code, out } = await run(folder, '--json', '--junit', junit);
    expect(code).toBe(0);
    expect(JSON.parse(out.join(''))).toMatchObject({
      good: true,
      threshold: 0,
      passed: 2,
      failed: 0,
      skipped: 0,
      cases: [
        {
          file: 'p/a.test.yaml',
          line: 2,
          column: 5,
          name: 'it reads',
          status: 'passed',
          messages: [],
          decision: 'allow by a',
        },
        {},
      ],
      unlisted: { attempts: 1, allowed: [] },
      coverage: {
        percent: 100,
        points: 3,
        covered: 3,
        policies: [
          {
            id: 'a',
            effect: 'permit',
            matched: 1,
            clauses: [{ kind: 'when', held: 1, failed: 1, line: 2, column: 1 }],
          },
        ],
      },
    });
    expect(readFileSync(junit, 'utf8')).toContain('tests="2" failures="0" skipped="0"');
  });

  it('runs the tests of `cedar run-tests` too', async () => {
    write(
      'a.cedartests.json',
      JSON.stringify([
        {
          name: 'c',
          request: {
            principal: 'Remit::Agent::"spiffe://a.test/b"',
            action: 'Remit::Action::"issue"',
            resource: 'Remit::Server::"s"',
            context: {},
          },
          entities: [],
          decision: 'deny',
          reason: [],
          num_errors: 0,
        },
      ]),
    );
    expect(await run(folder)).toMatchObject({
      code: 1,
      out: expect.arrayContaining(['p/a.cedartests.json:1:1: failed: c']),
    });
  });

  it('prints findings of policies and cases', async () => {
    write('a.test.yaml', 'cases: [{}]');
    expect(await run(folder)).toMatchObject({
      code: 1,
      out: expect.arrayContaining([
        'p/a.test.yaml:1:9: a case lacks the key `name`',
        '  help: `expect: allow` or `expect: deny`',
      ]),
    });
    write('a.cedar', 'permit');
    expect(await run(folder, '--json')).toMatchObject({
      code: 1,
      out: [expect.stringContaining('"good":false,"findings":[{"file":"p/a.cedar"')],
    });
  });

  const bad: readonly (readonly [string, readonly string[], string])[] = [
    ['a missing folder', ['no/such'], 'remit policy test: the policy folder `no/such` could not be read: ENOENT'],
    [
      'an invalid threshold',
      ['--threshold', '101'],
      'remit policy test: `--threshold` must be a whole number from 0 to 100',
    ],
    [
      'an empty threshold',
      ['--threshold', ''],
      'remit policy test: `--threshold` must be a whole number from 0 to 100',
    ],
    ['an unknown option', ['--coverage'], "Unknown option '--coverage'"],
  ];
  it.each(bad)('refuses %s', async (_name, args, message) => {
    expect(await run(...args)).toEqual({ code: 2, out: [], err: [expect.stringContaining(message)] });
  });

  it('refuses a folder without a suite, and a file that cannot be written', async () => {
    expect(await run(folder)).toEqual({
      code: 2,
      out: [],
      err: ['remit policy test: there is no *.test.yaml and no *.cedartests.json in `p`'],
    });
    write('a.test.yaml', ALLOW);
    expect(await run(folder, '--junit', join(folder, 'no/such'))).toEqual({
      code: 2,
      out: [],
      err: ['remit policy test: cannot write `p/no/such`: ENOENT'],
    });
  });
});

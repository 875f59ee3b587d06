import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, jest } from '@jest/globals';
import { policyTest } from '../../../src/cli/policy/policy-test.ts';
import { commandRun } from '../../builders/command-run.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ifTexts, MUTE, PROVES, scriptedEngine, shows } from '../../builders/scripted-engine.ts';
import { analysisPart, describeWith } from '../../parts.ts';

jest.setTimeout(600_000);

const folder = testFolders();

const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';
const CATALOG = `servers:
  s:
    hosts: [s.test]
    audience: https://s.test
    routes: [{ action: read, method: GET, path: /, risk: low }]
`;
const ENTITIES = JSON.stringify([
  {
    uid: { type: 'Remit::Agent', id: AGENT },
    attrs: {},
    parents: [
      { type: 'Remit::TrustDomain', id: 'acme.test' },
      { type: 'Remit::AgentGroup', id: 'agents' },
    ],
  },
]);
const CASES = `cases:
  - { name: it reads, agent: ${AGENT}, action: read, expect: allow }
  - { name: a stranger, agent: ${AGENT}x, action: read, expect: deny }
  - { name: not with a raised risk, agent: ${AGENT}, action: read, task: { risk: high }, expect: deny }
`;
const policy = (condition: string): string =>
  `@id("a") permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"read", resource)\nwhen { context.risk == "low" && ${condition} };\n`;

/** Purpose \`""\`, of an agent of the group. */
const EXAMPLE = `principal: Remit::Agent::"${AGENT}", action: Remit::Action::"read", resource: Remit::Endpoint::"s:GET /"
context: {intent: {purpose: "", actions: [""], ageSeconds: 1}, subject: "a", actors: [""], credential: {kind: "task-token", binding: "none", scope: [""], secondsLeft: 1, uses: 1, reuse: [""]}, request: {method: "GET", host: "s.test", path: "/"}, claimed: [""], attested: [{name: "a", value: "b", by: "c"}], task: {actions: [""], labels: [""]}, labels: [""], risk: "low", now: datetime("2026-12-01"), args: {}}
entities: [
  Remit::Agent::"${AGENT}" in [Remit::AgentGroup::"agents"],
  Remit::Endpoint::"s:GET /" in [Remit::Server::"s"],
]`;

function policies(condition: string): string {
  const path = folder();
  mkdirSync(join(path, 'tests'));
  writeFileSync(join(path, 'actions.yaml'), CATALOG);
  writeFileSync(join(path, 'entities.cedarentities.json'), ENTITIES);
  writeFileSync(join(path, 'a.cedar'), policy(condition));
  writeFileSync(join(path, 'tests/a.test.yaml'), CASES);
  return path;
}

async function run(path: string, ...args: readonly string[]) {
  const { code, out, err } = await commandRun(policyTest, [path, ...args], { environment: process.env });
  const plain = (lines: readonly string[]) => lines.map((line) => line.replaceAll(path, 'p'));
  return { code, out: plain(out), err: plain(err) };
}

const scripted = (script: string): string => scriptedEngine(join(folder(), 'engine'), script);

describe('remit policy test --mutate --prove', () => {
  it('accepts mutants that are proved to decide alike (issue 43, point 1)', async () => {
    const path = policies('context.intent.purpose != ""');
    expect((await run(path, '--mutate')).code).toBe(1);
    const { code, out } = await run(path, '--mutate', '--prove', '--engine', scripted(PROVES), '--verbose');
    expect(code).toBe(0);
    expect(out.join('\n')).toMatch(/equivalent by proof: `a`: `context\.intent\.purpose != ""` is left out/);
    expect(out.at(-1)).toMatch(/ 0 survived, 0 accepted, 1 equivalent by proof$/);
  });

  it('judges a forbid with `@always` by itself, as it is asked for calls that are only observed', async () => {
    const path = policies('context.intent.purpose != ""');
    const forbid = (annotation: string) =>
      writeFileSync(
        join(path, 'f.cedar'),
        `@id("f") ${annotation} forbid (principal, action == Remit::Action::"read", resource)\nwhen { context.risk == "high" };\n`,
      );
    // Beside the permit the forbid denies nothing more; alone it is undecided.
    const proved = ['--mutate', '--prove', '--engine', scripted(ifTexts('risk == "low"', PROVES)), '--verbose'];
    forbid('');
    const beside = await run(path, ...proved);
    forbid('@always("true")');
    const alone = await run(path, ...proved);
    expect(beside.out.join('\n')).toContain('equivalent by proof: `f`, to line 2: the policy is left out');
    expect(alone.out.join('\n')).toMatch(/survives: `f`, to line 2: the policy is left out/);
    expect(alone.code).toBe(1);
  });

  it('counts a mutant without an answer as a survivor, and says what was tried', async () => {
    const { code, out } = await run(
      policies('context.intent.purpose != ""'),
      '--mutate',
      '--prove',
      '--engine',
      scripted(MUTE),
    );
    expect(code).toBe(1);
    expect(out.join('\n')).toMatch(/survives: `a`: .*\n(?: {2}would be .*\n)? {2}tried: read: /);
    expect(out.at(-1)).toMatch(/ 1 survived, 0 accepted, 0 equivalent by proof$/);
  });

  it('gives a survivor a case that passes, and that the mutant fails', async () => {
    const path = policies('context.intent.purpose != ""');
    const cases = join(path, 'tests/found.cedartests.json');
    const proved = ['--prove', '--engine', scripted(shows(EXAMPLE)), '--cases', cases];
    const { code, out } = await run(path, '--mutate', ...proved, '--json');
    const { mutation } = JSON.parse(out.join('')) as {
      readonly mutation: { readonly survivors: readonly unknown[]; readonly equivalent: readonly unknown[] };
    };
    expect([code, mutation.equivalent]).toEqual([1, []]);
    expect(mutation.survivors).toEqual([
      expect.objectContaining({
        what: '`context.intent.purpose != ""` is left out',
        case: expect.objectContaining({ decision: 'deny', name: expect.stringMatching(/^mutant-[0-9a-f]{8}: a: /) }),
        tried: [],
      }),
    ]);
    expect(JSON.parse(readFileSync(cases, 'utf8'))).toHaveLength(1);
    const again = await run(path, '--mutate');
    expect([again.code, again.out.at(-1)]).toEqual([0, expect.stringMatching(/ 0 survived, 0 accepted$/)]);
  });

  it('refuses a file of cases that exists, before anything is asked', async () => {
    const path = policies('true');
    const cases = join(path, 'tests/kept.cedartests.json');
    writeFileSync(cases, '[]');
    expect(await run(path, '--mutate', '--prove', '--cases', cases)).toEqual({
      code: 2,
      out: [],
      err: ['remit policy test: `p/tests/kept.cedartests.json` exists: nothing is overwritten, name another file'],
    });
    expect(readFileSync(cases, 'utf8')).toBe('[]');
  });

  it.each([
    ['a proof without mutants', ['--prove'], '`--prove` goes with `--mutate`'],
    [
      'a file of cases without a proof',
      ['--mutate', '--cases', 'a'],
      '`--engine`, `--timeout` and `--cases` go with `--prove`',
    ],
    [
      'a time-out of 0',
      ['--mutate', '--prove', '--timeout', '0'],
      '`--timeout` must be a whole number of seconds from 1 to 3600',
    ],
    [
      'a name that tests are not read from',
      ['--mutate', '--prove', '--cases', 'c.json'],
      '`--cases` must end in `.cedartests.json`, so that `remit policy test` reads it',
    ],
  ])('refuses %s', async (_what, args, message) => {
    expect(await run(policies('true'), ...args)).toEqual({ code: 2, out: [], err: [`remit policy test: ${message}`] });
  });
});

describeWith(analysisPart(), 'remit policy test --mutate --prove with Cedar and cvc5', (engine) => {
  it('proves what cannot be noticed, and has a case for the rest (issue 43, point 1)', async () => {
    // The second condition holds whenever the third does.
    const path = policies('context.intent.ageSeconds < 500 && context.intent.ageSeconds < 100');
    const cases = join(path, 'tests/found.cedartests.json');
    const proved = ['--mutate', '--prove', '--engine', engine, '--timeout', '600'];
    const first = await run(path, ...proved, '--cases', cases, '--verbose');
    expect(first.code).toBe(1);
    expect(first.out.join('\n')).toContain('equivalent by proof: `a`: `context.intent.ageSeconds < 500` is left out');
    expect(first.out.join('\n')).not.toContain('tried: ');
    const again = await run(path, ...proved);
    expect([again.code, again.out.at(-1)]).toEqual([
      0,
      expect.stringMatching(/ 0 survived, 0 accepted, \d+ equivalent/),
    ]);
  });
});

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Command, CommandIo } from '../../../src/cli/command.ts';
import { policyAnalyze } from '../../../src/cli/policy/policy-analyze.ts';
import { policyLint } from '../../../src/cli/policy/policy-lint.ts';
import { policyTestCommand } from '../../../src/cli/policy/policy-test.ts';
import { commandRun } from '../../builders/command-run.ts';
import { MUTE, scriptedEngine } from '../../builders/scripted-engine.ts';
import { analysisPart, describeWith } from '../../parts.ts';

jest.setTimeout(600_000);

let parent: string;
beforeAll(() => {
  parent = mkdtempSync(join(tmpdir(), 'remit-analysed-'));
});
afterAll(() => rmSync(parent, { recursive: true }));

/** Adds a policy that tests what somebody attested. */
const ATTESTED = `
@id("big-refunds")
permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.refund", resource)
when { context.attested.contains({name: "approval", value: "finance", by: "spiffe://acme.test/w"}) };
`;

const gone = (text: string): string => text.replace(/@id\("payments-write"\)[^;]*;/, '');
const none = (text: string): string => text.replace('taskSeconds <= 900', 'taskSeconds < 0');
const dead = (text: string): string => `${text}
  @id("dead") permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.create", resource)
  when { context.args.amount > 5 && !(context.args.amount > 4) };
  @id("covered") permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.create", resource)
  when { context.args.amount > 1000 };
  @id("dead-forbid") forbid (principal, action == Remit::Action::"payments.create", resource)
  when { context.intent.ageSeconds < 0 };`;
const sum = (text: string): string => text.replace('amount > 500', 'amount + 1 > 501');

/** A copy of the shipped policies with a change of one file. */
function folder(name: string, file = 'payments', edit: (text: string) => string = (text) => text): string {
  const path = join(parent, name);
  cpSync('cedar-policies', path, { recursive: true });
  const policies = join(path, 'policies', `${file}.cedar`);
  const before = readFileSync(policies, 'utf8');
  const after = edit(before);
  if (name !== 'old' && before === after) throw new Error(`nothing is changed in \`${name}\``);
  writeFileSync(policies, after);
  return path;
}

/** A folder with programs that always answer the same; by default they give no answer, for what is decided without them. */
const constantEngine = (folder = 'mute', answer = MUTE): string => scriptedEngine(join(parent, folder), answer);

/** A copy of the shipped policies with a text of one file replaced. */
function replaced(name: string, file: string, [before, after]: readonly [string, string]): string {
  const path = join(parent, name);
  cpSync('cedar-policies', path, { recursive: true, filter: (from) => !from.endsWith('remit.cedarschema') });
  const text = readFileSync(join(path, file), 'utf8');
  if (!text.includes(before)) throw new Error(`\`${file}\` lacks \`${before}\``);
  writeFileSync(join(path, file), text.replace(before, after));
  return path;
}

const ran = (command: Command, args: readonly string[], environment: CommandIo['environment'] = process.env) =>
  commandRun(command.run, args, { environment });

/** What is said of the shipped policies, by a solver that proves everything. */
async function held(name: string, text: string, ...more: readonly string[]) {
  const spec = join(parent, `${name}.cedar`);
  writeFileSync(spec, text);
  const proving = constantEngine('proving', "echo '\u2713 implies: VERIFIED'");
  return ran(policyAnalyze, ['cedar-policies', '--spec', spec, '--engine', proving, ...more]);
}

describe('remit policy analyze', () => {
  it('says how to have its programs, if they are missing', async () => {
    const { code, err } = await ran(policyAnalyze, ['cedar-policies', 'cedar-policies'], {
      PATH: '/usr/bin',
      REMIT_CACHE: parent,
    });
    expect(code).toBe(2);
    expect(err.join(' ')).toContain('`npm run parts -- analysis` builds and installs both');
  });

  it.each([
    ['no set', [], 'OLD and NEW are required, or a set with --spec or --grants'],
    ['one set without a specification', ['a'], 'NEW is required, or --spec, or --grants'],
    ['a time-out of 0', ['a', 'b', '--timeout', '0'], '`--timeout` must be a whole number of seconds from 1 to 3600'],
    ['two formats', ['a', 'b', '--json', '--sarif'], '`--json` and `--sarif` exclude each other'],
    [
      'a name that tests are not read from',
      ['a', 'b', '--cases', 'c.json'],
      '`--cases` must end in `.cedartests.json`',
    ],
  ])('refuses %s', async (_what, args, message) => {
    const { code, err } = await ran(policyAnalyze, args);
    expect({ code, err: err.join('\n') }).toEqual({ code: 2, err: expect.stringContaining(message) });
  });
});

it('remit policy analyze refuses a file of cases that exists', async () => {
  const cases = join(parent, 'kept.cedartests.json');
  writeFileSync(cases, '[]');
  const asked = ['cedar-policies', 'cedar-policies', '--engine', constantEngine('kept'), '--cases', cases];
  expect(await ran(policyAnalyze, asked)).toEqual({
    code: 2,
    out: [],
    err: [`remit policy analyze: \`${cases}\` exists: nothing is overwritten, name another file`],
  });
  expect(readFileSync(cases, 'utf8')).toBe('[]');
});

it('remit policy analyze starts the programs of a relative folder (review of issue 43)', async () => {
  const answered = constantEngine('relative', "echo '\u2713 implies: VERIFIED'");
  const spec = join(parent, 'relative.cedar');
  writeFileSync(spec, '@id("all") forbid (principal, action == Remit::Action::"files.read", resource);\n');
  // Questions are asked in a folder that is too deep for the relative path to lead to the same place from there.
  const TMPDIR = join(parent, 'deeper/'.repeat(16));
  mkdirSync(TMPDIR, { recursive: true });
  const asked = ['cedar-policies', '--spec', spec, '--engine', relative(process.cwd(), answered)];
  expect(await ran(policyAnalyze, asked, { ...process.env, TMPDIR })).toEqual({
    code: 0,
    out: ['proved: files.read: against `all`: holds', '1 question: 1 proved, 0 refuted, 0 undecided'],
    err: [],
  });
});

describe('remit policy analyze of a catalog or entities that permit more', () => {
  const refund = "path: '/v1/payments/{id}/refund', risk:";
  const reporter =
    '"spiffe://acme.test/ns/agents/sa/reporter" },\n    "attrs": {},\n    "parents": [{ "type": "Remit::AgentGroup", "id": "';
  const NEW = 'catalog or entities differ; both sets were judged by those of NEW';

  const changes: readonly (readonly [string, string, string, readonly [string, string]])[] = [
    ['a risk', 'issue', 'actions.yaml', [`${refund} high`, `${refund} low`]],
    ['an attribute of a server', 'issue', 'actions.yaml', ['  files:\n', '  files:\n    attributes: { tier: open }\n']],
    ['where an argument is read', 'payments.create', 'actions.yaml', ['amount: { from: body', 'amount: { from: query']],
    [
      'a new member of a group',
      'payments.read',
      'entities.cedarentities.json',
      [`${reporter}agents`, `${reporter}payers`],
    ],
    ['a new member of a group', 'issue', 'entities.cedarentities.json', [`${reporter}agents`, `${reporter}payers`]],
    ['a time zone', 'payments.read', 'actions.yaml', ['Europe/Berlin', 'Asia/Tokyo']],
  ];

  it.each(changes)('does not take %s for harmless to %s (review of issue 43)', async (what, action, file, edit) => {
    const next = replaced(`${what} ${action}`, file, edit);
    const { code, out } = await ran(policyAnalyze, ['cedar-policies', next, '--engine', constantEngine()]);
    expect(code).toBe(1);
    expect(out.join('\n')).toContain(`undecided: ${action}: newly allowed\n  tried: ${NEW}`);
    expect(out.join('\n')).not.toContain(`proved by comparing policies: ${action}: newly allowed`);
  });

  it('still proves that a set without a permit of an action allows nothing', async () => {
    const attributes = '  files:\n    attributes: { tier: open }\n';
    const sets = [
      replaced('nobody', 'actions.yaml', ['  files:\n', '  files:\n']),
      replaced('nobody else', 'actions.yaml', ['  files:\n', attributes]),
    ];
    for (const set of sets) {
      rmSync(join(set, 'policies'), { recursive: true });
      writeFileSync(join(set, 'none.cedar'), '@id("none") forbid (principal, action, resource);\n');
    }
    const asked = ['--engine', constantEngine(), '--action', 'files.read'];
    const { out } = await ran(policyAnalyze, [...sets, ...asked]);
    expect(out).toContain('proved by comparing policies: files.read: newly allowed: nothing');
  });
});

describe('remit policy analyze --spec, with a server that the catalog lacks', () => {
  const LACKED = 'resource in Remit::Server::"paymnts"';

  it('does not skip a forbid, which would hold of every set (review of issue 43)', async () => {
    const { code, out } = await held('idle', `@id("idle") forbid (principal, action, ${LACKED});`);
    expect(code).toBe(1);
    expect(out.join('\n')).toContain(
      'undecided: payments.create: against `idle`\n  tried: no action of the catalog is at a resource of its head',
    );
    const issue = await held('issue', `@id("idle") forbid (principal, action == Remit::Action::"issue", ${LACKED});`);
    expect([issue.code, issue.out.at(-1)]).toEqual([1, '1 question: 0 proved, 0 refuted, 1 undecided']);
  });

  it('asks about a permit, beyond which everything lies', async () => {
    const create = 'action == Remit::Action::"payments.create"';
    const { out } = await held('bound', `@id("bound") permit (principal, ${create}, ${LACKED});`);
    expect(out.at(-1)).toBe('1 question: 1 proved, 0 refuted, 0 undecided');
  });

  it('takes a forbid of a server that is there for asked, at its endpoints and for `issue`', async () => {
    const there = LACKED.replace('paymnts', 'payments');
    const { code, out } = await held('there', `@id("there") forbid (principal, action, ${there});`);
    expect([code, out.at(-1)]).toEqual([
      0,
      expect.stringMatching(/^\d+ questions: (\d+) proved, 0 refuted, 0 undecided$/),
    ]);
    const issue = await held('tokens', `@id("t") forbid (principal, action == Remit::Action::"issue", ${there});`);
    expect(issue.code).toBe(0);
  });

  it('refuses a specification that says nothing about what is asked', async () => {
    const create = '@id("c") forbid (principal, action == Remit::Action::"payments.create", resource);';
    const { code, err } = await held('other', create, '--action', 'files.read');
    expect({ code, err: err.join('\n') }).toEqual({
      code: 2,
      err: expect.stringContaining('has no policy about an action that was asked about'),
    });
  });
});

describeWith(analysisPart(), 'remit policy analyze with Cedar and cvc5', (engine) => {
  let old: string;
  beforeAll(() => {
    old = folder('old', 'payments', (text) => text + ATTESTED);
  });
  const analyze = (...args: readonly string[]) => ran(policyAnalyze, [...args, '--engine', engine, '--timeout', '600']);
  const holes: readonly (readonly [string, string, string, (text: string) => string])[] = [
    ['a forbid removed', 'payments.create', 'payments', (text) => text.replace(/@id\("payments-limit"\)[^;]*;/, '')],
    ['a limit loosened by one', 'payments.create', 'payments', (text) => text.replace('amount > 500', 'amount > 501')],
    ['an `||`', 'payments.create', 'payments', (text) => text.replace('!= "" && context', '!= "" || context')],
    ['a wildcard', 'files.delete', 'files', (text) => text.replace('"draft-*"', '"*draft-*"')],
    [
      'a claim taken for an attested value',
      'payments.refund',
      'payments',
      (text) => text.replace(/context\.attested\.contains\([^)]*\)/, 'context.claimed.contains("approval=finance")'),
    ],
  ];

  it.each(holes)(
    'finds %s, with a case that `remit policy test` reproduces (issue 43, point 1)',
    async (what, action, file, edit) => {
      const base = folder(`${what}-base`, 'payments', (text) => text + ATTESTED);
      const next = folder(what, 'payments', (text) => text + ATTESTED);
      const policies = join(next, 'policies', `${file}.cedar`);
      const before = readFileSync(policies, 'utf8');
      writeFileSync(policies, edit(before));
      expect(edit(before)).not.toBe(before);
      const cases = 'tests/found.cedartests.json';
      const { code, out } = await analyze(base, next, '--json', '--cases', join(next, cases));
      const { findings } = JSON.parse(out.join('')) as {
        readonly findings: readonly { readonly action: string; readonly direction: string; readonly verdict: string }[];
      };
      expect(code).toBe(1);
      expect(findings.filter(({ verdict }) => verdict === 'undecided')).toEqual([]);
      expect(findings).toContainEqual(
        expect.objectContaining({ action, direction: 'newly-allowed', verdict: 'refuted' }),
      );
      const filter = ['--filter', `counter-example: ${action}: newly allowed`];
      const reproduced = await ran(policyTestCommand, [next, ...filter]);
      expect(reproduced.code).toBe(1);
      expect(reproduced.out.join('\n')).toContain('expected deny, got allow');
      cpSync(join(next, cases), join(base, cases));
      expect((await ran(policyTestCommand, [base, ...filter])).out.join('\n')).toContain('1 passed, 0 failed');
    },
  );

  it('proves that a tightened limit permits nothing new, and shows what it takes away', async () => {
    const next = folder('tight', 'payments', (text) => text.replace('amount > 500', 'amount > 200') + ATTESTED);
    const { code, out } = await analyze(old, next);
    expect(code).toBe(1);
    expect(out).toContain('proved: payments.create: newly allowed: nothing');
    expect(out.join('\n')).toContain('refuted: payments.create: no longer allowed, by `payments-write`');
    expect(out.at(-1)).toBe('2 questions: 1 proved, 1 refuted, 0 undecided');
  });

  it('asks nothing about sets that decide alike, and leaves no text behind', async () => {
    const next = folder(
      'reworded',
      'payments',
      (text) => `// moved\n${text.replace('a person', 'someone')}${ATTESTED}`,
    );
    const scratch = join(parent, 'scratch');
    mkdirSync(scratch);
    const asked = [old, next, '--engine', engine];
    expect(await ran(policyAnalyze, asked, { ...process.env, TMPDIR: scratch })).toEqual({
      code: 0,
      out: ['0 questions: 0 proved, 0 refuted, 0 undecided'],
      err: [],
    });
    const tight = folder('tight-too', 'payments', (text) => text.replace('amount > 500', 'amount > 200') + ATTESTED);
    await ran(policyAnalyze, [tight, ...asked.slice(1)], { ...process.env, TMPDIR: scratch });
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('holds a set to a specification, each invariant with its reason', async () => {
    const spec = join(parent, 'spec.cedar');
    writeFileSync(
      spec,
      `@id("never-above-500") @reason("nobody pays more than 500")
       forbid (principal, action == Remit::Action::"payments.create", resource) when { context.args.amount > 500 };
       @id("drafts-by-anyone")
       permit (principal, action == Remit::Action::"files.delete", resource) when { context.args.name like "draft-*" };
       @id("small") @reason("only small payments")
       forbid (principal, action == Remit::Action::"payments.create", resource) when { context.args.amount > 499 };`,
    );
    const { code, out } = await analyze(old, '--spec', spec);
    expect(code).toBe(1);
    expect(out).toContain('proved: payments.create: against `never-above-500` (nobody pays more than 500): holds');
    expect(out).toContain('proved: files.delete: against `drafts-by-anyone`: holds');
    expect(out.join('\n')).toContain(
      'refuted: payments.create: against `small` (only small payments), by `payments-write`',
    );
    const sarif = await analyze(old, '--spec', spec, '--sarif');
    const [{ results } = { results: [] }] = (
      JSON.parse(sarif.out.join('')) as { readonly runs: readonly { readonly results: readonly unknown[] }[] }
    ).runs;
    expect(results).toEqual([expect.objectContaining({ ruleId: 'invariant', level: 'warning' })]);
  });

  it('finds what is granted and cannot be used, and the reverse', async () => {
    expect(await analyze(old, '--grants', '--action', 'payments.create', '--action', 'files.delete')).toEqual({
      code: 0,
      out: [
        'proved: payments.create: granted, and no use can be allowed: nothing',
        'proved: payments.create: uses are allowed, and no token can be granted: nothing',
        'proved: files.delete: granted, and no use can be allowed: nothing',
        'proved: files.delete: uses are allowed, and no token can be granted: nothing',
        '4 questions: 4 proved, 0 refuted, 0 undecided',
      ],
      err: [],
    });
    const unusable = await analyze(folder('unusable', 'payments', gone), '--grants', '--action', 'payments.create');
    expect(unusable.out.join('\n')).toContain(
      'refuted: payments.create: granted, and no use can be allowed, by `issue-high-risk`',
    );
    const ungranted = await analyze(folder('ungranted', 'issue', none), '--grants', '--action', 'payments.create');
    expect(ungranted.out.join('\n')).toContain(
      'refuted: payments.create: uses are allowed, and no token can be granted, by `payments-write`',
    );
  });

  it('lets `policy lint --prove` find what decides nothing, and nothing else', async () => {
    const { code, out } = await ran(policyLint, [
      folder('dead', 'payments', dead),
      '--prove',
      '--engine',
      engine,
      '--json',
    ]);
    const { findings } = JSON.parse(out.join('')) as {
      readonly findings: readonly { readonly rule: string; readonly policy: string; readonly message: string }[];
    };
    expect(code).toBe(1);
    expect(
      findings.filter(({ rule }) => rule === 'proved-useless').map(({ policy, message }) => [policy, message]),
    ).toEqual([
      ['dead', 'the policy can match no request: its conditions contradict each other'],
      ['covered', 'the permit has no effect: forbids cover all that it matches'],
      ['dead-forbid', 'the policy can match no request: its conditions contradict each other'],
    ]);
  });

  it('does not take a policy for proved that can fail, since Remit denies then', async () => {
    const next = folder('sum', 'payments', (text) => text + ATTESTED);
    const base = folder('sum-base', 'payments', (text) => sum(text) + ATTESTED);
    const { out } = await analyze(base, next, '--action', 'payments.create');
    expect(out.join('\n')).toContain('tried: `payments-limit` can fail for extreme values, and Remit denies then');
  });

  it('says of a question that was ended at its bounds what was tried', async () => {
    const slow = join(parent, 'slow');
    mkdirSync(slow);
    for (const name of ['cedar', 'cvc5'])
      writeFileSync(join(slow, name), '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 });
    const next = folder('slow-new', 'payments', (text) => text.replace('amount > 500', 'amount > 200') + ATTESTED);
    const { code, out } = await ran(policyAnalyze, [old, next, '--engine', slow, '--timeout', '1']);
    expect(code).toBe(1);
    expect(out.join('\n')).toMatch(/undecided: payments\.create: newly allowed\n {2}tried: .*no answer within 1 s/);
    expect(existsSync(slow)).toBe(true);
  });
});

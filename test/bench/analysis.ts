import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as fc from 'fast-check';
import { freshCedar } from '../../src/core/policy/cedar.ts';
import { loadPolicies } from '../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../src/core/policy/loading/load.ts';
import { isAllowed } from '../../src/tools/policy/analyze/implication.ts';
import { rawAsker } from '../../src/tools/policy/cases/raw-question.ts';
import { must } from '../builders/must.ts';
import { scratch } from '../builders/scratch.ts';
import { companyFolder, requestsOf, teamName, VERBS } from './teams.ts';

/**
 * What it costs to prove a change among 2,000 policies of 40 teams, and whether the answers are right: a change of one action, then one
 * that bears on every action, with five holes in it, whose counter-examples `remit policy test` must reproduce, and requests at random, none of
 * which may contradict a proof. Exit code 1 if an answer is not as it must be. It needs the part `analysis` (`npm run parts -- analysis`).
 *
 * ```
 * npm run build && node test/bench/analysis.ts                 # about ten minutes on two cores
 * node test/bench/analysis.ts --teams 5 --policies 250         # a smaller company
 * node test/bench/analysis.ts --only one                       # the change of one action alone
 * ```
 */

const { values } = parseArgs({
  options: {
    teams: { type: 'string', default: '40' },
    policies: { type: 'string', default: '2000' },
    requests: { type: 'string', default: '50000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
});
const [teams, policies, requests, rounds] = [values.teams, values.policies, values.requests, values.rounds].map(
  Number,
) as [number, number, number, number];
/** `REMIT_MAIN` names another build. */
const remit = process.env['REMIT_MAIN'] ?? resolve(import.meta.dirname, '../../dist/main.js');
const { folder, remove } = scratch();
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** A change of one team's policies, and the actions of which it allows more or less. */
interface Edit {
  readonly what: string;
  readonly edit: (text: string) => string;
  readonly gained?: readonly string[];
  readonly lost?: readonly string[];
}

const writes = ['create', 'change', 'send'];
/** By team: five holes, then changes that allow nothing more. Later teams change nothing. */
const edits: readonly Edit[] = [
  {
    what: 'a forbid removed',
    edit: (text) => text.replace(/^@id\("t\d+-create-limit"\).*\n/m, ''),
    gained: ['create'],
  },
  { what: 'a limit loosened by one', edit: (text) => limit(text, 'send', '> 501'), gained: ['send'] },
  { what: 'an `||`', edit: (text) => text.replace('!= "" && context', '!= "" || context'), gained: writes },
  { what: 'a wildcard', edit: (text) => text.replace('"draft-*"', '"*draft-*"'), gained: ['delete'] },
  {
    what: 'a claim taken for an attested value',
    edit: (text) =>
      text.replace(/context\.attested\.contains\([^)]*\)/, 'context.claimed.contains("approval=finance")'),
    gained: ['refund'],
    lost: ['refund'],
  },
  { what: 'the same limits, written otherwise', edit: (text) => text.replaceAll('amount > 500', 'amount >= 501') },
  { what: 'tighter limits', edit: (text) => text.replaceAll('amount > 500', 'amount > 200'), lost: ['create', 'send'] },
  { what: 'a shorter life', edit: (text) => text.replace('<= 3600', '< 3600'), lost: writes },
  {
    what: 'a permit that another permit covers',
    edit: (text) =>
      `${text}${text.replace(/^[^]*?(@id\("(t\d+)-writes"\)[^;]*) \};[^]*$/, '$1 && context.args.amount < 100 };').replace('-writes', '-small')}\n`,
  },
  { what: 'a single purpose', edit: (text) => text.replace('!= "" && context', '== "pay" && context'), lost: writes },
];

const limit = (text: string, verb: string, to: string): string =>
  text.replace(new RegExp(`^(@id\\("t\\d+-${verb}-limit"\\).*)> 500`, 'm'), `$1${to}`);

/** A change of words that bears on every action, and changes nothing. */
const reworded = (text: string): string =>
  text.replace('context.risk == "high"', '!(context.risk == "low" || context.risk == "medium")');

/** Changes a file of policies, which must then be another. */
function change(at: string, file: string, edit: (text: string) => string): void {
  const path = join(at, 'policies', `${file}.cedar`);
  const before = readFileSync(path, 'utf8');
  if (edit(before) === before) throw new Error(`nothing is changed in \`${path}\``);
  writeFileSync(path, edit(before));
}

const problems: string[] = [];
function mustBe(what: string, isRight: boolean): void {
  if (!isRight) problems.push(what);
}

/** Runs a command of the build to its end; what it says of its progress is shown. */
function ran(...args: readonly string[]): {
  readonly code: number | null;
  readonly out: string;
  readonly tookMs: number;
} {
  const startMs = performance.now();
  const { status, stdout } = spawnSync(process.execPath, [remit, 'policy', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1024 ** 3,
  });
  return { code: status, out: stdout, tookMs: performance.now() - startMs };
}

interface Finding {
  readonly action: string;
  readonly direction: 'newly-allowed' | 'no-longer-allowed';
  readonly verdict: 'proved' | 'refuted' | 'undecided';
  readonly tried: readonly string[];
}

function analysed(...args: readonly string[]): { readonly findings: readonly Finding[]; readonly tookMs: number } {
  const { code, out, tookMs } = ran('analyze', ...args, '--json');
  if (code !== 0 && code !== 1) throw new Error(`remit policy analyze ended with ${code}`);
  return { findings: JSON.parse(out).findings as readonly Finding[], tookMs };
}

const actionsOf = (findings: readonly Finding[], direction: Finding['direction'], verdict: Finding['verdict']) =>
  findings.filter((one) => one.direction === direction && one.verdict === verdict).map(({ action }) => action);

/** A limit of one action is tightened by one. */
function oneAction(former: string): void {
  const next = join(folder(), 'one');
  cpSync(former, next, { recursive: true });
  change(next, teamName(1), (text) => limit(text, 'send', '> 499'));
  const times = Array.from({ length: rounds }, () => {
    const { findings, tookMs } = analysed(former, next);
    mustBe('one action: two answers', findings.length === 2);
    mustBe('one action: nothing more is allowed', actionsOf(findings, 'newly-allowed', 'proved').length === 1);
    mustBe('one action: less is allowed', actionsOf(findings, 'no-longer-allowed', 'refuted').length === 1);
    return tookMs;
  });
  say(`one changed action: ${times.map(seconds).join(', ')}`);
  mustBe('one action: within 10 s', Math.max(...times) < 10_000);
}

/** Every action has a changed policy; those of the first ten teams have more. */
function everything(former: string): { readonly next: string; readonly findings: readonly Finding[] } {
  const next = join(folder(), 'all');
  cpSync(former, next, { recursive: true });
  change(next, 'risk', reworded);
  const expected = { gained: new Set<string>(), lost: new Set<string>() };
  for (const [index, { edit, gained = [], lost = [] }] of edits.slice(0, teams).entries()) {
    const team = teamName(index + 1);
    change(next, team, edit);
    for (const verb of gained) expected.gained.add(`${team}.${verb}`);
    for (const verb of lost) expected.lost.add(`${team}.${verb}`);
  }
  const cases = join(next, 'tests/found.cedartests.json');
  const { findings, tookMs } = analysed(former, next, '--cases', cases);
  const of = (verdict: Finding['verdict']): number => findings.filter((one) => one.verdict === verdict).length;
  say(
    `all ${findings.length / 2} actions: ${seconds(tookMs)}, ${of('proved')} proved, ${of('refuted')} refuted, ${of('undecided')} undecided`,
  );
  mustBe('all: within 10 minutes', tookMs < 600_000);
  for (const { action, tried } of findings.filter(({ verdict }) => verdict === 'undecided'))
    problems.push(`undecided: ${action}: ${tried.join('; ')}`);
  const gained = actionsOf(findings, 'newly-allowed', 'refuted');
  const lost = actionsOf(findings, 'no-longer-allowed', 'refuted');
  for (const [index, { what }] of edits.slice(0, teams).entries()) {
    const ofTeam = (actions: readonly string[]): string =>
      actions.filter((action) => action.startsWith(`${teamName(index + 1)}.`)).join(', ') || 'nothing';
    say(`  ${what}: allows more of ${ofTeam(gained)}, less of ${ofTeam(lost)}`);
  }
  mustBe(`all: more is allowed of ${[...expected.gained].join(', ')}`, isSame(gained, expected.gained));
  mustBe(`all: less is allowed of ${[...expected.lost].join(', ')}`, isSame(lost, expected.lost));
  cpSync(cases, join(former, 'tests/found.cedartests.json'));
  reproduced(former, next, gained.length + lost.length);
  return { next, findings };
}

const isSame = (found: readonly string[], expected: ReadonlySet<string>): boolean =>
  found.length === expected.size && found.every((one) => expected.has(one));

const countsOf = (at: string): string =>
  /\d+ passed, \d+ failed/.exec(ran('test', at, '--filter', 'counter-example: ').out)?.[0] ?? 'no answer';

/** The counter-examples as tests: the old set decides each as it says, the new set none. */
function reproduced(former: string, next: string, count: number): void {
  const [before, after] = [countsOf(former), countsOf(next)];
  say(`counter-examples as tests: old set ${before}; new set ${after}`);
  mustBe('counter-examples: the old set passes all', before === `${count} passed, 0 failed`);
  mustBe('counter-examples: the new set fails all', after === `0 passed, ${count} failed`);
}

const loaded = async (at: string): Promise<PolicySet> => must(await loadPolicies(at));

/** Asks the engine what was proved. */
async function contradictions(former: string, next: string, findings: readonly Finding[]): Promise<void> {
  const sets = [await loaded(former), await loaded(next)];
  const numRuns = Math.ceil(requests / (teams * VERBS.length));
  const cedar = freshCedar();
  let [asked, allowed, differ, wrong] = [0, 0, 0, 0];
  for (let index = 1; index <= teams; index += 1) {
    const team = teamName(index);
    const byVerb = VERBS.map((verb) => fc.sample(requestsOf(team, verb), { numRuns, seed: 43 + index }));
    // No policy of another team can match, since its head has another server.
    const isOther = new RegExp(`/t(?!${team.slice(1)}\\.)\\d+\\.cedar$`);
    const [was = [], is = []] = sets.map((set) => {
      const own = { ...set, policies: set.policies.filter(({ file }) => !isOther.test(file)) };
      const answerOf = rawAsker(own, cedar);
      return byVerb.map((of) =>
        of.map((request) => {
          const answer = answerOf(request);
          if ('problem' in answer) throw new Error(answer.problem);
          return isAllowed(answer);
        }),
      );
    });
    for (const [at, verb] of VERBS.entries()) {
      const [before = [], after = []] = [was[at], is[at]];
      const counts = {
        'newly-allowed': after.filter((one, each) => one && !before[each]).length,
        'no-longer-allowed': before.filter((one, each) => one && !after[each]).length,
      };
      asked += before.length;
      allowed += before.filter(Boolean).length;
      for (const direction of ['newly-allowed', 'no-longer-allowed'] as const) {
        differ += counts[direction];
        const isProved = actionsOf(findings, direction, 'proved').includes(`${team}.${verb}`);
        if (isProved) wrong += counts[direction];
      }
    }
  }
  say(
    `${asked} requests at random: the old set allows ${allowed}, the sets differ for ${differ}, and contradict a proof for ${wrong}`,
  );
  mustBe('no proof is wrong', wrong === 0);
  mustBe('requests at random: some are allowed, and some decided otherwise', allowed > 0 && differ > 0);
}

async function run(): Promise<void> {
  const former = companyFolder(join(folder(), 'old'), { teams, policies });
  const { code, out, tookMs } = ran('validate', former);
  say(`${out.trimEnd().split('\n').at(-1)?.replace(former, `${teams} teams`)}: ${seconds(tookMs)}`);
  mustBe('each team keeps to what is its own', code === 0);
  oneAction(former);
  if (values.only === 'one') return;
  const { next, findings } = everything(former);
  await contradictions(former, next, findings);
}

try {
  await run();
} finally {
  remove();
}
for (const problem of problems) say(`WRONG: ${problem}`);
process.exitCode = problems.length > 0 ? 1 : 0;

import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { analysisPrograms } from '../../../../src/tools/policy/analyze/programs.ts';
import { Prover } from '../../../../src/tools/policy/analyze/prover.ts';
import { uselessPolicies } from '../../../../src/tools/policy/analyze/useless.ts';
import { must } from '../../../builders/must.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { ifTexts, MUTE, PROVES, scriptedEngine } from '../../../builders/scripted-engine.ts';
import { analysisPart, describeWith } from '../../../parts.ts';

jest.setTimeout(600_000);

const LINKS = 'payers.cedarlinks.json';
const folder = testFolders();

async function useless(engine: string, policies: string, links?: readonly object[]): Promise<readonly string[]> {
  const source = folderWith(policies);
  const linked = links === undefined ? [] : [{ name: LINKS, file: `p/${LINKS}`, text: JSON.stringify(links) }];
  const programs = must(await analysisPrograms({ folder: engine, cacheFolder: engine, path: '/usr/bin:/bin' }));
  const set = await mustLoad({ ...source, policies: [...source.policies, ...linked] });
  const prover = await Prover.open(programs, set.schema, { timeoutSeconds: 600 });
  try {
    const found = await uselessPolicies(set, prover, { atOnce: 1, onProgress: () => undefined });
    return found.map((one) => {
      const more =
        one.why === 'branch' ? `: ${one.branch.text}` : one.why === 'covered' ? ` by ${one.by.join(', ')}` : '';
      return `${one.policy.id}: ${one.why}${more}`;
    });
  } finally {
    await prover.close();
  }
}

const scripted = (policies: string, script: string, links?: readonly object[]): Promise<readonly string[]> =>
  useless(scriptedEngine(join(folder(), 'engine'), script), policies, links);

const pays = (id: string, condition: string, effect = 'permit'): string =>
  `@id("${id}") ${effect} (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.create", resource)
   when { ${condition} };\n`;

it('uselessPolicies names the operand of `||` without which a policy matches the same (issue 43, point 1)', async () => {
  const policy = pays('p', 'context.risk == "low" || (context.intent.purpose == "pay"\n && context.args.amount < 5)');
  expect(await scripted(policy, ifTexts('"low" || (false)', PROVES))).toEqual([
    'p: branch: context.intent.purpose == "pay" && context.args.amount < 5',
  ]);
  expect(await scripted(policy, MUTE)).toEqual([]);
});

it('uselessPolicies names one of two permits that cover each other (issue 43, point 4)', async () => {
  const both = pays('one', 'context.risk == "low"') + pays('two', 'context.risk == "low"');
  expect(await scripted(both, MUTE)).toEqual(['one: covered by two']);
  expect(await scripted(pays('one', 'context.risk == "low"') + pays('two', 'context.risk == "high"'), MUTE)).toEqual(
    [],
  );
});

it('uselessPolicies names only operands that can be deleted together', async () => {
  const policy = pays(
    'p',
    'context.risk == "low" || context.intent.purpose == "pay" || context.intent.purpose == "pay"',
  );
  const oneIsCut = String.raw`\("low" || false || context\|"pay" || false\)`;
  expect(await scripted(policy, ifTexts(oneIsCut, PROVES))).toEqual(['p: branch: context.intent.purpose == "pay"']);
});

it('uselessPolicies names an operand of a template once, if it decides nothing in any of its links', async () => {
  const template =
    '@id("t") permit (principal == ?principal, action == Remit::Action::"payments.create", resource) ' +
    'when { context.risk == "low" || context.intent.purpose == "pay" };\n';
  const links = ['one', 'two'].map((name) => ({
    templateId: 't',
    newId: name,
    values: { '?principal': { type: 'Remit::Agent', id: `spiffe://acme.test/${name}` } },
  }));
  expect(await scripted(template, ifTexts('"low" || false', PROVES), links)).toEqual([
    'one: branch: context.intent.purpose == "pay"',
  ]);
  // In the other link it may decide something.
  expect(await scripted(template, ifTexts('acme.test/one".*"low" || false', PROVES), links)).toEqual([]);
});

it('uselessPolicies does not take a policy that can fail for one that decides nothing, since Remit denies then', async () => {
  const policy = pays('p', 'context.args.amount + 1 > 5 && context.args.amount < 2');
  expect(await scripted(policy, PROVES)).toEqual(['p: never']);
  expect(await scripted(policy, `case "$*" in *never-errors*) ${MUTE} ;; esac\n${PROVES}`)).toEqual([]);
});

describeWith(analysisPart(), 'what uselessPolicies proves', (engine) => {
  it.each([
    [
      'an operand that contradicts itself',
      pays('p', 'context.args.amount < 5 || (context.args.amount > 9 && context.args.amount < 7)'),
      ['p: branch: context.args.amount > 9 && context.args.amount < 7'],
    ],
    [
      'an operand that another has',
      pays('p', 'context.args.amount < 500 || context.args.amount < 100'),
      ['p: branch: context.args.amount < 100'],
    ],
    [
      'an operand of a condition that is turned around',
      pays('p', '!(context.args.amount > 500 || context.args.amount > 900)'),
      ['p: branch: context.args.amount > 900'],
    ],
    [
      'an operand that its condition excludes',
      pays('p', 'context.args.amount < 10 && (context.risk == "low" || context.args.amount > 20)'),
      ['p: branch: context.args.amount > 20'],
    ],
    [
      'an operand of a forbid',
      pays('a', 'context.args.amount < 1000') +
        pays('p', 'context.args.amount > 500 || context.intent.ageSeconds < 0', 'forbid'),
      ['p: branch: context.intent.ageSeconds < 0'],
    ],
    [
      'one of two operands that replace each other',
      pays('p', 'context.risk == "low" || context.args.amount < 5 || context.args.amount <= 4'),
      ['p: branch: context.args.amount < 5'],
    ],
    [
      'no policy that matches nothing and can fail',
      pays('p', 'context.args.amount * 9000000000000000000 < 5 && context.args.amount > 9 && context.args.amount < 7'),
      [],
    ],
    ['no operand that matters', pays('p', 'context.args.amount < 5 || context.risk == "low"'), []],
    [
      'a permit that another covers',
      pays('small', 'context.args.amount < 100 && context.intent.purpose == "pay"') +
        pays('big', 'context.args.amount < 500'),
      ['small: covered by big'],
    ],
    [
      'a permit that two cover together',
      pays('all', 'context.args.amount < 500') +
        pays('low', 'context.args.amount < 200') +
        pays('high', 'context.args.amount >= 200'),
      ['all: covered by low, high'],
    ],
    [
      'a permit that another covers beside a forbid',
      pays('wide', 'context.args.amount < 900') +
        pays('narrow', 'context.args.amount < 500') +
        pays('limit', 'context.args.amount > 400', 'forbid'),
      ['wide: covered by narrow'],
    ],
    ['no permit of its own', pays('one', 'context.args.amount < 5') + pays('two', 'context.args.amount > 9'), []],
  ])('finds %s (issue 43, points 1 and 4)', async (_what, policies, expected) => {
    expect(await useless(engine, policies)).toEqual(expected);
  });
});

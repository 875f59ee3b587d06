import { beforeAll, expect, it, jest } from '@jest/globals';
import * as fc from 'fast-check';
import { join } from 'node:path';
import { readPolicySource } from '../../../../src/core/policy/loading/source.ts';
import type { PolicySource } from '../../../../src/core/policy/loading/source.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { compareSets } from '../../../../src/tools/policy/analyze/analysis.ts';
import type { ActionComparison } from '../../../../src/tools/policy/analyze/analysis.ts';
import { Prover } from '../../../../src/tools/policy/analyze/prover.ts';
import { analysisPrograms } from '../../../../src/tools/policy/analyze/programs.ts';
import { rawAsker } from '../../../../src/tools/policy/cases/raw-question.ts';
import type { RawAnswer, RawQuestion } from '../../../../src/tools/policy/cases/raw-question.ts';
import { analysisPart, describeWith } from '../../../parts.ts';
import { mustLoad } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { amountAndCurrency, useRequests } from '../../../builders/use-requests.ts';
import { thoroughly } from '../../../thoroughly.ts';

jest.setTimeout(3_600_000);

/** Requests in all. */
const REQUESTS = thoroughly(50_000, 1_500);

/** Requests to pay. */
const request = useRequests({
  action: 'payments.create',
  server: 'payments',
  endpoint: 'POST /v1/payments',
  agents: ['/a'],
  groups: ['payers', 'agents', 'others'],
  purposes: ['pay', 'pay', '', 'refund'],
  args: amountAndCurrency,
  labels: ['external'],
});

/** What a reviewer might be shown, by what it does to the shipped policies of payments. */
const edits: readonly (readonly [string, (text: string) => string])[] = [
  ['a tighter limit', (text) => text.replace('amount > 500', 'amount > 200')],
  ['a looser limit', (text) => text.replace('amount > 500', 'amount > 501')],
  ['the same limit, written otherwise', (text) => text.replace('amount > 500', 'amount >= 501')],
  ['a shorter life', (text) => text.replace('<= 3600', '< 3600')],
  ['a wider group', (text) => text.replace('AgentGroup::"payers"', 'AgentGroup::"agents"')],
  ['an `||`', (text) => text.replace('!= "" && context', '!= "" || context')],
  ['a single purpose', (text) => text.replace('purpose != ""', 'purpose == "pay"')],
  ['a forbid as a condition of the permit', asCondition],
  ['an end', (text) => text.replace('@id("payments-write")', '@id("payments-write") @until("2027-01-31")')],
  ['a permit that another permit covers', (text) => `${text}\n${SMALL}`],
  ['a permit beside it', (text) => `${text}\n${SMALL.replace('amount < 100', 'amount < 600')}`],
];

const SMALL = `@id("small")
permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.create", resource)
when { context.intent.purpose == "pay" && context.intent.ageSeconds < 60 && context.args.amount < 100 };`;

function asCondition(text: string): string {
  const without = text.replace(/@id\("payments-euro-only"\)[^;]*;/, '');
  return without.replace('<= 3600', '<= 3600 && !(context.args has currency && context.args.currency != "EUR")');
}

/** Edits after which the set decides alike. */
const ALIKE: ReadonlySet<string> = new Set([
  'the same limit, written otherwise',
  'a forbid as a condition of the permit',
  'a permit that another permit covers',
]);

/** As Remit decides: a policy that fails denies. */
const isAllowed = (answer: RawAnswer): boolean =>
  !('problem' in answer) && answer.decision === 'allow' && answer.erring.length === 0;

describeWith(analysisPart(), 'what compareSets proves', (folder) => {
  let source: PolicySource;
  let base: PolicySet;
  let requests: readonly RawQuestion[];

  beforeAll(async () => {
    source = must((await readPolicySource('cedar-policies')) as PolicySource);
    base = await mustLoad(source);
    requests = fc.sample(request, { numRuns: Math.ceil(REQUESTS / edits.length), seed: 43 });
  });

  async function compared(other: PolicySet): Promise<ActionComparison | undefined> {
    const programs = must(await analysisPrograms({ folder, cacheFolder: join(folder, '..'), path: '/usr/bin:/bin' }));
    const prover = await Prover.open(programs, other.schema, { timeoutSeconds: 600 });
    try {
      const options = { atOnce: 1, actions: ['payments.create'], onProgress: () => undefined };
      const [comparison] = await compareSets([base, other], { former: prover, other: prover }, options);
      return comparison;
    } finally {
      await prover.close();
    }
  }

  it.each(edits)('%s: no request that the engine decides otherwise (issue 43, point 1)', async (what, edit) => {
    const policies = source.policies.map((file) =>
      file.name === 'policies/payments.cedar' ? { ...file, text: edit(file.text) } : file,
    );
    const other = await mustLoad({ ...source, policies });
    const comparison = await compared(other);
    const [before, after] = [rawAsker(base), rawAsker(other)];
    const answers = requests.map((asked) => [isAllowed(before(asked)), isAllowed(after(asked))] as const);
    const [gained, lost] = [
      answers.filter(([was, is]) => is && !was).length,
      answers.filter(([was, is]) => was && !is).length,
    ];
    expect(answers.some(([was]) => was)).toBe(true);
    const kinds = [comparison?.gained.kind, comparison?.lost.kind];
    const isRight = ALIKE.has(what) ? 'proved' : expect.stringMatching(/^(?:proved|refuted)$/);
    expect(kinds).toEqual([gained > 0 ? 'refuted' : isRight, lost > 0 ? 'refuted' : isRight]);
  });
});

import { expect, it } from '@jest/globals';
import { DecisionCache } from '../../../src/core/policy/answers/cache.ts';
import { isFailure } from '../../../src/core/policy/evaluator.ts';
import type { EvaluatorAnswer, EvaluatorOptions } from '../../../src/core/policy/evaluator.ts';
import { plainAsk } from '../../../src/tools/policy/eval/plain-cedar.ts';
import { SlicePool } from '../../../src/core/policy/pool.ts';
import { describeWith } from '../../parts.ts';
import { thoroughly } from '../../thoroughly.ts';
import { corpus, corpusCases } from './corpus.ts';
import type { CorpusCase, CorpusRequest } from './corpus.ts';

const TIMEOUT_MS = 600_000;
/** One in so many cases is tried, others by each test. */
const STRIDE = thoroughly(1, 12);

const textOf = ({ decision, reason, errors }: Pick<CorpusRequest, 'decision' | 'reason' | 'errors'>): string =>
  JSON.stringify([decision, reason.toSorted(), errors.toSorted()]);
const answerText = (answer: EvaluatorAnswer): string => (isFailure(answer) ? JSON.stringify(answer) : textOf(answer));

/**
 * The requests of the corpus with a wrong answer, with these slices and cache. With a cache, each is asked twice, so that the
 * second answer comes from the cache where it may.
 */
function differing(cases: readonly CorpusCase[], how: EvaluatorOptions) {
  const pool = new SlicePool();
  let requests = 0;
  const found = cases.flatMap(({ id, policies, schema, entities, requests: asked }) => {
    const ask = plainAsk({ generation: id, policies, schema, entities }, pool, how);
    requests += asked.length;
    return asked.flatMap((request, at) => {
      const answers = how.cache === null ? [ask(request)] : [ask(request), ask(request)];
      return answers.every((answer) => answerText(answer) === textOf(request)) ? [] : [`${id} ${at}`];
    });
  });
  return { requests, found };
}

/** Treats policies as volatile and steady in alternation. */
function everyOther(): () => boolean {
  let asked = 0;
  return () => (asked += 1) % 2 === 0;
}

describeWith(corpus, 'the Cedar corpus', (file) => {
  it.each([
    ['slices and cache', 0, { slices: true, cache: new DecisionCache() }],
    ['split slices and cache', 1, { slices: true, cache: new DecisionCache(), varies: everyOther() }],
    ['slices alone', 2, { slices: true, cache: null }],
    ['the cache alone', 3, { slices: false, cache: new DecisionCache() }],
    ['a split and the cache', 4, { slices: false, cache: new DecisionCache(), varies: everyOther() }],
    ['neither', 5, { slices: false, cache: null }],
  ])(
    'has the answers of Cedar with %s',
    (_name, first, how: EvaluatorOptions) => {
      const { cache } = how;
      const { requests, found } = differing(corpusCases(file, { first, stride: STRIDE }), how);
      expect(found).toEqual([]);
      expect(requests).toBeGreaterThanOrEqual(thoroughly(30_968, 2_000));
      if (cache === null) return;
      // Without enough cache hits the test would prove nothing. Requests without matching policies are not cached.
      expect(cache.sizes.allows).toBeGreaterThan(2_000 / STRIDE);
      expect(cache.sizes.denials).toBeGreaterThan(1_000 / STRIDE);
    },
    TIMEOUT_MS,
  );

  it(
    'is answered without its schemas as by the engine alone, if the engine is handed what policies read',
    () => {
      const pool = new SlicePool();
      const cache = new DecisionCache();
      const found: string[] = [];
      let answered = 0;
      for (const { id, policies, entities, requests } of corpusCases(file, { first: 6, stride: STRIDE })) {
        const rules = { generation: id, policies, schema: undefined, entities };
        const [whole, projected] = [
          { slices: false, cache: null },
          { slices: true, cache, varies: everyOther() },
        ].map((how) => plainAsk(rules, pool, how));
        for (const [at, { principal, action, resource, context }] of requests.entries()) {
          const answers = [whole, projected].map((ask) => ask?.({ principal, action, resource, context }));
          const [expected, actual] = answers.map((answer) => (answer === undefined ? '' : answerText(answer)));
          if (expected !== actual) found.push(`${id} ${at}`);
          if (answers[0] !== undefined && !isFailure(answers[0])) answered += 1;
        }
      }
      expect(found).toEqual([]);
      expect(answered).toBeGreaterThan(20_000 / STRIDE);
      expect(cache.sizes.allows + cache.sizes.denials).toBeGreaterThan(3_000 / STRIDE);
    },
    TIMEOUT_MS,
  );
});

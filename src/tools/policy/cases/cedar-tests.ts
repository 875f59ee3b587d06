import { placesIn } from '../../../core/runtime/text-place.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import type { TextPlace } from '../../../core/runtime/text-place.ts';
import { cedarQuestionOf } from './raw-question.ts';
import type { EntityJson, RawAnswer, RawQuestion } from './raw-question.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { integer, listOf, members, oneOf, optional, type Reader, text } from '../../../core/runtime/fields.ts';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';
import { anyObject } from './case-leaf.ts';

/** A test in the format of `cedar run-tests`: a question to the policies, without a call. */
export interface CedarTest extends TextPlace {
  readonly file: string;
  readonly name: string;
  readonly question: RawQuestion;
  readonly decision: 'allow' | 'deny';
  /** Ids that must be among the deciding policies. */
  readonly reason: readonly string[];
  /** Required number of failing policies. */
  readonly errors: number;
}

const MAX_TESTS = 10_000;
const line = text({ max: 8192 });

const entities: Reader<readonly EntityJson[]> = (value) =>
  typeof value === 'string'
    ? { problem: 'must be a list of entities: file names are not supported' }
    : listOf(anyObject, { min: 0, max: 10_000 })(value);

const request = members({ principal: line, action: line, resource: line, context: optional(anyObject) });

const testMembers = members({
  name: optional(text({ max: 200 })),
  request,
  entities,
  decision: oneOf(['allow', 'deny']),
  reason: listOf(text({ max: 128 }), { min: 0, max: 1000 }),
  num_errors: integer(0, 10_000),
});

/**
 * Parses the tests of a file in the JSON format of `cedar run-tests`. All or nothing. At most 10,000.
 *
 * @see https://github.com/cedar-policy/cedar/blob/main/cedar-policy-cli/README.md
 */
export function cedarTestsFrom(
  source: string,
  file: string,
): readonly CedarTest[] | { readonly findings: readonly SourceFinding[] } {
  const start = placesIn(source)(0);
  const finding = (message: string): SourceFinding => ({ file, ...start, message, help: null });
  const json = strictJsonFrom(Buffer.from(source));
  if (isProblem(json)) return { findings: [finding(`the file ${json.problem}`)] };
  const items: readonly unknown[] | null = Array.isArray(json.value) ? json.value : null;
  if (items === null) return { findings: [finding('the tests must be a list')] };
  if (items.length > MAX_TESTS)
    return { findings: [finding(`a file has at most ${MAX_TESTS} tests, this one ${items.length}`)] };
  const tests = items.map((item, index) => testFrom(item, { index, file, ...start }));
  const findings = tests.flatMap((test) => (isProblem(test) ? [finding(test.problem)] : []));
  return findings.length > 0 ? { findings } : tests.flatMap((test) => (isProblem(test) ? [] : [test]));
}

function testFrom(
  item: unknown,
  { index, ...at }: TextPlace & { readonly file: string; readonly index: number },
): CedarTest | Problem {
  const read = testMembers(item);
  if (isProblem(read)) return { problem: `test ${index} ${read.problem}` };
  const question = cedarQuestionOf({ ...read.request, context: read.request.context ?? {}, entities: read.entities });
  if (isProblem(question)) return { problem: `test ${index} ${question.problem}` };
  const { decision, reason, num_errors: errors } = read;
  return { ...at, name: read.name ?? `test ${index}`, question, decision, reason, errors };
}

/** How an answer differs from the expectation, by the rules of `cedar run-tests`. */
export function cedarTestProblems(test: CedarTest, answer: RawAnswer): readonly string[] {
  if (isProblem(answer)) return [answer.problem];
  if (answer.decision !== test.decision) return [`expected ${test.decision}, got ${answer.decision}`];
  const missing = test.reason.filter((id) => !answer.policyIds.includes(id));
  return [
    ...(missing.length === 0 ? [] : [`missing reason(s): ${missing.map((id) => `\`${id}\``).join(', ')}`]),
    ...(answer.erring.length === test.errors
      ? []
      : [`expected ${test.errors} error(s), but got ${answer.erring.length} runtime error(s)`]),
  ];
}

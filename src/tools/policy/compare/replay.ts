import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import { partialAsker } from './partial.ts';
import type { Known } from './partial.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { Question } from '../../../core/policy/question.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { caseFileFrom } from '../cases/case-file.ts';
import { queryIn, recordedArguments, recordedCase, recordedSuiteText } from './recorded-case.ts';
import type { RecordedCase, RecordedWith } from './recorded-case.ts';
import { rehearse } from '../cases/rehearse.ts';
import type { Rehearsal } from '../cases/rehearse.ts';
import type { Attempt, CaseCircumstances, TestCase } from '../cases/test-case.ts';
import { writtenCallOf } from '../cases/written-call.ts';

/** The case of a record, in suite format and parsed; a problem if there is none. */
export function readCaseOf(
  record: UseRecord,
  known: RecordedWith,
): { readonly made: RecordedCase; readonly test: TestCase } | Problem {
  const made = recordedCase(record, known);
  if (isProblem(made)) return made;
  const read = caseFileFrom(recordedSuiteText([made]), record.decisionId);
  if ('findings' in read) return { problem: `it cannot become a test case: ${read.findings[0]?.message ?? 'no case'}` };
  const [test] = read;
  return test === undefined ? { problem: 'it cannot become a test case' } : { made, test };
}

/** The call of a case, completed so that it reaches its action: recorded arguments as they were, others with meaningless values. */
export function withContent(attempt: Attempt, record: UseRecord, catalog: Catalog): Attempt {
  const action = catalog.actions.get(record.action ?? '');
  if (attempt.kind !== 'call' || action === undefined) return attempt;
  const args = Object.fromEntries(recordedArguments(action, record));
  const made = writtenCallOf({ kind: 'action', action: action.id, args }, catalog);
  // Opening or ending a stream has no content.
  if (isProblem(made) || made.method !== attempt.method) return attempt;
  const url = attempt.url.slice(0, attempt.url.length - queryIn(attempt.url).length);
  return { ...attempt, url: `${url}${queryIn(made.url)}`, headers: made.headers, body: made.body };
}

/** The result of a partially known attempt. */
export interface PartialRehearsal extends Rehearsal {
  /** Names of the unknown values on which the decision depends; if there are any, there is no decision. */
  readonly undecided: readonly string[];
}

/** Rehearses partially known attempts with one policy set. */
export function partialRehearser(
  set: PolicySet,
): (
  of: { readonly attempt: Attempt; readonly circumstances: CaseCircumstances },
  knownOf: (question: Question) => Known,
) => PartialRehearsal | Problem {
  const ask = partialAsker(set);
  return ({ attempt, circumstances }, knownOf) => {
    let undecided: readonly string[] = [];
    const policies: PolicySet = {
      ...set,
      ask: (question) => {
        const answer = ask(question, knownOf(question));
        if (answer.kind !== 'undecided') return answer;
        undecided = answer.unknown;
        return { kind: 'error', policyIds: [], detail: 'the policies read unknown values' };
      },
    };
    const rehearsal = rehearse(attempt, circumstances, policies);
    return isProblem(rehearsal) ? rehearsal : { ...rehearsal, undecided };
  };
}

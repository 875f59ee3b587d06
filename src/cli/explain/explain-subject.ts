import { readFile } from 'node:fs/promises';
import type { IntentRecord } from '../../core/ledger/record.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { caseFileFrom } from '../../tools/policy/cases/case-file.ts';
import type { TestCase } from '../../tools/policy/cases/test-case.ts';
import { recordedSuiteText } from '../../tools/policy/compare/recorded-case.ts';
import { recordedWith } from '../../tools/policy/compare/recorded-task.ts';
import { readCaseOf } from '../../tools/policy/compare/replay.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { attemptFromOptions, namesAttempt } from './explain-options.ts';
import type { AttemptOptions } from './explain-options.ts';
import { foundDecision, isShownId } from './found-decision.ts';
import { whyLine, whyOf } from './why.ts';
import { isCommandRefusal, sourceOf, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** A recorded decision that is not repeated: about an intent, or by arguments that were not recorded. */
export interface RecordedAlone {
  readonly record: PlacedUse | IntentRecord;
  readonly lines: readonly string[];
}

/** What to explain, with its record. */
export interface ExplainSubject {
  readonly test: Pick<TestCase, 'attempt' | 'circumstances'>;
  /** `null` if it is not a record. */
  readonly recorded: RecordedAlone | null;
}

/** Options that select what to explain. */
export interface SubjectOptions extends AttemptOptions {
  readonly cases?: string | undefined;
  readonly filter?: string | undefined;
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  /** Whether only the test case of a record is wanted. */
  readonly 'as-test': boolean;
}

interface Known {
  readonly io: Pick<CommandIo, 'environment'>;
  readonly policies: PolicySet;
}

/** What the words name: a call, a case or a recorded decision; or the text of a test case, with `--as-test`. */
export async function subjectOf(
  operands: readonly string[],
  options: SubjectOptions,
  known: Known,
): Promise<ExplainSubject | RecordedAlone | string | CommandRefusal> {
  const [first, url] = operands;
  const isTestWanted = options['as-test'];
  if (options.cases !== undefined) {
    return first === undefined && !isTestWanted
      ? fromCases(options.cases, options.filter ?? '')
      : taskRefusal('`--cases` takes no call and no `--as-test`');
  }
  if (namesAttempt(options))
    return first === undefined && !isTestWanted
      ? fromWords(null, options)
      : taskRefusal('an option that names what is attempted takes no call and no `--as-test`');
  if (first === undefined) return taskRefusal('METHOD and URL, `--cases` or a DECISION-ID is required');
  if (url !== undefined)
    return isTestWanted ? taskRefusal('`--as-test` takes a DECISION-ID') : fromWords({ method: first, url }, options);
  return isShownId(first)
    ? fromRecord(first, options, known)
    : taskRefusal(`\`${printable(first)}\` is neither a decision id nor a trace id, and METHOD needs a URL`);
}

async function fromCases(file: string, filter: string): Promise<ExplainSubject | CommandRefusal> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text !== 'string') return taskRefusal(`cannot read \`${file}\`: ${text.code}`);
  const read = caseFileFrom(text, file);
  if ('findings' in read) {
    const lines = read.findings.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
    return taskRefusal(lines.join('\n'));
  }
  const test = read.find(({ name }) => name.includes(filter));
  return test === undefined ? taskRefusal(`no case of \`${file}\` has that in its name`) : { test, recorded: null };
}

async function fromRecord(
  id: string,
  options: SubjectOptions,
  { io, policies }: Known,
): Promise<ExplainSubject | RecordedAlone | string | CommandRefusal> {
  const source = await sourceOf(options, io);
  if (isCommandRefusal(source)) return source;
  const found = foundDecision(id, source);
  if (isCommandRefusal(found)) return found;
  const { record, task, hasPassed } = found;
  const isTestWanted = options['as-test'];
  if (record.kind === 'intent')
    return isTestWanted
      ? taskRefusal('the decision about an intent makes no test case', EXIT.no)
      : { record, lines: recordedLines(record, { policies, hasPassed, notes: [] }) };
  const read = readCaseOf(record, recordedWith(record, task, policies.catalog));
  if (isProblem(read)) return taskRefusal(`${read.problem}: ${record.reason ?? record.decision}`, EXIT.no);
  if (isTestWanted) return recordedSuiteText([read.made]).trimEnd();
  return {
    test: read.test,
    recorded: { record, lines: recordedLines(record, { policies, hasPassed, notes: read.made.notes }) },
  };
}

/** What was decided, why and by what, and what differs from such a call now. */
function recordedLines(
  record: PlacedUse | IntentRecord,
  {
    policies: { hash },
    hasPassed,
    notes,
  }: { readonly policies: PolicySet; readonly hasPassed: boolean; readonly notes: readonly string[] },
): readonly string[] {
  const what =
    record.kind === 'intent'
      ? `intent of ${record.agent ?? 'an unknown agent'}: ${record.purpose ?? '-'}`
      : `${record.method} https://${record.host}${record.path}, trace ${record.traceId}`;
  const isChanged = record.kind === 'use' && record.policySet !== hash && record.policySet !== null;
  return [
    `recorded ${new Date(record.at).toISOString()}: ${hasPassed ? 'passed, only observed; enforced it would be ' : ''}${whyLine(whyOf(record))}`,
    ...[what, ...(isChanged ? ['the policies have changed since'] : []), ...notes].map((line) => `  ${line}`),
  ];
}

function fromWords(
  call: Parameters<typeof attemptFromOptions>[0],
  options: SubjectOptions,
): ExplainSubject | CommandRefusal {
  const test = attemptFromOptions(call, options);
  return isProblem(test) ? taskRefusal(test.problem) : { test, recorded: null };
}

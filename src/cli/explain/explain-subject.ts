import { readFile } from 'node:fs/promises';
import { isUuid } from '../../core/decision/uuid.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { caseFileFrom } from '../../tools/policy/cases/case-file.ts';
import type { TestCase } from '../../tools/policy/cases/test-case.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { attemptFromOptions, namesAttempt } from './explain-options.ts';
import type { AttemptOptions } from './explain-options.ts';
import { recordedDecision } from './explain-recorded.ts';
import type { RecordedDecision, RecordedIntent } from './explain-recorded.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** What to explain, with its record. */
export interface ExplainSubject {
  readonly test: Pick<TestCase, 'attempt' | 'circumstances'>;
  /** `null` if it is not a record. */
  readonly recorded: RecordedDecision | null;
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
): Promise<ExplainSubject | RecordedIntent | string | CommandRefusal> {
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
  return isUuid(first)
    ? fromRecord(first, options, known)
    : taskRefusal(`\`${printable(first)}\` is not a decision id, and METHOD needs a URL`);
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
  known: Known,
): Promise<ExplainSubject | RecordedIntent | string | CommandRefusal> {
  const found = await recordedDecision(id, options, known);
  if (isCommandRefusal(found)) return found;
  if (!('text' in found)) {
    return options['as-test'] ? taskRefusal('the decision about an intent makes no test case', EXIT.no) : found;
  }
  if (options['as-test']) return found.text.trimEnd();
  const read = caseFileFrom(found.text, id);
  const test = 'findings' in read ? undefined : read[0];
  return test === undefined ? taskRefusal('the record makes no test case') : { test, recorded: found };
}

function fromWords(
  call: Parameters<typeof attemptFromOptions>[0],
  options: SubjectOptions,
): ExplainSubject | CommandRefusal {
  const test = attemptFromOptions(call, options);
  return isProblem(test) ? taskRefusal(test.problem) : { test, recorded: null };
}

import type { Catalog } from '../../core/action/catalog/catalog.ts';
import { MAX_YAML_BYTES } from '../../core/runtime/yaml-text.ts';
import { enforcedUse } from '../../core/ledger/enforced-use.ts';
import { recordedUseFrom } from '../../core/ledger/recorded-use.ts';
import type { PlacedLeaf } from '../../core/ledger/log/segment/segment.ts';
import { MAX_CASES } from '../../tools/policy/cases/case-file.ts';
import { isReasonOfCase, recordedCaseText, recordedSuiteText } from '../../tools/policy/compare/recorded-case.ts';
import type { RecordedCase } from '../../tools/policy/compare/recorded-case.ts';
import { recordedWith } from '../../tools/policy/compare/recorded-task.ts';
import { readCaseOf } from '../../tools/policy/compare/replay.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { Groups } from '../../core/shadow/groups.ts';
import type { Group } from '../../core/shadow/groups.ts';
import { recordedTasks } from './recorded-tasks.ts';
import type { RecordedIn } from './recorded-tasks.ts';

/** Test cases made from records. */
export interface RecordedSuite {
  /** A suite for `remit policy test`. */
  readonly text: string;
  /** Records that make no case, grouped by reason; the examples are record numbers. */
  readonly left: readonly Group<{ readonly why: string }, number>[];
}

const FULL = `a suite has at most ${MAX_CASES} cases and ${MAX_YAML_BYTES} bytes`;
const ROOM_FOR_HEAD = 64;

/**
 * Makes a suite from records, in order, within the limits of a suite. Further records are left out.
 *
 * @param catalog tells which arguments are missing and which labels the history has
 */
export function recordedSuite(
  leaves: readonly PlacedLeaf[],
  records: RecordedIn,
  { catalog, onProgress }: { readonly catalog: Catalog | undefined; readonly onProgress: (read: number) => void },
): RecordedSuite {
  const taskOf = recordedTasks(records);
  const left = new Groups<{ readonly why: string }, number>();
  const cases: RecordedCase[] = [];
  let bytes = ROOM_FOR_HEAD;
  for (const [index, { seq, bytes: leaf }] of leaves.entries()) {
    onProgress(index);
    const made = caseFrom(leaf, taskOf, catalog);
    const size = isProblem(made) ? 0 : Buffer.byteLength(recordedCaseText(made));
    if (isProblem(made)) left.add({ why: made.problem }, seq);
    else if (cases.length >= MAX_CASES || bytes + size > MAX_YAML_BYTES) left.add({ why: FULL }, seq);
    else {
      cases.push(made);
      bytes += size;
    }
  }
  return { text: recordedSuiteText(cases), left: left.list().groups };
}

function caseFrom(
  leaf: Uint8Array,
  taskOf: ReturnType<typeof recordedTasks>,
  catalog: Catalog | undefined,
): RecordedCase | Problem {
  const record = recordedUseFrom(leaf);
  if (record === 'other') return { problem: 'not a use' };
  if (isProblem(record)) return record;
  const read = readCaseOf(record, recordedWith(record, taskOf(record.task), catalog));
  if (isProblem(read)) return read;
  const { reason } = enforcedUse(record);
  return isReasonOfCase(reason) ? read.made : { problem: `no case can result in ${reason}` };
}

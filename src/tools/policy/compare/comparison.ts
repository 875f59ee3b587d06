import { deny } from '../../../core/decision/decision.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import { enforcedUse } from '../../../core/ledger/enforced-use.ts';
import type { PlacedUse } from '../../../core/ledger/recorded-use.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { setChanges } from './set-changes.ts';
import type { SetChanges } from './set-changes.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { differenceOf, isOfPolicies } from '../../../core/shadow/difference.ts';
import type { Difference, DifferenceGroup } from '../../../core/shadow/difference.ts';
import { Groups } from '../../../core/shadow/groups.ts';
import type { Group } from '../../../core/shadow/groups.ts';
import type { RecordedTask } from './recorded-task.ts';
import { rehearseLimited } from '../cases/limited-case.ts';
import type { Rehearsal } from '../cases/rehearse.ts';
import { useReplayer } from './replayed-use.ts';
import type { ReplayedUse } from './replayed-use.ts';
import type { Attempt, TestCase } from '../cases/test-case.ts';
import { writtenCallOf } from '../cases/written-call.ts';

/** The source of an example: a ledger decision, a test case, or the number of a record that could not be read. */
export type ComparedExample =
  | { readonly decisionId: string; readonly atMs: number }
  | { readonly file: string; readonly line: number; readonly name: string }
  | { readonly seq: number };

/** What prevents repeating a decision. */
export type NotRepeatable = Pick<ReplayedUse, 'action' | 'missing'>;

/** The result of a comparison. */
export interface ComparisonReport {
  readonly changes: SetChanges;
  /** Decisions made by both sets. */
  readonly compared: number;
  readonly groups: readonly DifferenceGroup<ComparedExample>[];
  /** Differences beyond the kept groups. */
  readonly ungrouped: number;
  /** Uses whose decision cannot be repeated from what is recorded. */
  readonly notRepeatable: CountedAlike<NotRepeatable>;
  /** Decisions that neither set affects, and records that are not calls. */
  readonly skipped: CountedAlike<{ readonly why: string }>;
}

/** A count of similar items, grouped by what they share. */
export interface CountedAlike<Alike> {
  readonly count: number;
  readonly groups: readonly Group<Alike, ComparedExample>[];
}

/** Decides recorded uses and test cases with two policy sets, and counts differences. */
export class Comparison {
  readonly #sets: readonly [PolicySet, PolicySet];
  readonly #changes: SetChanges;
  readonly #replay: ReturnType<typeof useReplayer>;
  readonly #differences = new Groups<Difference, ComparedExample>();
  readonly #notRepeatable = new Tally<NotRepeatable>();
  readonly #skipped = new Tally<{ readonly why: string }>();
  #compared = 0;

  constructor(former: PolicySet, other: PolicySet) {
    this.#sets = [former, other];
    this.#changes = setChanges(former, other);
    this.#replay = useReplayer(this.#sets, this.#changes);
  }

  /** Compares a recorded use; `null` is a use without a task. */
  addUse(record: PlacedUse, task: RecordedTask | null): void {
    const example = { decisionId: record.decisionId, atMs: record.at };
    const replayed = this.#replay(record, task);
    if (isProblem(replayed)) return this.skip(replayed.problem, example);
    const { reason } = enforcedUse(record);
    if (!isOfPolicies(reason)) return this.skip(`denied before the policies: ${reason}`, example);
    const { action, agent, decisions, missing } = replayed;
    if (missing.length > 0) this.#notRepeatable.add({ action, missing }, example);
    else this.#compare(decisions, { source: 'ledger', action, agent, intent: null }, example);
  }

  /** Compares the attempt of a case; its expectation is ignored. */
  addCase({ attempt, circumstances, file, line, name, skip }: TestCase): void {
    const example = { file, line, name };
    if (skip !== null) return this.skip('skipped by its suite', example);
    const [former, other] = this.#sets;
    const call = sameFor(attempt, this.#sets);
    const before = isProblem(call) ? call : rehearseLimited(call, circumstances, former);
    const after = isProblem(call) ? call : rehearseLimited(call, circumstances, other);
    if (isProblem(before) && isProblem(after)) {
      return this.skip(`it cannot be attempted: ${before.problem}`, example);
    }
    const action = actionOf(before) ?? actionOf(after) ?? 'none';
    const about = { source: 'cases', action, agent: circumstances.agent, intent: null } as const;
    this.#compare([decisionOf(before), decisionOf(after)], about, example);
  }

  /** Counts what cannot be compared. */
  skip(why: string, example: ComparedExample): void {
    this.#skipped.add({ why }, example);
  }

  report(): ComparisonReport {
    return {
      changes: this.#changes,
      compared: this.#compared,
      ...this.#differences.list(),
      notRepeatable: this.#notRepeatable.list(),
      skipped: this.#skipped.list(),
    };
  }

  #compare(
    [former, other]: readonly [Decision, Decision],
    about: Pick<Difference, 'source' | 'action' | 'agent' | 'intent'>,
    example: ComparedExample,
  ): void {
    this.#compared += 1;
    const difference = differenceOf(former, other);
    if (difference !== null) this.#differences.add({ ...about, ...difference }, example);
  }
}

/** Groups with their total. */
class Tally<Alike extends object> {
  readonly #groups = new Groups<Alike, ComparedExample>();
  #count = 0;

  add(alike: Alike, example: ComparedExample): void {
    this.#count += 1;
    this.#groups.add(alike, example);
  }

  list(): CountedAlike<Alike> {
    return { count: this.#count, groups: this.#groups.list().groups };
  }
}

/** The same call for both sets, even if one of the catalogs could not have produced it. */
function sameFor(attempt: Attempt, [former, other]: readonly [PolicySet, PolicySet]): Attempt | Problem {
  if (attempt.kind === 'issue') return attempt;
  const written = writtenCallOf(attempt, former.catalog);
  const call = isProblem(written) ? writtenCallOf(attempt, other.catalog) : written;
  return isProblem(call) ? call : { ...call, kind: 'call' };
}

/** A token for an action that a catalog lacks is refused. */
const decisionOf = (rehearsal: Rehearsal | Problem): Decision =>
  isProblem(rehearsal) ? deny('action.unknown', rehearsal.problem) : rehearsal.decision;

function actionOf(rehearsal: Rehearsal | Problem): string | null {
  if (isProblem(rehearsal) || rehearsal.target === null) return null;
  const { action, isIssue } = rehearsal.target;
  return isIssue ? `issue ${action.id}` : action.id;
}

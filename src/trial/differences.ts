/** Which policies on trial would decide otherwise. */
export type TrialSource = 'candidate' | 'shadow';

/** A decision that would have been another. */
export interface Difference {
  readonly source: TrialSource;
  readonly change: 'allow-to-deny' | 'deny-to-allow';
  readonly action: string;
  readonly agent: string;
  /** The purpose of the task; `''` where there is none. */
  readonly intent: string;
  /** Reason of the decision that was made, and of the other; `null` of an allow. */
  readonly reason: string | null;
  readonly otherwise: string | null;
  /** The policies that decide otherwise; empty where none permits. */
  readonly policyIds: readonly string[];
}

/** One decision of a group. */
export interface DifferenceExample {
  /** `null` where the decision was whether to issue a token. */
  readonly decisionId: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Differences that are alike, counted. */
export interface DifferenceGroup extends Difference {
  readonly count: number;
  /** The first three and the last. */
  readonly examples: readonly DifferenceExample[];
}

const MAX_GROUPS = 1000;
const FIRST_EXAMPLES = 3;

/**
 * Differences by what they have in common, the most frequent first. Holds 1,000 groups; what is of no group then is counted
 * as `ungrouped`, since agents choose their intents and must not fill the memory.
 */
export class Differences {
  readonly #groups = new Map<string, { difference: Difference; count: number; examples: DifferenceExample[] }>();
  #ungrouped = 0;

  add(difference: Difference, example: DifferenceExample): void {
    const { source, change, action, agent, intent, reason, otherwise, policyIds } = difference;
    const key = JSON.stringify([source, change, action, agent, intent, reason, otherwise, policyIds]);
    const group = this.#groups.get(key);
    if (group !== undefined) {
      group.count += 1;
      group.examples.splice(FIRST_EXAMPLES, 1);
      group.examples.push(example);
    } else if (this.#groups.size < MAX_GROUPS) this.#groups.set(key, { difference, count: 1, examples: [example] });
    else this.#ungrouped += 1;
  }

  /** Forgets them all. */
  clear(): void {
    this.#groups.clear();
    this.#ungrouped = 0;
  }

  list(): { readonly groups: readonly DifferenceGroup[]; readonly ungrouped: number } {
    const groups = Array.from(this.#groups.values(), ({ difference, count, examples }) =>
      Object.assign({ count, examples: [...examples] }, difference),
    );
    return { groups: groups.toSorted((a, b) => b.count - a.count), ungrouped: this.#ungrouped };
  }
}

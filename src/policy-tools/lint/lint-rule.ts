import type { ForbidIndex } from './forbid-index.ts';
import type { LintedPolicy } from './linted-policy.ts';
import type { Reach } from './reach.ts';
import type { Vocabulary } from './vocabulary.ts';

/** What a rule says of a policy. */
export interface Complaint {
  readonly message: string;
  readonly help: string | null;
  /** Where in the policy, in UTF-16 code units. */
  readonly offset: number;
}

/** What a rule looks at besides the policy. */
export interface LintedSet {
  readonly forbids: ForbidIndex;
  readonly reach: Reach;
  readonly vocabulary: Vocabulary;
}

/** One rule: what it is about, how much it matters, and what it finds in one policy. */
export interface LintRule {
  readonly about: string;
  /** A warning makes the answer no; a note is worth knowing. */
  readonly level: 'warning' | 'note';
  readonly check: (policy: LintedPolicy, set: LintedSet) => readonly Complaint[];
}

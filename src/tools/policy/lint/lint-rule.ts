import type { CoverIndex, ForbidIndex } from './forbid-index.ts';
import type { LintedPolicy } from './linted-policy.ts';
import type { Reach } from './reach.ts';
import type { Vocabulary } from './vocabulary.ts';

/** A complaint about a policy. */
export interface Complaint {
  readonly message: string;
  readonly help: string | null;
  /** Offset in the policy, in UTF-16 code units. */
  readonly offset: number;
}

/** What a rule uses besides the policy. */
export interface LintedSet {
  readonly forbids: ForbidIndex;
  readonly permits: CoverIndex;
  readonly reach: Reach;
  readonly vocabulary: Vocabulary;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** A rule: description, level, and check of one policy. */
export interface LintRule {
  readonly about: string;
  /** A warning makes the command fail; a note is information. */
  readonly level: 'warning' | 'note';
  readonly check: (policy: LintedPolicy, set: LintedSet) => readonly Complaint[];
}

/** Verifies the policy texts that are kept beside a log. */
import { isProblem } from '../../runtime/problem.ts';
import type { JsonValue } from '../canonical-json.ts';
import type { LedgerLeaf } from '../proof/leaf.ts';
import type { Remark } from '../proof/verdict.ts';
import { keptHashesIn, keptPolicies } from './kept-policies.ts';

/** Collects, in log order, what the records of a log say about the policy texts beside it. */
export interface PolicyTextWatch {
  readonly see: (leaf: Pick<LedgerLeaf, 'seq' | 'record'>) => void;
  /**
   * What is wrong with the texts: a text was changed, or is missing although no signed record says that it was deleted. `null` for nothing.
   *
   * @param covered number of records that a valid checkpoint covers: anybody could have written a later record
   */
  readonly found: (covered: number) => string | null;
  /** What a signed record says was missing when this version began to record what it deletes; `null` for nothing. */
  readonly missingBefore: (covered: number) => Remark | null;
}

/** @param folder of the ledger */
export function policyTextWatch(folder: string): PolicyTextWatch {
  /** The number of the last record that says that a text is kept, by the hash of the set. */
  const kept = new Map<string, number>();
  const givenUp: { readonly hash: string; readonly seq: number }[] = [];
  /** The first record of a version that records what it deletes. Only that record may name what was missing before it. */
  let first: { readonly seq: number; readonly missing: readonly string[] } | null = null;
  return {
    see: ({ seq, record }) => {
      if (record['kind'] !== 'policy') return;
      const { policySet, isTextKept, textsGivenUp, textsMissing } = record;
      if (typeof policySet === 'string' && isTextKept === true) kept.set(policySet, seq);
      if (textsGivenUp === undefined) return;
      const missing = first === null ? hashesIn(textsMissing) : [];
      first ??= { seq, missing };
      for (const hash of [...hashesIn(textsGivenUp), ...missing]) givenUp.push({ hash, seq });
    },
    found: (covered) => {
      for (const { hash, seq } of givenUp) if (seq <= covered && seq > (kept.get(hash) ?? 0)) kept.delete(hash);
      return missingText(folder, kept) ?? changedText(folder);
    },
    missingBefore: (covered) =>
      first === null || first.seq > covered || first.missing.length === 0
        ? null
        : {
            seq: first.seq,
            remark: `policy texts that an earlier version kept were missing by then, which deleted the oldest without a record: ${first.missing.join(', ')}`,
          },
  };
}

function missingText(folder: string, kept: ReadonlyMap<string, number>): string | null {
  for (const [hash, seq] of kept) {
    if (keptPolicies(folder, hash) === null)
      return `the text of policy set ${hash} is missing, and record ${seq} says that it is kept`;
  }
  return null;
}

const hashesIn = (value: JsonValue | undefined): readonly string[] =>
  Array.isArray(value) ? value.filter((hash) => typeof hash === 'string') : [];

/** Each kept text, also those without a remaining record. */
function changedText(folder: string): string | null {
  for (const hash of textsIn(folder)) {
    const text = keptPolicies(folder, hash);
    if (text !== null && isProblem(text)) return `the text of policy set ${hash} was changed: it ${text.problem}`;
  }
  return null;
}

function textsIn(folder: string): readonly string[] {
  try {
    return keptHashesIn(folder);
  } catch {
    // Without a folder no text is kept.
    return [];
  }
}

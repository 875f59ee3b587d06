import { existsSync } from 'node:fs';
import { isProblem } from '../../runtime/problem.ts';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import { leafFrom } from '../proof/leaf.ts';
import { keptPoliciesFile } from './kept-policies.ts';
import { readLog } from './log-reader.ts';

/**
 * The hashes of policy sets whose texts an earlier version kept and that are missing now. Such a version deleted the oldest texts without a
 * record. The first record of the current version names these hashes, so that a text missing later was deleted by somebody else. Empty
 * once the ledger has a record of a version that records what it deletes, and if the ledger cannot be read.
 */
export function formerTextsMissing(folder: string): readonly string[] {
  const kept = new Set<string>();
  const isFormer = readLog(folder, (log) => {
    for (const { bytes } of log.found({ kind: 'policy' }, { isNewestFirst: false })) {
      const leaf = leafFrom(bytes);
      if (isProblem(leaf)) return false;
      const { policySet, isTextKept, textsGivenUp } = leaf.record;
      if (textsGivenUp !== undefined) return false;
      if (typeof policySet === 'string' && isTextKept === true) kept.add(policySet);
    }
    return true;
  });
  if (isFormer === null || isStoreFailure(isFormer) || !isFormer) return [];
  return [...kept].filter((hash) => !existsSync(keptPoliciesFile(folder, hash)));
}

/** Compares what may be granted with what may be used, action by action. */
import { freshCedar } from '../../../core/policy/cedar.ts';
import { cedarString } from '../../../core/policy/cedar-text.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { analysed, ISSUE, resourceTypeOf } from './analysis.ts';
import type { AnalysisOptions } from './analysis.ts';
import { assumptionsOf } from './assumptions.ts';
import { impliedBy, NOTHING } from './implication.ts';
import type { AnalysisVerdict } from './implication.ts';
import type { Prover } from './prover.ts';

/** Whether tokens are granted for an action that no use of can be allowed, or the reverse. */
export interface GrantResult {
  readonly action: string;
  readonly mismatch: 'granted-unusable' | 'usable-ungranted';
  /** `refuted` with a request of the possible side, if the other side is proved to be impossible. */
  readonly verdict: AnalysisVerdict;
}

/**
 * For each action of the catalog: if some agent may be given a token for it, can any use of it with a task token be allowed, and the
 * reverse? Agents are not distinguished: an action that one may be granted and another may use counts as both.
 */
export function grantsAgainstUses(
  set: PolicySet,
  prover: Prover,
  { atOnce, actions, onProgress }: AnalysisOptions,
): Promise<readonly GrantResult[]> {
  const of = analysed(set);
  const cedar = freshCedar();
  const asked = [...set.catalog.actions.keys()].filter((action) => actions === null || actions.includes(action));
  const isImpossible = (action: string, more: string): Promise<AnalysisVerdict> =>
    impliedBy(prover, {
      action,
      resourceType: resourceTypeOf(action),
      assumptions: [...assumptionsOf(action, set.catalog), more],
      cedar,
      from: of(action),
      to: NOTHING,
    });
  let done = 0;
  return mapSeveral(asked, atOnce, async (action) => {
    const use = await isImpossible(action, 'context.credential.kind == "task-token"');
    const grant = await isImpossible(ISSUE, `context.requested.action == ${cedarString(action)}`);
    done += 1;
    onProgress(done, asked.length);
    return [
      { action, mismatch: 'granted-unusable', verdict: mismatchOf(grant, use) },
      { action, mismatch: 'usable-ungranted', verdict: mismatchOf(use, grant) },
    ] as const;
  }).then((results) => results.flat());
}

/** Both verdicts say whether a side is impossible: they differ if one side is possible and the other is not. */
function mismatchOf(possible: AnalysisVerdict, other: AnalysisVerdict): AnalysisVerdict {
  if (possible.kind === 'proved' || other.kind === 'refuted') return { kind: 'proved', by: 'solver' };
  return other.kind === 'undecided' ? other : possible;
}

import { freshCedar } from '../../../core/policy/cedar.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { analysed, analysedActions, resourceTypeOf } from './analysis.ts';
import type { AnalysisOptions } from './analysis.ts';
import { aboutAction, hasRequest } from './action-slice.ts';
import { assumptionsOf } from './assumptions.ts';
import { impliedBy } from './implication.ts';
import type { AnalysisVerdict } from './implication.ts';
import type { Prover } from './prover.ts';

/** Whether an invariant holds for one action. */
export interface InvariantResult {
  /** The policies of the specification: one forbid, or the permits of an action. */
  readonly invariants: readonly PolicyEntry[];
  readonly action: string;
  readonly verdict: AnalysisVerdict;
}

/**
 * Holds a set to a specification, which is policies too. A forbid: the set allows nothing that it matches. Permits: of each action that they name,
 * the set allows nothing beyond them together; a head that names no action names all. Resources are left to the solver, so that no invariant is
 * skipped because its server is mistyped. A forbid that no request of the catalog can meet holds of every set: that is undecided.
 *
 * @param spec a set of the specification alone, with the catalog of `set`
 */
export function heldTo(
  spec: PolicySet,
  set: PolicySet,
  prover: Prover,
  { atOnce, actions, onProgress }: AnalysisOptions,
): Promise<readonly InvariantResult[]> {
  const of = analysed(set);
  const cedar = freshCedar();
  const idle = new Set(spec.policies.filter((one) => one.effect === 'forbid' && !hasRequest(spec, one)));
  const asked = analysedActions(set.catalog)
    .filter((action) => actions === null || actions.includes(action))
    .flatMap((action) => invariantsOf(aboutAction(spec, action)).map((invariants) => ({ action, invariants })));
  let done = 0;
  return mapSeveral(asked, atOnce, async ({ action, invariants }) => {
    const policies = invariants.some(({ effect }) => effect === 'permit')
      ? invariants
      : [anything(invariants), ...invariants];
    const bound = { policies, answerOf: analysed({ ...spec, policies })(action).answerOf };
    const found = await impliedBy(prover, {
      action,
      resourceType: resourceTypeOf(action),
      assumptions: assumptionsOf(action, set.catalog),
      cedar,
      from: of(action),
      to: bound,
    });
    done += 1;
    onProgress(done, asked.length);
    const isIdle = found.kind === 'proved' && invariants.some((one) => idle.has(one));
    return { invariants, action, verdict: isIdle ? { kind: 'undecided', tried: [IDLE] } : found };
  });
}

const IDLE = 'no action of the catalog is at a resource of its head: is its server or endpoint mistyped?';

/** Each forbid by itself, and all permits together. */
function invariantsOf(policies: readonly PolicyEntry[]): readonly (readonly PolicyEntry[])[] {
  const permits = policies.filter(({ effect }) => effect === 'permit');
  const forbids = policies.filter(({ effect }) => effect === 'forbid').map((forbid) => [forbid]);
  return permits.length === 0 ? forbids : [...forbids, permits];
}

/** A permit of everything: with it, a forbid of the specification bounds what the set may allow. */
function anything([first]: readonly PolicyEntry[]): PolicyEntry {
  const id = 'remit-anything';
  // Only its text, its effect and its id are read.
  return { ...first, id, effect: 'permit', text: `@id("${id}") permit (principal, action, resource);` } as PolicyEntry;
}

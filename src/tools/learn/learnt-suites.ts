import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { rehearse } from '../policy/cases/rehearse.ts';
import { DEFAULT_LIVES, plainCircumstances } from '../policy/cases/test-case.ts';
import type { Attempt } from '../policy/cases/test-case.ts';
import type { KnownSet } from './beside/known-set.ts';
import { widenedBy, widenedSuite } from './beside/widened.ts';
import type { Widened } from './beside/widened.ts';
import { learntSuites } from './learnt-cases.ts';
import type { Allows } from './learnt-cases.ts';
import type { LearntFolder } from './learnt-folder.ts';
import { freeFileName } from './safe-name.ts';

/** The suites of a learnt folder. */
export interface LearntSuites {
  /** By file. */
  readonly files: ReadonlyMap<string, string>;
  /** What other policies of the folder permit of the actions that were learnt. */
  readonly widened: readonly Widened[];
}

/** The suites by what the loaded set allows, the existing policies included. */
export function suitesFor({ accepted, permits }: LearntFolder, set: PolicySet, beside: KnownSet | null): LearntSuites {
  const learnt = learntIn(permits);
  const allows: Allows = beside === null ? learnt : allowsOf(set);
  const taken = new Set(beside?.suites.keys());
  const otherActions = beside?.set.catalog.actions.size ?? 0;
  const suites = learntSuites(accepted.servers, permits, { otherActions, allows });
  const files = new Map(
    Array.from(suites, ([server, text]) => [freeFileName(`tests/${server}.test.yaml`, taken), text] as const),
  );
  if (beside === null) return { files, widened: [] };
  const added = [...accepted.catalog.actions.keys()].filter((id) => !beside.set.catalog.actions.has(id)).toSorted();
  const agents = new Set([...beside.testedAgents, ...permits.flatMap((permit) => permit.agents)]);
  const widened = widenedBy(
    agents,
    added,
    (agent, action, kind) => !learnt(agent, action, kind) && allows(agent, action, kind),
  );
  const suite = widenedSuite(widened);
  if (suite !== null)
    files.set(freeFileName('tests/other-policies.test.yaml', new Set([...taken, ...files.keys()])), suite);
  return { files, widened };
}

/** What the permits in force have, each for use and for tokens. */
function learntIn(permits: LearntFolder['permits']): Allows {
  const granted = new Set(
    permits
      .filter(({ undecided }) => undecided === null)
      .flatMap(({ agents, lines }) => agents.flatMap((agent) => lines.map(({ action }) => `${agent} ${action.id}`))),
  );
  return (agent, action) => granted.has(`${agent} ${action}`);
}

/** What a set allows, by its policies. */
const allowsOf =
  (set: PolicySet): Allows =>
  (agent, action, kind) => {
    const caller = spiffeIdFrom(agent);
    const attempt: Attempt =
      kind === 'use'
        ? { kind: 'action', action, args: {} }
        : { kind: 'issue', action, ...DEFAULT_LIVES, delegation: null, stopped: null };
    const rehearsal = isDeny(caller) ? null : rehearse(attempt, plainCircumstances(caller), set);
    return rehearsal !== null && !isProblem(rehearsal) && !isDeny(rehearsal.decision);
  };

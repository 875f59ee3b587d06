import type { SourceFinding } from '../../action/catalog/finding.ts';
import { repeatedly } from '../../runtime/repeatedly.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { After } from '../../runtime/timers.ts';
import type { PolicyInForce } from '../policy-in-force.ts';
import type { PolicyFeed } from './feed.ts';

/** What following a feed needs. */
export interface Following {
  readonly feed: Pick<PolicyFeed, 'look' | 'isWhole'>;
  readonly policies: Pick<PolicyInForce, 'reload' | 'confirm'>;
  /** The fingerprint seen before the first load. */
  readonly loaded: string;
  /** Whether that set is in force; otherwise it was refused and a kept set is. */
  readonly isInForce: boolean;
  readonly everyMs: number;
  readonly after: After;
  /** Called with the findings of each load, once per change of the source; empty if the set is in force. */
  readonly onLoaded: (findings: readonly SourceFinding[]) => void;
  /** Called with the problem of an unavailable source, once per text, and with `null` when it is available again. */
  readonly onProblem: (problem: string | null) => void;
}

/**
 * Polls a feed and loads changes. Files still being written are left alone until two looks agree; a set with findings is not
 * loaded again until it changes. One poll at a time.
 *
 * @returns stops it
 */
export function followPolicies({
  feed,
  policies,
  loaded,
  isInForce,
  everyMs,
  after,
  onLoaded,
  onProblem,
}: Following): () => void {
  let seen = loaded;
  let tried = loaded;
  /** Fingerprint of the set in force; `null` if the source's current set was refused. */
  let good: string | null = isInForce ? loaded : null;
  let problem: string | null = null;
  let isOver = false;

  const tellOnce = (said: string | null): void => {
    if (said === problem) return;
    problem = said;
    onProblem(said);
  };
  const look = async (): Promise<void> => {
    const found = await feed.look();
    if (isOver) return;
    if (isProblem(found)) return tellOnce(found.problem);
    tellOnce(null);
    const isSettled = feed.isWhole || found === seen;
    seen = found;
    if (found === good) policies.confirm();
    if (!isSettled || found === tried) return;
    tried = found;
    const findings = await policies.reload();
    good = findings.length === 0 ? found : null;
    onLoaded(findings);
  };
  const stop = repeatedly(look, { everyMs, after, onFault: (fault) => tellOnce(`the look failed: ${fault}`) });
  return () => {
    isOver = true;
    void stop();
  };
}

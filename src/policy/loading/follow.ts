import type { Finding } from '../../action/finding.ts';
import { repeatedly } from '../../runtime/repeatedly.ts';
import { isProblem } from '../../token/members.ts';
import type { After } from '../../runtime/timers.ts';
import type { PolicyInForce } from '../policy-in-force.ts';
import type { PolicyFeed } from './feed.ts';

/** What following a feed works with. */
export interface Following {
  readonly feed: Pick<PolicyFeed, 'look' | 'isWhole'>;
  readonly policies: Pick<PolicyInForce, 'reload' | 'confirm'>;
  /** What the look before the first load gave. */
  readonly loaded: string;
  /** Whether that is what is in force; else it was refused, and something kept from before is. */
  readonly isInForce: boolean;
  readonly everyMs: number;
  readonly after: After;
  /** Told the findings of each load, once for each change of the source; none where the set is in force. */
  readonly onLoaded: (findings: readonly Finding[]) => void;
  /** Told of a source that cannot be asked, once until its words change, and `null` once it can be again. */
  readonly onProblem: (problem: string | null) => void;
}

/**
 * Looks at a feed again and again, and loads what has changed. Files that are still being written are left alone until two
 * looks find the same; a set that came to findings is not loaded again until it changes. One look at a time.
 *
 * @returns ends it
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
  /** What the set in force was loaded from; `null` where another set is there and was refused. */
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

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

/** A feed that is followed. */
export interface FollowedPolicies {
  /** Looks and loads now, whether the source has changed or not: what it is held to may have changed, such as the keys of a bundle. */
  readonly reload: () => Promise<void>;
  readonly stop: () => void;
}

/**
 * Polls a feed and loads changes. Files still being written are left alone until two looks agree; a set with findings is not
 * loaded again until it changes, or until `reload`. One look at a time.
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
}: Following): FollowedPolicies {
  let seen = loaded;
  /** Fingerprint of the set that was loaded last; `null` if it is unknown. */
  let tried: string | null = loaded;
  /** Fingerprint of the set in force; `null` if the source's current set was refused. */
  let good: string | null = isInForce ? loaded : null;
  let problem: string | null = null;
  let isOver = false;
  let turn: Promise<void> = Promise.resolve();

  const tellOnce = (said: string | null): void => {
    if (said === problem) return;
    problem = said;
    onProblem(said);
  };
  const load = async (found: string | null): Promise<void> => {
    tried = found;
    const findings = await policies.reload();
    good = findings.length === 0 ? found : null;
    onLoaded(findings);
  };
  const look = async (): Promise<void> => {
    const found = await feed.look();
    if (isOver) return;
    if (isProblem(found)) return tellOnce(found.problem);
    tellOnce(null);
    const isSettled = feed.isWhole || found === seen;
    seen = found;
    if (found === good) policies.confirm();
    if (isSettled && found !== tried) await load(found);
  };
  const reload = async (): Promise<void> => {
    const found = await feed.look();
    if (!isProblem(found)) seen = found;
    await load(isProblem(found) ? null : found);
  };
  /** A look of the loop and a reload never overlap, so `good` is the fingerprint of what was loaded. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  const onFault = (fault: string): void => tellOnce(`the look failed: ${fault}`);
  const stopLooks = repeatedly(() => inTurn(look), { everyMs, after, onFault });
  return {
    reload: () => inTurn(reload),
    stop: () => {
      isOver = true;
      void stopLooks();
    },
  };
}

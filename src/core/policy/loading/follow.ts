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
 * What refused a set may pass, such as a full disk. It is loaded again after a minute, then after twice as long each time. At most 16 minutes, so
 * that each hour has a load that fails, by which the alert goes on.
 */
const FIRST_RETRY_MS = 60_000;
const MAX_RETRY_MS = 960_000;

/**
 * Polls a feed and loads changes. Files still being written are left alone until two looks agree. A set with findings is
 * loaded again with back-off, and its findings are reported again only if they differ. One look at a time.
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
  const retry = retryEachLook(everyMs);
  let toldFindings = '';
  let isOver = false;
  /** A look of the loop and a reload never overlap, so `good` is the fingerprint of what was loaded. */
  const inTurn = turns();
  const tellOnce = toldOnce(onProblem);

  const load = async (found: string | null): Promise<void> => {
    if (found !== tried) retry.begin();
    tried = found;
    toldFindings = '';
    await loadAgain();
  };
  const loadAgain = async (): Promise<void> => {
    const findings = await policies.reload();
    good = findings.length === 0 ? tried : null;
    const told = JSON.stringify(findings);
    if (told !== toldFindings) onLoaded(findings);
    toldFindings = told;
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
    else if (good === null && found === tried && retry.isDue()) await loadAgain();
  };
  const reload = async (): Promise<void> => {
    const found = await feed.look();
    if (!isProblem(found)) seen = found;
    await load(isProblem(found) ? null : found);
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

/** The back-off of a refused set. `isDue` is called once for each look. */
function retryEachLook(everyMs: number): { readonly begin: () => void; readonly isDue: () => boolean } {
  let afterMs = FIRST_RETRY_MS;
  let waitedMs = 0;
  return {
    begin: () => {
      afterMs = FIRST_RETRY_MS;
      waitedMs = 0;
    },
    isDue: () => {
      waitedMs += everyMs;
      if (waitedMs < afterMs) return false;
      waitedMs = 0;
      afterMs = Math.min(2 * afterMs, MAX_RETRY_MS);
      return true;
    },
  };
}

/** Runs one work after another. */
function turns(): (work: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return done;
  };
}

/** Calls `tell` only when the problem changes. */
function toldOnce(tell: (problem: string | null) => void): (problem: string | null) => void {
  let told: string | null = null;
  return (problem) => {
    if (problem === told) return;
    told = problem;
    tell(problem);
  };
}

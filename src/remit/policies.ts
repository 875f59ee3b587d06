import type { Finding } from '../action/finding.ts';
import type { Config } from '../config/config.ts';
import { isDeny } from '../decision/decision.ts';
import { CurrentPolicies } from '../policy/current.ts';
import { folderFeed } from '../policy/feed.ts';
import { followPolicies } from '../policy/follow.ts';
import type { Ports } from '../ports.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { after } from '../timers.ts';
import { isProblem } from '../token/members.ts';
import type { Problem } from '../token/members.ts';
import { countedLoad } from './measures.ts';

/** What policies are opened with. */
interface Opening {
  readonly ports: Ports;
  readonly metrics: Metrics;
  readonly log: (line: string) => void;
}

/** The policies in force, which follow their source. */
export interface OpenPolicies {
  readonly policies: CurrentPolicies;
  readonly loads: PolicyLoads;
  readonly close: () => void;
}

/** The loads of the policies in force. */
export interface PolicyLoads {
  /** Loads now, and says in the log what came of it. */
  readonly reload: () => Promise<void>;
  /** Says in the log what is in force, where that was not said yet. */
  readonly report: () => void;
}

/** Loads the policies of a configuration and follows their source from then on. */
export async function openPolicies(
  { policies: config }: Pick<Config, 'policies'>,
  { ports, metrics, log }: Opening,
): Promise<OpenPolicies | Problem> {
  const feed = folderFeed(config.folder);
  const maxAgeMs = config.maxAgeSeconds === null ? null : config.maxAgeSeconds * 1000;
  const policies = new CurrentPolicies(countedLoad(feed.load, { metrics, ports }), { ports, maxAgeMs });
  const looked = await feed.look();
  const findings = await policies.reload();
  if (findings.length > 0) return { problem: findings.map(findingLine).join('\n') };
  let logged = 0;
  const onLoaded = (found: readonly Finding[]): void => {
    for (const finding of found) log(findingLine(finding));
    if (found.length > 0 || policies.generation === logged) return;
    logged = policies.generation;
    logSet(policies, log);
  };
  metrics.beforeScrape(() => {
    metrics.policyUnconfirmed.of({}).set((policies.unconfirmedMs ?? 0) / 1000);
  });
  const close = followPolicies({
    feed,
    policies,
    loaded: isProblem(looked) ? '' : looked,
    everyMs: config.lookSeconds * 1000,
    after,
    onLoaded,
    onProblem: (problem) => log(`policies: ${problem}`),
  });
  const loads = { reload: async () => onLoaded(await policies.reload()), report: () => onLoaded([]) };
  return { policies, loads, close };
}

const findingLine = ({ file, line, column, message, help }: Finding): string =>
  `${file}:${line}:${column}: ${message}${help === null ? '' : `; ${help}`}`;

function logSet(policies: CurrentPolicies, log: (line: string) => void): void {
  const set = policies.get();
  if (isDeny(set)) return log(`policies: ${set.detail}`);
  log(`policies: ${set.policyCount}, actions: ${set.catalog.actions.size}, set ${set.hash}`);
  for (const warning of set.warnings) log(`warning: ${findingLine(warning)}`);
}

import { accountName } from '../../core/runtime/system/account-name.ts';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import type { Config } from '../../core/config/config.ts';
import type { PathGuard } from '../../core/config/writable-path.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { FROM_AUTHORITY } from '../../core/config/policies.ts';
import { BundleFeed, bundleInFile } from '../../core/policy/bundle/bundle-feed.ts';
import type { BundleInForce } from '../../core/policy/bundle/bundle-feed.ts';
import type { BundleTrust } from '../../core/policy/bundle/bundle.ts';
import { signingKeysFrom } from '../../core/policy/bundle/bundle-keys.ts';
import type { BundleSigningKey } from '../../core/policy/bundle/bundle-keys.ts';
import { httpsBundle } from '../../core/policy/bundle/fetch.ts';
import type { FetchBundle } from '../../core/policy/bundle/fetch.ts';
import type { LedgerWriter } from '../../core/ledger/writer.ts';
import { PolicyInForce } from '../../core/policy/policy-in-force.ts';
import type { LoadPolicySet } from '../../core/policy/policy-in-force.ts';
import { folderFeed, loadedAhead } from '../../core/policy/loading/feed.ts';
import type { PolicyFeed } from '../../core/policy/loading/feed.ts';
import { followPolicies } from '../../core/policy/loading/follow.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { systemDisk } from '../../core/policy/loading/source.ts';
import { unlessEmptied } from '../../core/policy/loading/unless-emptied.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Log } from '../../core/telemetry/log.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import { after } from '../../core/runtime/timers.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { Trial } from '../../core/shadow/trial.ts';
import { formerTextsMissing } from '../../core/ledger/log/former-texts.ts';
import { forgetPolicies, keepPolicies } from '../../core/ledger/log/kept-policies.ts';
import type { KeptText } from '../../core/ledger/log/kept-policies.ts';
import type { Closers } from '../closers.ts';
import type { KeyFiles } from '../keys/key-files.ts';
import { countedLoad } from './measures.ts';
import { recordedLoad } from './recorded-load.ts';
import type { PolicyLoads } from '../parts.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';
import type { Waits } from '../waits.ts';

/** What policies are opened with. */
interface Opening {
  readonly ports: Ports;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly faults: Faults;
  readonly keyFiles: KeyFiles;
  readonly ledger: Pick<LedgerWriter, 'append' | 'flush'>;
  /** Refuses files that others can write. */
  readonly guard: PathGuard;
  readonly closers: Pick<Closers, 'push'>;
  /** Fetches the policy bundle of the authority, at a sidecar; `null` in other roles. */
  readonly fromAuthority: FetchBundle | null;
  /** The policies of the folder, from `beginFolder`; `null` if they come as bundles. */
  readonly ofFolder: PolicyFeed | null;
  /** For a bundle: its publisher can fix it without a change here, so the start waits. */
  readonly waits: Waits;
}

/** The policies in force and those on trial. Both follow their sources. */
export interface OpenPolicies {
  readonly policies: PolicyInForce;
  readonly trial: Trial;
  readonly policyLoads: PolicyLoads;
  /** The signed bundle in force; `null` if the policies are from a folder. */
  readonly bundle: () => BundleInForce | null;
}

/** Begins to load the policies of a folder, while other parts are opened; `null` if they come as bundles. */
export const beginFolder = ({ bundle, folder }: Config['policies'], guard: PathGuard): PolicyFeed | null =>
  bundle === null ? loadedAhead(folderFeed(folder, guard)) : null;

/** Loads the policies of a configuration and follows their source from then on. */
export async function openPolicies(
  config: Pick<Config, 'policies' | 'state' | 'ledger' | 'extAuthz'>,
  opening: Opening,
): Promise<OpenPolicies | StartProblem> {
  const { ports, metrics, log, faults, closers, ofFolder } = opening;
  const { maxAgeSeconds, lookSeconds } = config.policies;
  const feed = ofFolder ?? (await feedOf(config, opening));
  if (isProblem(feed)) return feed;
  const policies: PolicyInForce = new PolicyInForce(
    recordedLoadOf(feed, config, { ...opening, isReady: () => isReady(policies) }),
    { ports, maxAgeMs: maxAgeSeconds === null ? null : maxAgeSeconds * 1000 },
  );
  const first = await firstLoad(policies, feed, { ...opening, isBundle: config.policies.bundle !== null });
  if (isStartProblem(first)) return first;
  logFindings(first.refused, log);
  let logged = 0;
  const onLoaded = (found: readonly SourceFinding[]): void => {
    logFindings(found, log);
    if (found.length > 0 || policies.generation === logged) return;
    logged = policies.generation;
    logSet(policies, log);
  };
  metrics.beforeScrape(() => {
    metrics.policyGeneration.of({}).set(policies.generation);
    metrics.policyUnconfirmed.of({}).set((policies.unconfirmedMs ?? 0) / 1000);
  });
  const trial = await openTrial(policies, config, opening);
  const followed = followPolicies({
    feed,
    policies,
    loaded: isProblem(first.looked) ? '' : first.looked,
    isInForce: !first.isFallback,
    everyMs: lookSeconds * 1000,
    after,
    onLoaded,
    onProblem: (problem) => faults.set('policies', problem),
  });
  closers.push(followed.stop);
  const policyLoads = { reload: followed.reload, report: () => onLoaded([]) };
  const bundle = (): BundleInForce | null =>
    // A bundle whose policies were withdrawn is not handed on.
    feed instanceof BundleFeed && policies.unconfirmedMs !== null ? feed.inForce : null;
  return { policies, trial, policyLoads, bundle };
}

function isReady(policies: PolicyInForce): boolean {
  const set = policies.get();
  return !isDeny(set) && set.ready;
}

function logFindings(findings: readonly SourceFinding[], log: Log): void {
  for (const finding of findings) log(findingLine(finding), 'policies-refused');
}

/** A load of a source that refuses to become empty. It is counted, and each new set is recorded, with its text beside the ledger. */
function recordedLoadOf(
  feed: PolicyFeed,
  { policies: { bundle, folder }, ledger: { folder: ledgerFolder } }: Pick<Config, 'policies' | 'ledger'>,
  {
    ports,
    metrics,
    log,
    ledger,
    closers,
    isReady,
  }: Pick<Opening, 'ports' | 'metrics' | 'log' | 'ledger' | 'closers'> & { readonly isReady: () => boolean },
): LoadPolicySet {
  let isFirst = true;
  const keepText = async (set: Pick<PolicySet, 'hash' | 'source'>): Promise<KeptText> => {
    const missing = isFirst ? formerTextsMissing(ledgerFolder) : [];
    isFirst = false;
    const kept = await keepPolicies(ledgerFolder, set);
    if (!isProblem(kept)) return { ...kept, missing };
    log(`policies: the text of set ${set.hash} is not kept beside the ledger: ${kept.problem}`);
    return { isKept: false, beyond: [], missing };
  };
  const filled = unlessEmptied(feed.load, { source: bundle?.from ?? folder, isReady });
  return recordedLoad(countedLoad(filled, { metrics, ports }), {
    ledger,
    ports,
    after,
    closers,
    by: accountName(),
    keepText,
    forgetTexts: (hashes) => forgetPolicies(ledgerFolder, hashes),
  });
}

/** The first load of a source. */
interface FirstLoad {
  /** Why the newest policies are not in force; empty if they are. */
  readonly refused: readonly SourceFinding[];
  /** Whether the last good bundle is in force instead of the newest. */
  readonly isFallback: boolean;
  /** What the source looked like when it was loaded. */
  readonly looked: Awaited<ReturnType<PolicyFeed['look']>>;
}

/**
 * Loads until policies are in force: the newest, or else the last good bundle. Waits for a bundle that its publisher can fix, or the operator by
 * another key: SIGHUP has no effect yet, so the key files are read again before each further attempt.
 */
async function firstLoad(
  policies: PolicyInForce,
  feed: PolicyFeed,
  { waits, keyFiles, isBundle }: Pick<Opening, 'waits' | 'keyFiles'> & { readonly isBundle: boolean },
): Promise<FirstLoad | StartProblem> {
  let looked = await feed.look();
  let attempts = 0;
  return waits.until(async (): Promise<FirstLoad | StartProblem> => {
    attempts += 1;
    if (attempts > 1) await keyFiles.reload();
    const refused = await policies.reload();
    const isFallback = refused.length > 0 && feed.fallBack?.() === true;
    const findings = isFallback ? await policies.reload() : refused;
    if (findings.length === 0) return { refused, isFallback, looked };
    looked = await feed.look();
    return { problem: findings.map(findingLine).join('\n'), mayPass: isBundle };
  });
}

/** The trial of shadow policies, and of a candidate set if the configuration names it. */
async function openTrial(
  policies: PolicyInForce,
  { policies: settings, extAuthz: { binding } }: Pick<Config, 'policies' | 'extAuthz'>,
  opening: Pick<Opening, 'ports' | 'metrics' | 'log' | 'faults' | 'guard' | 'closers'>,
): Promise<Trial> {
  const candidate = settings.candidate === null ? null : await openCandidate(settings, settings.candidate, opening);
  opening.closers.push(() => candidate?.close());
  return new Trial({
    binding,
    live: () => policies.get(),
    candidate: () => candidate?.get() ?? null,
    metrics: opening.metrics,
    defer: setImmediate,
  });
}

/**
 * The source of the policies: a folder, or signed bundles. The last bundle is kept beside the state file or, without a state file, beside the
 * folder of the ledger.
 */
async function feedOf(
  { policies: config, state, ledger }: Pick<Config, 'policies' | 'state' | 'ledger'>,
  { ports, guard, keyFiles, fromAuthority }: Pick<Opening, 'ports' | 'guard' | 'keyFiles' | 'fromAuthority'>,
): Promise<PolicyFeed | Problem> {
  if (config.bundle === null) return folderFeed(config.folder, guard);
  const { from, name, signatures, keys: keysFile, ca } = config.bundle;
  const keys = await followedFile(keysFile, { keyFiles, what: 'keys of the policy bundle', read: bundleKeysFrom });
  if (isProblem(keys)) return keys;
  const anchors =
    ca === null ? null : await followedFile(ca, { keyFiles, what: 'certificates of the policy bundle', read: pemFrom });
  if (isProblem(anchors)) return anchors;
  const overHttps: FetchBundle = (etag) => httpsBundle(from, anchors?.() ?? null)(etag);
  const inFile = from.startsWith('https://') ? overHttps : bundleInFile(from, systemDisk);
  const fetch = from === FROM_AUTHORITY && fromAuthority !== null ? fromAuthority : inFile;
  const trust = (): BundleTrust => ({ keys: keys(), name, signatures });
  const keptIn = `${state.kind === 'sqlite' ? state.path : ledger.folder}.policies`;
  const feed = new BundleFeed({ label: from, fetch, trust, keptIn, ports });
  await feed.restore();
  return feed;
}

/** The latest value of a file that is read again on reload. */
async function followedFile<T>(
  path: string,
  {
    keyFiles,
    what,
    read,
  }: { readonly keyFiles: KeyFiles; readonly what: string; readonly read: (text: string) => T | Problem },
): Promise<(() => T) | Problem> {
  const found = await keyFiles.read(path);
  if (isProblem(found)) return found;
  const first = read(found.text);
  if (isProblem(first)) return { problem: `\`${path}\` ${first.problem}` };
  let current: T = first;
  const take = (text: string): string | null => {
    const renewed = read(text);
    if (isProblem(renewed)) return `\`${path}\` ${renewed.problem}`;
    current = renewed;
    return null;
  };
  keyFiles.follow({ what, path, take, text: found.text });
  return () => current;
}

function bundleKeysFrom(text: string): readonly BundleSigningKey[] | Problem {
  try {
    return signingKeysFrom(JSON.parse(text));
  } catch {
    return { problem: 'is not JSON' };
  }
}

const pemFrom = (text: string): string | Problem =>
  text.includes('-----BEGIN CERTIFICATE-----') ? text : { problem: 'has no certificate in PEM' };

/** A candidate set, evaluated beside the set in force. Its problems are logged and counted, and affect nothing else. */
async function openCandidate(
  { lookSeconds }: Config['policies'],
  folder: string,
  { ports, metrics, log, faults, guard }: Pick<Opening, 'ports' | 'metrics' | 'log' | 'faults' | 'guard'>,
): Promise<{ readonly get: () => PolicySet | null; readonly close: () => void }> {
  const feed = folderFeed(folder, guard);
  const tell = (line: string): void => log(`candidate: ${line}`, 'candidate-refused');
  const policies = new PolicyInForce(feed.load, { ports, maxAgeMs: null });
  const looked = await feed.look();
  const onLoaded = (findings: readonly SourceFinding[]): void => {
    if (findings.length > 0) metrics.policyCandidateFailures.of({}).inc();
    for (const finding of findings) tell(findingLine(finding));
    const set = policies.get();
    if (findings.length === 0 && !isDeny(set))
      log(`candidate: policies: ${set.policyCount}, set ${set.hash}`, 'candidate');
  };
  onLoaded(await policies.reload());
  const { stop } = followPolicies({
    feed,
    policies,
    loaded: isProblem(looked) ? '' : looked,
    isInForce: true,
    everyMs: lookSeconds * 1000,
    after,
    onLoaded,
    onProblem: (problem) => faults.set('candidate', problem),
  });
  const get = (): PolicySet | null => {
    const set = policies.get();
    return isDeny(set) ? null : set;
  };
  return { get, close: stop };
}

const findingLine = ({ file, line, column, message, help }: SourceFinding): string =>
  `${file}:${line}:${column}: ${message}${help === null ? '' : `; ${help}`}`;

function logSet(policies: PolicyInForce, log: Log): void {
  const set = policies.get();
  if (isDeny(set)) return log(`policies: ${set.detail}`, 'policies-refused');
  log(`policies: ${set.policyCount}, actions: ${set.catalog.actions.size}, set ${set.hash}`, 'policies-loaded', {
    policies: set.policyCount,
    actions: set.catalog.actions.size,
    set: set.hash,
  });
  for (const warning of set.warnings) log(`warning: ${findingLine(warning)}`, 'policies-warning');
}

import { addressText } from '../../core/config/values.ts';
import type { Address } from '../../core/config/values.ts';
import type { IssuerConfig, SubjectIssuerConfig } from '../../core/config/issuer.ts';
import type { LiveSettings } from '../../core/config/live-config.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { tlsMaterialOf } from '../../core/identity/svid.ts';
import type { Svid, SvidSource } from '../../core/identity/svid.ts';
import type { OnRefused } from '../../authority/issuer/bounds/limits.ts';
import { watchLimits } from '../../authority/issuer/limits/watch-limits.ts';
import { setLimitPeaks } from './measures.ts';
import { watchEndedOrders } from '../../authority/issuer/orders/ended-orders.ts';
import { Turns } from '../../authority/issuer/bounds/turns.ts';
import type { Enforcement } from '../../core/fleet/receipt.ts';
import { IssuerServer } from '../../authority/issuer/server.ts';
import type { OnAnswered } from '../../authority/issuer/server.ts';
import type { IssuerParts, IssuerServices, IssuerSettings } from '../../authority/issuer/services.ts';
import { defaultSignalEffects } from '../../authority/issuer/signals/effects.ts';
import { attestingEvents } from '../../authority/issuer/signals/event.ts';
import type { SignalServices } from '../../authority/issuer/signals/signal-services.ts';
import { SignalsUnderWay } from '../../authority/issuer/signals/under-way.ts';
import type { TokenKeys } from '../../authority/issuer/keys/signing-keys.ts';
import { authorizeGrant } from '../../core/policy/authorize.ts';
import { issuerTracer } from '../../core/telemetry/issuance.ts';
import { threadProcessorMs } from '../../core/telemetry/metrics/process-usage.ts';
import { KeyRing } from '../../core/token/jose/keys.ts';
import { after } from '../../core/runtime/timers.ts';
import type { Closers } from '../closers.ts';
import { openKeyRing } from '../keys/keys.ts';
import { proofNoncesFor } from '../keys/proof-nonces.ts';
import { everyUseDenied } from '../../core/policy/every-use.ts';
import type { IntendedUses } from '../../core/policy/every-use.ts';
import type { Question } from '../../core/policy/question.ts';
import { awaitedSvid, ownSvidProblem } from '../keys/own-svid.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { transmitSignals } from './transmit.ts';
import type { VerifySignals } from './transmit.ts';
import { isStartProblem } from '../start-problem.ts';
import { watchToolPins } from './tool-pins.ts';
import type { Parts } from '../parts.ts';
import type { StartProblem } from '../start-problem.ts';

/** The issuer, serving. */
export interface IssuerRole {
  readonly port: number;
  readonly verifySignals: VerifySignals;
}

/** The keys with which the issuer signs, and verifies for an exchange. */
export interface IssuerKeys {
  readonly signingKeys: TokenKeys;
  readonly transactions: IssuerServices['transactions'];
  /** Called with each token that was signed; absent if this process decides no checks. */
  readonly onSigned: IssuerServices['onSigned'];
}

const MAX_TASK_SECONDS = 86_400;
const CLOSE_GRACE_MS = 5000;
const SIGNAL_MAX_AGE_SECONDS = 86_400;
const SIGNAL_SKEW_SECONDS = 60;

/** Starts the issuer with its SVID, and updates the certificate at each renewal. */
export async function startIssuer(
  parts: Parts,
  config: IssuerConfig,
  {
    signingKeys,
    transactions,
    onSigned,
    enforcement,
    closers,
  }: IssuerKeys & { readonly enforcement: Enforcement | null; readonly closers: Pick<Closers, 'push'> },
): Promise<IssuerRole | StartProblem> {
  const { authority, svid } = parts;
  if (svid === null) return { problem: 'the issuer needs `svid`' };
  if (authority === null) return { problem: 'the issuer needs a state of its own' };
  const unread = undeclaredAttribute(parts, config);
  if (unread !== null) return { problem: unread };
  const subjectKeys = await openKeyRing(parts, config.subjectIssuers.map(asExternal), null);
  if (isStartProblem(subjectKeys)) return subjectKeys;
  closers.push(() => subjectKeys.close());
  const signals = await signalServices(parts, config);
  if (isStartProblem(signals)) return signals;
  if (signals?.keys instanceof KeyRing) closers.push(signals.keys.close.bind(signals.keys));
  const first = await awaitedSvid(svid);
  if (isStartProblem(first)) return { problem: `the issuer has no SVID: ${first.problem}`, mayPass: true };
  const unfit = ownSvidProblem(first, parts.config);
  if (unfit !== null) return { problem: unfit };
  const settings = liveSettings(parts, config);
  const clocks = () => ({ wallMs: parts.ports.nowMs(), floorMs: authority.floorMs() });
  const faultOf = (what: string) => (fault: string) => parts.log(`${what}: ${fault}`, 'issuer-failed');
  closers.push(watchEndedOrders({ authority, clocks, after, onFault: faultOf('the end of orders') }));
  const verifySignals = transmitSignals(parts, config, { authority, keys: signingKeys, closers });
  if (isStartProblem(verifySignals)) return verifySignals;
  const onFault = faultOf('the use of limits');
  closers.push(watchLimits({ authority, after, onFault, onPeaks: (peaks) => setLimitPeaks(parts, peaks) }));
  closers.push(watchToolPins(parts, config, { svid, authority }));
  const services = {
    ...sharedServices(parts, authority),
    get settings() {
      return settings();
    },
    signingKeys,
    subjectKeys,
    ...(signals === null ? {} : { signals }),
    ...(transactions === undefined ? {} : { transactions }),
    ...(enforcement === null ? {} : { enforcement }),
    ...(onSigned === undefined ? {} : { onSigned }),
  };
  const port = await serveIssuer(parts, config, { services, svid, first, closers });
  return isStartProblem(port) ? port : { port, verifySignals };
}

/** Serves the issuer, and signals at an address of their own if it is configured. The certificate follows the SVID. Gives the port of the issuer. */
async function serveIssuer(
  parts: Parts,
  config: IssuerConfig,
  {
    services,
    svid,
    first,
    closers,
  }: {
    readonly services: IssuerParts;
    readonly svid: SvidSource;
    readonly first: Svid;
    readonly closers: Pick<Closers, 'push'>;
  },
): Promise<number | StartProblem> {
  const { metrics, ports, log, checkActivity } = parts;
  const { monotonicMs } = ports;
  const options = {
    tls: tlsMaterialOf(first),
    services,
    limits: config.limits,
    turns: new Turns({
      monotonicMs,
      after,
      areChecksComing: () => checkActivity.isRecent,
      workMs: threadProcessorMs,
    }),
    monotonicMs,
    onProblem: (line: string) => log(line, 'issuer-failed'),
    onRefused: countedRefusals(parts),
    onAnswered: countedAnswers(parts),
  };
  const server = new IssuerServer(options);
  const signalAddress = config.signals?.listen ?? null;
  const signalServer = signalAddress === null ? null : new IssuerServer({ ...options, serves: 'signals' });
  metrics.beforeScrape(() => metrics.issuerInFlight.of({}).set(server.inFlight + (signalServer?.inFlight ?? 0)));
  closers.push(() => Promise.all([server.close(CLOSE_GRACE_MS), signalServer?.close(CLOSE_GRACE_MS)]));
  const stopRenewing = svid.onChange((renewed) => {
    for (const one of [server, signalServer]) one?.reload(tlsMaterialOf(renewed));
  });
  closers.push(stopRenewing);
  const port = await listenOn(server, config.listen);
  if (isStartProblem(port)) return port;
  const signalPort =
    signalServer === null || signalAddress === null ? null : await listenOn(signalServer, signalAddress);
  return isStartProblem(signalPort) ? signalPort : port;
}

/** An attribute that the catalog in force does not declare, so that no policy can read it. Probably one of the names is misspelt. */
function undeclaredAttribute({ policies }: Parts, { subjectIssuers }: IssuerConfig): string | null {
  const set = policies.get();
  if (isDeny(set)) return null;
  const declared = set.catalog.subjectAttributes;
  const unknown = subjectIssuers
    .flatMap(({ attributes }) => [...attributes.keys()])
    .find((name) => !declared.has(name));
  if (unknown === undefined) return null;
  const known = declared.size === 0 ? 'it declares none' : `it declares ${[...declared.keys()].join(', ')}`;
  return `\`issuer.subjectIssuers\` maps a claim to the attribute \`${unknown}\`, which \`subjectAttributes\` of actions.yaml does not declare: ${known}`;
}

/** Counts and times answers. */
function countedAnswers({ metrics }: Parts): OnAnswered {
  return ({ route, status, tookMs }) => {
    metrics.issuerRequests.of({ endpoint: route, status: status === null ? 'gone' : String(status) }).inc();
    metrics.issuerDuration.of({ endpoint: route }).observe(tookMs / 1000);
  };
}

/** A flood of refusals is logged as a single line in this time. */
const LOG_EVERY_MS = 60_000;

/** Counts requests refused by a limit. Logs the client and the limit, at most once a minute. */
function countedRefusals({ metrics, ports, log }: Parts): OnRefused {
  let loggedMs = -Infinity;
  return (bound, client) => {
    metrics.issuerRefusals.of({ bound }).inc();
    const nowMs = ports.monotonicMs();
    if (nowMs - loggedMs < LOG_EVERY_MS) return;
    loggedMs = nowMs;
    log(
      `requests of \`${client}\` to the issuer exceed a limit (${bound}); \`remit_issuer_refusals_total\` counts them`,
      'issuer-limit',
      {
        client,
        bound,
      },
    );
  };
}

async function listenOn(server: IssuerServer, address: Address): Promise<number | StartProblem> {
  if (address.kind !== 'tcp') return { problem: 'the issuer listens on `host:port`' };
  try {
    return (await server.listen(address.host, address.port)).port;
  } catch (error) {
    return {
      problem: `the issuer cannot serve on \`${addressText(address)}\`: ${errorCode(error) ?? 'unknown error'}`,
    };
  }
}

const asExternal = (issuer: SubjectIssuerConfig) => ({ ...issuer, kind: 'external' }) as const;

function sharedServices(parts: Parts, authority: NonNullable<Parts['authority']>) {
  const { config, ledger, metrics, policies, ports, proofs, reports, telemetry, trial } = parts;
  return {
    ports,
    authority,
    reports,
    proofs: proofs.memoryFor('issuer', (bound) => metrics.proofsRefused.of({ role: 'issuer', bound }).inc()),
    isShared: parts.database !== null,
    nonces: proofNoncesFor(config, ports),
    append: ledger.writer.append.bind(ledger.writer),
    recordsOf: ledger.recordsOf,
    policies: () => {
      const set = policies.get();
      if (isDeny(set)) return set;
      const preview = (question: Question) => authorizeGrant(set, question, ports.nowMs());
      const grant: typeof preview = (question) => {
        const decision = preview(question);
        trial.granted(question, decision, ports.nowMs());
        return decision;
      };
      return {
        catalog: set.catalog,
        hash: set.hash,
        grant,
        preview,
        limits: set.limits,
        observed: set.observed,
        everyUseDenied: (uses: IntendedUses) => everyUseDenied(set, uses),
      };
    },
    lastCatalog: () => policies.last?.catalog ?? null,
    tracer: issuerTracer({ tracer: telemetry.tracer, ports }),
  };
}

/** The settings derived from the live configuration, computed again when it has changed. */
function liveSettings(
  { config: { extAuthz, trustDomains }, live }: Parts,
  started: IssuerConfig,
): () => IssuerSettings {
  const domains = new Set(trustDomains);
  let from: LiveSettings | null = null;
  let settings: IssuerSettings | null = null;
  return () => {
    const now = live();
    if (settings === null || now !== from) {
      from = now;
      settings = {
        ...settingsOf(now.issuer ?? started, domains),
        bindingEffect: extAuthz.onBindingViolation,
        emergencyOperators: new Set(now.enforcement.emergency.operators),
      };
    }
    return settings;
  };
}

const settingsOf = (
  config: IssuerConfig,
  trustDomains: IssuerSettings['trustDomains'],
): Omit<IssuerSettings, 'bindingEffect' | 'emergencyOperators'> => ({
  url: config.url,
  trustDomains,
  tokenSeconds: config.tokenSeconds,
  taskSeconds: config.taskSeconds,
  maxTaskSeconds: MAX_TASK_SECONDS,
  idleSeconds: config.idleSeconds,
  stoppedTaskWaitSeconds: config.stoppedTaskWaitSeconds,
  contextRules: Object.fromEntries(config.context),
  contextWriters: new Set(config.contextWriters),
  introspectors: new Set(config.introspectors),
  operators: new Set(config.operators),
  subjectIssuers: config.subjectIssuers.map(({ kind, issuer, audience, scope, attributes }) => ({
    kind,
    issuer,
    audience: audience ?? config.url,
    scope,
    attributes,
  })),
});

/** The services that receive signals; `null` if none are received. */
async function signalServices(parts: Parts, config: IssuerConfig): Promise<SignalServices | null | StartProblem> {
  if (config.signals === null || config.signals.transmitters.length === 0) return null;
  const unknown = [...config.signals.effects.keys()].find((name) => !Object.hasOwn(defaultSignalEffects, name));
  if (unknown !== undefined) {
    const known = Object.keys(defaultSignalEffects).join(', ');
    return { problem: `\`issuer.signals.effects.${unknown}\` is not an event; known: ${known}` };
  }
  const mute = [...config.signals.effects].find(
    ([name, effect]) => effect === 'attest' && !attestingEvents.has(name),
  )?.[0];
  if (mute !== undefined) {
    const known = [...attestingEvents].join(', ');
    return {
      problem: `\`issuer.signals.effects.${mute}\` is \`attest\`, but this event carries no values; those that do: ${known}`,
    };
  }
  const workload = config.signals.transmitters.find(({ issuer }) => issuer.startsWith('spiffe:'))?.issuer;
  if (workload !== undefined) {
    return {
      problem: `\`issuer.signals.transmitters\` has the issuer \`${workload}\`, which is a SPIFFE ID; a transmitter has a URL`,
    };
  }
  const keys = await openKeyRing(
    parts,
    config.signals.transmitters.map((transmitter) => ({ ...transmitter, kind: 'external' }) as const),
    null,
  );
  if (isStartProblem(keys)) return keys;
  return {
    keys,
    transmitters: new Map(
      config.signals.transmitters.map(({ issuer, audience, subjectIssuers }) => [
        issuer,
        { issuer, audience: audience ?? config.url, subjectIssuers: new Set(subjectIssuers ?? [issuer]) },
      ]),
    ),
    stopMinutes: config.signals.stopMinutes,
    effects: { ...defaultSignalEffects, ...Object.fromEntries(config.signals.effects) },
    underWay: new SignalsUnderWay(),
    maxAgeSeconds: SIGNAL_MAX_AGE_SECONDS,
    clockSkewSeconds: SIGNAL_SKEW_SECONDS,
  };
}

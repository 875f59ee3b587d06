import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import type { Finding } from './action/finding.ts';
import { AdminServer } from './admin/server.ts';
import { unmetGates } from './admin/readiness.ts';
import type { Gate } from './admin/readiness.ts';
import { checkWith } from './check.ts';
import type { AcceptedIssuer, Address, Config } from './config.ts';
import { isDeny } from './decision/decision.ts';
import { UUID_RANDOM_BYTES, uuidV7 } from './decision/uuid.ts';
import { authorizationHandler, refusalsFrom } from './envoy/authorization.ts';
import { AuthorizationServer } from './envoy/server.ts';
import { leafCache } from './identity/leaf.ts';
import { IssuerServer } from './issuer/server.ts';
import type { TlsMaterial } from './issuer/server.ts';
import { signingKeyAt } from './issuer/signing-key.ts';
import type { SigningKey } from './issuer/signing-key.ts';
import { LedgerWriter } from './ledger/writer.ts';
import { authorize } from './policy/authorize.ts';
import { CurrentPolicies } from './policy/current.ts';
import { loadPolicies } from './policy/load.ts';
import type { Ports } from './ports.ts';
import { openStore } from './store/sqlite.ts';
import type { Store } from './store/store.ts';
import { isStoreFailure, stateUnavailable } from './store/store-failure.ts';
import { issuerTracer } from './telemetry/issuance.ts';
import { startTelemetry } from './telemetry/sdk.ts';
import type { Telemetry } from './telemetry/sdk.ts';
import { httpsJwksFetch } from './token/jwks-fetch.ts';
import { KeyRing } from './token/keys.ts';
import type { TrustedIssuer } from './token/keys.ts';
import { after } from './token/timers.ts';
import { TokenUses } from './token/uses.ts';

/** What a process of Remit is made with, besides its configuration. */
export interface RemitOptions {
  readonly ports: Ports;
  /** For the `OTEL_*` variables alone; the configuration has been read. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Told, a line each, of what an operator should know. Never a secret. */
  readonly log: (line: string) => void;
  /** Called once when the state file fails: everything is denied from then on, and the process must end. */
  readonly onFatal: (detail: string) => void;
}

/** Why Remit did not start; nothing of it is left. One line for each finding. */
export interface StartProblem {
  readonly problem: string;
}

/** All roles of one configuration, running. */
export interface Remit {
  readonly store: Store;
  /** Port of the issuer; `null` where there is none. */
  readonly issuerPort: number | null;
  readonly adminPort: number;
  /** Loads policies and certificates again; what is not good is logged and leaves the old ones in force. */
  reload(): Promise<void>;
  /** Writes what waits to be recorded. */
  flush(): Promise<void>;
  /** Drains and ends every role. */
  close(): Promise<void>;
}

const MAX_TOKENS_COUNTED = 100_000;
const MAX_LEAVES_CACHED = 1024;
const MAX_TASK_SECONDS = 86_400;
const CLOSE_GRACE_MS = 5000;
const READINESS_MS = 500;
const HELP_URL = null;

/** Starts every role that the configuration names, or none. */
export async function startRemit(config: Config, options: RemitOptions): Promise<Remit | StartProblem> {
  const closers: (() => Promise<unknown> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  const started = await start(config, options, closers);
  if ('problem' in started) await close();
  return 'problem' in started ? started : { ...started, close };
}

async function start(
  config: Config,
  options: RemitOptions,
  closers: (() => Promise<unknown> | void)[],
): Promise<Omit<Remit, 'close'> | StartProblem> {
  const telemetry = startTelemetry(options.environment);
  closers.push(() => telemetry.close());

  const store = openStore(config.state, {
    nowMs: options.ports.nowMs,
    onFatal: (failure) => options.onFatal(failure.detail),
  });
  if (isStoreFailure(store)) return { problem: store.detail };
  closers.push(() => store.close());
  const ledger = new LedgerWriter(store);
  closers.push(() => ledger.close());

  const policies = new CurrentPolicies(() => loadPolicies(config.policies));
  const findings = await policies.reload();
  if (findings.length > 0) return { problem: findings.map(findingLine).join('\n') };

  const signingKey = config.issuer === null ? null : await signingKeyAt(config.issuer.signingKey);
  if (signingKey !== null && 'problem' in signingKey) return signingKey;
  const keys = await keyRing(config, signingKey, options);
  if ('problem' in keys) return keys;
  closers.push(() => keys.close());

  const { ports, log } = options;
  const parts: Parts = { config, ports, log, store, ledger, policies, keys, telemetry };
  const issuer = signingKey === null ? null : await startIssuer(parts, signingKey);
  if (issuer !== null && 'problem' in issuer) return issuer;
  if (issuer !== null) closers.push(() => issuer.server.close(CLOSE_GRACE_MS));

  const server = authorizationServer(parts);
  closers.push(() => server.close({ noticeMs: 0, graceMs: CLOSE_GRACE_MS }));
  const bound = await server.listen(config.extAuthz.listen.map(addressText));
  if ('problem' in bound) return bound;

  const gates = gatesOf(parts);
  const admin = new AdminServer(gates);
  closers.push(() => admin.close());
  const adminPort = await listenAdmin(admin, config.admin.listen);
  if (typeof adminPort !== 'number') return adminPort;

  closers.push(followGates(server, gates));
  log(`checks on ${bound.join(', ')}; spans to ${telemetry.destination}`);
  logPolicies(parts);
  return {
    store,
    issuerPort: issuer?.port ?? null,
    adminPort,
    flush: async () => void (await ledger.flush()),
    reload: async () => {
      const problems = await policies.reload();
      for (const finding of problems) log(findingLine(finding));
      if (problems.length === 0) logPolicies(parts);
      if (issuer !== null) await reloadTls(parts, issuer.server);
    },
  };
}

function logPolicies({ policies, log }: Parts): void {
  const set = policies.get();
  if (isDeny(set)) return;
  log(`policies: ${set.policyCount}, actions: ${set.catalog.actions.size}, set ${set.hash}`);
  for (const warning of set.warnings) log(`warning: ${findingLine(warning)}`);
}

/** What the roles share. */
interface Parts {
  readonly config: Config;
  readonly ports: Ports;
  readonly store: Store;
  readonly ledger: LedgerWriter;
  readonly policies: CurrentPolicies;
  readonly keys: KeyRing;
  readonly telemetry: Telemetry;
  readonly log: (line: string) => void;
}

const findingLine = ({ file, line, column, message, help }: Finding): string =>
  `${file}:${line}:${column}: ${message}${help === null ? '' : `; ${help}`}`;

const addressText = (address: Address): string => {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
};

async function keyRing(
  config: Config,
  signingKey: SigningKey | null,
  { ports, log }: Pick<Parts, 'ports' | 'log'>,
): Promise<KeyRing | StartProblem> {
  const issuers: TrustedIssuer[] = [];
  if (config.issuer !== null && signingKey !== null) {
    const jwks = { keys: [signingKey.publicJwk] };
    issuers.push({ issuer: config.issuer.url, algorithms: [signingKey.algorithm], source: { kind: 'static', jwks } });
  }
  for (const accepted of config.acceptedIssuers) {
    const source = await keySource(accepted, config);
    if ('problem' in source) return source;
    issuers.push({ issuer: accepted.issuer, algorithms: accepted.algorithms, source });
  }
  const twice = issuers.find(({ issuer }, index) => issuers.findIndex((other) => other.issuer === issuer) !== index);
  if (twice !== undefined) return { problem: `issuer \`${twice.issuer}\` is named twice in the configuration` };
  const keys = new KeyRing(issuers, {
    ports,
    after,
    onProblem: (issuer, problem) => log(`keys of \`${issuer}\`: ${problem}`),
  });
  // Not awaited: a key server that is down holds up readiness, not the start.
  void keys.start();
  return keys;
}

async function keySource({ jwks }: AcceptedIssuer, { svid }: Config): Promise<TrustedIssuer['source'] | StartProblem> {
  if (!jwks.startsWith('https://')) {
    const text = await readText(jwks, 'the key set');
    if (typeof text !== 'string') return text;
    const parsed = jsonFrom(text);
    return parsed === undefined ? { problem: `the key set \`${jwks}\` is not JSON` } : { kind: 'static', jwks: parsed };
  }
  const bundle = svid === null ? undefined : await readText(svid.bundle, 'the bundle');
  if (bundle !== undefined && typeof bundle !== 'string') return bundle;
  return {
    kind: 'remote',
    fetch: httpsJwksFetch(jwks, bundle === undefined ? undefined : [...rootCertificates, bundle]),
  };
}

const jsonFrom = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

async function readText(file: string, what: string): Promise<string | StartProblem> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => ({
    problem: `cannot read ${what} \`${file}\`: ${error.code ?? error.message}`,
  }));
}

async function tlsMaterial({ svid }: Config): Promise<TlsMaterial | StartProblem> {
  if (svid === null) return { problem: 'the issuer needs `svid`' };
  const certificate = await readText(svid.certificate, 'the SVID');
  const key = await readText(svid.key, 'the key of the SVID');
  const bundle = await readText(svid.bundle, 'the bundle');
  if (typeof certificate !== 'string') return certificate;
  if (typeof key !== 'string') return key;
  if (typeof bundle !== 'string') return bundle;
  return { certificate, key, bundle };
}

interface RunningIssuer {
  readonly server: IssuerServer;
  readonly port: number;
}

async function startIssuer(parts: Parts, signingKey: SigningKey): Promise<RunningIssuer | StartProblem | null> {
  const { config, ports, store, ledger, policies, telemetry, log } = parts;
  if (config.issuer === null) return null;
  if (config.issuer.listen.kind !== 'tcp') return { problem: 'the issuer listens on `host:port`, not on a socket' };
  const tls = await tlsMaterial(config);
  if ('problem' in tls) return tls;
  try {
    const server = new IssuerServer({
      tls,
      onProblem: log,
      services: {
        settings: {
          url: config.issuer.url,
          trustDomains: new Set(config.trustDomains),
          tokenSeconds: config.issuer.tokenSeconds,
          taskSeconds: config.issuer.taskSeconds,
          maxTaskSeconds: MAX_TASK_SECONDS,
        },
        ports,
        store,
        signingKey,
        append: (record) => ledger.append(record),
        catalog: () => {
          const set = policies.get();
          return isDeny(set) ? set : set.catalog;
        },
        grant: (question) => {
          const set = policies.get();
          return isDeny(set) ? set : authorize(set, question);
        },
        policySet: () => {
          const set = policies.get();
          return isDeny(set) ? null : set.hash;
        },
        tracer: issuerTracer({ tracer: telemetry.tracer, randomBytes: ports.randomBytes }),
      },
    });
    return { server, port: (await server.listen(config.issuer.listen.host, config.issuer.listen.port)).port };
  } catch (error) {
    return { problem: `the issuer cannot serve on \`${addressText(config.issuer.listen)}\`: ${codeOf(error)}` };
  }
}

/** A system error by its code, TLS material by what is wrong with it; neither repeats what was read. */
const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';

async function reloadTls(parts: Parts, server: IssuerServer): Promise<void> {
  const tls = await tlsMaterial(parts.config);
  if ('problem' in tls) return parts.log(tls.problem);
  try {
    server.reload(tls);
  } catch (error) {
    parts.log(`the SVID of the issuer could not be renewed: ${codeOf(error)}`);
  }
}

function authorizationServer(parts: Parts): AuthorizationServer {
  const { config, ports, store, ledger, policies, keys, telemetry, log } = parts;
  const { extAuthz } = config;
  const check = checkWith({
    ports,
    identity: {
      mode: extAuthz.identity,
      trustDomains: new Set(config.trustDomains),
      proxyId: extAuthz.proxyId,
      forwarders: new Set(extAuthz.forwarders),
      anchors: [],
      leafFrom: leafCache(MAX_LEAVES_CACHED),
    },
    binding: extAuthz.binding,
    maxTokenSeconds: extAuthz.maxTokenSeconds,
    clockSkewSeconds: extAuthz.clockSkewSeconds,
    keys,
    policies: () => policies.get(),
    tasks: (issuer, taskId, jtiDigest) => {
      const state = store.useStateOf(issuer, taskId, jtiDigest);
      return isStoreFailure(state) ? stateUnavailable(state) : state;
    },
    // INVARIANT: tasks are judged by the clock of the store, which does not step back.
    taskClock: () => store.nowMs(),
    uses: new TokenUses(MAX_TOKENS_COUNTED),
    ledger,
    tracer: telemetry.tracer,
  });
  const response = { helpUrl: HELP_URL };
  const onFault = (error: unknown): void =>
    log(`a check failed: ${error instanceof Error ? error.message : String(error)}`);
  const refuse = refusalsFrom({
    response,
    newDecisionId: () => uuidV7(ports.nowMs(), ports.randomBytes(UUID_RANDOM_BYTES)),
  });
  const handler = authorizationHandler(check, {
    rules: { partialBodyBytes: extAuthz.maxBodyBytes },
    response,
    refuse,
    onFault,
  });
  return new AuthorizationServer(handler, {
    refuse,
    monotonicMs: ports.monotonicMs,
    nowMs: ports.nowMs,
    maxInFlight: extAuthz.checksInFlight,
    onFault,
  });
}

/** Keeps the health that Envoy sees in step with readiness; the result ends it. */
function followGates(server: AuthorizationServer, gates: readonly Gate[]): () => void {
  let cancel: (() => void) | null = null;
  const look = (): void => {
    server.setServing(unmetGates(gates).length === 0);
    cancel = after(READINESS_MS, look);
  };
  look();
  return () => cancel?.();
}

const gatesOf = ({ policies, keys, ledger }: Parts): readonly Gate[] => [
  {
    name: 'policies',
    problem: () => {
      const set = policies.get();
      if (isDeny(set)) return set.detail;
      return set.ready ? null : 'the policy set is empty';
    },
  },
  {
    name: 'keys',
    problem: () => {
      const missing = keys.ready();
      return missing.length === 0 ? null : `no keys of ${missing.join(', ')}`;
    },
  },
  { name: 'ledger', problem: () => ledger.problem },
];

async function listenAdmin(admin: AdminServer, address: Address): Promise<number | StartProblem> {
  if (address.kind !== 'tcp') return { problem: 'admin listens on `host:port`, not on a socket' };
  try {
    return await admin.listen(address);
  } catch (error) {
    return { problem: `admin cannot listen on \`${addressText(address)}\`: ${codeOf(error)}` };
  }
}

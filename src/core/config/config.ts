import { svidSettingsFrom } from '../identity/svid-settings.ts';
import type { SvidFields, SvidSettings } from '../identity/svid-settings.ts';
import type { TrustDomain } from '../identity/spiffe-id.ts';
import { workloadApiTargetFrom } from '../identity/workload-api-address.ts';
import { authority, authorityConfigOf } from './authority.ts';
import type { AuthorityConfig, AuthorityFields } from './authority.ts';
import { enforcement } from './enforcement.ts';
import type { EnforcementConfig } from './enforcement.ts';
import { extAuthzSection, networkContradiction } from './ext-authz.ts';
import type { ExtAuthzConfig } from './ext-authz.ts';
import { integer, made, oneOf, optional, textOf } from '../runtime/fields.ts';
import { listed, readFields, section } from './fields.ts';
import type { ConfigProblem } from './fields.ts';
import { issuerSection, issuerConfigOf } from './issuer.ts';
import type { IssuerConfig, IssuerFields, KeyedIssuer } from './issuer.ts';
import { ledgerSection, ledgerConfigOf } from './ledger.ts';
import type { LedgerConfig, LedgerFields } from './ledger.ts';
import { log } from './log.ts';
import type { LogConfig } from './log.ts';
import { outcomes } from './outcomes.ts';
import type { OutcomesConfig } from './outcomes.ts';
import { policiesSection } from './policies.ts';
import type { PoliciesConfig } from './policies.ts';
import { records } from './records.ts';
import type { RecordsConfig } from './records.ts';
import { roleContradiction } from './role.ts';
import { socketContradiction } from './socket-access.ts';
import { defaultState, statePathOf, statePlace } from './state.ts';
import type { StatePlace } from './state.ts';
import { telemetrySection } from './telemetry.ts';
import type { TelemetryConfig } from './telemetry.ts';
import { address, algorithmNames, hostName, identifier, jwksIn, pathIn, spiffeIdText, trustDomain } from './values.ts';
import type { Address } from './values.ts';

/** An external issuer whose tokens are accepted. */
export interface AcceptedIssuer extends KeyedIssuer {
  /** `remit`: task tokens of another Remit that shares the state; `external`: access tokens of an IAM. Default `remit`. */
  readonly kind: 'remit' | 'external';
  /** `external` only: the `typ` of its access tokens. Default `at+jwt`. */
  readonly types: readonly ('at+jwt' | 'JWT' | 'absent')[];
}

/** The whole configuration, frozen. Every field has a default except `trustDomains`. */
export interface Config {
  /** The file it was read from, for messages. */
  readonly file: string;
  /** SPIFFE trust domains whose workloads may call, such as `acme.test`. */
  readonly trustDomains: readonly TrustDomain[];
  /** Trust domain of the sidecar's own SVID, if `trustDomains` does not list it; its workloads may not call. Default `null`. */
  readonly ownTrustDomain: TrustDomain | null;
  readonly extAuthz: ExtAuthzConfig;
  /**
   * The SVID of this process: from the Workload API (default: the socket in SPIFFE_ENDPOINT_SOCKET) or from PEM files. Required
   * by the issuer, and by connections over the network to Envoys, sidecars and authorities.
   */
  readonly svid: SvidSettings | null;
  /** `null` if this process does not issue tokens. */
  readonly issuer: IssuerConfig | null;
  /** Issuers besides the issuer of this process. Default none. */
  readonly acceptedIssuers: readonly AcceptedIssuer[];
  /** Longest life of an external token. Default 3600 s, 1 to 86,400. */
  readonly maxExternalTokenSeconds: number;
  readonly admin: {
    /** Address for liveness, readiness and metrics. Default `127.0.0.1:9471`. */
    readonly listen: Address;
    /** A Unix socket with the same answers, for the user of this process alone. Default none. */
    readonly socket: Address | null;
    /** Accepted values of `Host`, besides IP addresses and `localhost`. Default none. */
    readonly hosts: readonly string[];
  };
  /**
   * Writes one JSON line to standard output for each denied check (`denials`), for each check (`stdout`), or none (`none`). Default
   * `denials`.
   */
  readonly decisionLog: 'none' | 'denials' | 'stdout';
  readonly log: LogConfig;
  readonly telemetry: TelemetryConfig;
  /** Source of the policies. A folder alone is short for `folder`. */
  readonly policies: PoliciesConfig;
  /** Who may change what is enforced while the process serves. */
  readonly enforcement: EnforcementConfig;
  /** Tasks, tokens and budgets. Default the SQLite file `/var/lib/remit/state.db`. */
  readonly state: StatePlace;
  readonly authority: AuthorityConfig;
  /**
   * What a commit of a PostgreSQL must survive: the loss of any one server (`quorum`), what its provider promises (`managed`), or nothing but
   * a restart (`single`). Default `quorum`.
   */
  readonly durability: 'quorum' | 'managed' | 'single';
  readonly endedTasks: {
    /**
     * Seconds after its end when an ended task is deleted from the state file, once none of its tokens is valid and the ledger has its
     * records. Default 86,400 (a day), up to 315,360,000; 0 keeps all tasks.
     */
    readonly keepSeconds: number;
  };
  readonly ledger: LedgerConfig;
  /** The place in which an authority keeps the records of its sidecars, and how long. */
  readonly records: RecordsConfig;
  readonly outcomes: OutcomesConfig;
  /**
   * Seconds between SIGTERM or SIGINT and the stop. In this time health checks fail, but requests are answered. Should be at least three
   * intervals of the health checks. Default 5, 0 to 300.
   */
  readonly drainSeconds: number;
}

/** The parsed configuration, before defaults that depend on other keys are filled in. */
type ConfigFields = Omit<Config, 'file' | 'authority' | 'ledger' | 'issuer'> & {
  readonly authority: AuthorityFields;
  readonly ledger: LedgerFields;
  readonly issuer: IssuerFields | null;
};

const svid = (folder: string) =>
  made<SvidFields, SvidSettings>(
    section<SvidFields>({
      workloadApi: optional(
        textOf('a Workload API address such as `unix:///run/spire/agent.sock`', workloadApiTargetFrom),
        null,
      ),
      id: optional(spiffeIdText, null),
      hint: optional(identifier, null),
      certificate: optional(pathIn(folder), null),
      key: optional(pathIn(folder), null),
      bundle: optional(pathIn(folder), null),
    }),
    svidSettingsFrom,
  );

/** The Workload API named by SPIFFE_ENDPOINT_SOCKET, for a configuration without an SVID. @see SPIFFE Workload Endpoint section 4 */
function svidOf(environment: Readonly<Record<string, string | undefined>>): SvidSettings | null {
  const target = workloadApiTargetFrom(environment['SPIFFE_ENDPOINT_SOCKET'] ?? '');
  return typeof target === 'string' ? { kind: 'workload-api', target, id: null, hint: null } : null;
}

const configField = (folder: string, environment: Readonly<Record<string, string | undefined>>) =>
  section<ConfigFields>({
    trustDomains: listed(trustDomain),
    ownTrustDomain: optional(trustDomain, null),
    extAuthz: extAuthzSection,
    svid: optional(svid(folder), svidOf(environment)),
    issuer: optional(issuerSection(folder), null),
    acceptedIssuers: optional(
      listed(
        section<AcceptedIssuer>({
          issuer: identifier,
          jwks: jwksIn(folder),
          algorithms: algorithmNames,
          kind: optional(oneOf(['remit', 'external']), 'remit'),
          types: optional(listed(oneOf(['at+jwt', 'JWT', 'absent'])), ['at+jwt']),
        }),
      ),
      [],
    ),
    maxExternalTokenSeconds: optional(integer(1, 86_400), 3600),
    admin: section({
      listen: optional(address, { kind: 'tcp', host: '127.0.0.1', port: 9471 }),
      socket: optional(address, null),
      hosts: optional(listed(hostName), []),
    }),
    decisionLog: optional(oneOf(['none', 'denials', 'stdout']), 'denials'),
    log,
    telemetry: telemetrySection,
    policies: policiesSection(folder),
    enforcement,
    state: optional(statePlace(folder), defaultState),
    authority: authority(folder),
    durability: optional(oneOf(['quorum', 'managed', 'single']), 'quorum'),
    endedTasks: section({ keepSeconds: optional(integer(0, 315_360_000), 86_400) }),
    ledger: ledgerSection(folder),
    records: records(folder),
    outcomes,
    drainSeconds: optional(integer(0, 300), 5),
  });

/** A valid configuration. */
export interface ReadConfig {
  readonly value: Config;
  /** The parsed configuration by the keys of the file, for comparison with another. */
  readonly written: ConfigFields;
}

/**
 * Reads the configuration from YAML. `REMIT_…` variables override scalar fields.
 *
 * @param folder base of relative paths: the folder of the file
 * @returns every problem of the file at once, each with line, column and field
 */
export function configFrom(
  yaml: string,
  at: {
    readonly file: string;
    readonly folder: string;
    readonly environment: Readonly<Record<string, string | undefined>>;
  },
): ReadConfig | { readonly problems: readonly ConfigProblem[] } {
  const read = readFields(configField(at.folder, at.environment), {
    text: yaml,
    file: at.file,
    environment: at.environment,
  });
  if ('problems' in read) return read;
  const { issuer: issuerFields, ledger: ledgerFields } = read.value;
  const state = statePathOf(read.value.state);
  const value = Object.freeze({
    ...read.value,
    file: at.file,
    authority: authorityConfigOf(read.value.authority, read.value.state),
    issuer: issuerFields === null ? null : issuerConfigOf(issuerFields, state),
    ledger: ledgerConfigOf(ledgerFields, { state, durability: read.value.durability }),
  });
  const problem = contradiction(value, issuerFields);
  return problem === null
    ? { value, written: read.value }
    : { problems: [{ file: at.file, line: 0, column: 0, ...problem }] };
}

/** A contradiction between fields that are each valid. */
const contradiction = (
  config: Config,
  issuerFields: IssuerFields | null,
): { readonly field: string; readonly message: string } | null => {
  if (config.extAuthz.identity === 'xfcc' && config.extAuthz.proxyId.length === 0) {
    return {
      field: 'extAuthz.proxyId',
      message: 'is required with `identity: xfcc`: it names the proxy whose header is trusted',
    };
  }
  const role =
    roleContradiction({ ...config, issuer: issuerFields }) ??
    networkContradiction(config) ??
    socketContradiction('extAuthz', config.extAuthz) ??
    socketContradiction('authority', config.authority);
  if (role !== null) return role;
  if (config.issuer !== null && config.svid === null) {
    return { field: 'svid', message: 'is required with `issuer`: its certificate serves HTTPS' };
  }
  if (config.issuer !== null && config.issuer.listen.kind !== 'tcp') {
    return { field: 'issuer.listen', message: 'must be `host:port`' };
  }
  if (config.admin.listen.kind !== 'tcp') return { field: 'admin.listen', message: 'must be `host:port`' };
  if (config.admin.socket !== null && config.admin.socket.kind !== 'unix') {
    return { field: 'admin.socket', message: 'must be `unix:/path`' };
  }
  const twice = repeated(config);
  return twice === undefined ? null : { field: 'acceptedIssuers', message: `names \`${twice}\` twice` };
};

const repeated = ({ acceptedIssuers, issuer: own }: Config): string | undefined => {
  const names = [...(own === null ? [] : [own.url]), ...acceptedIssuers.map((accepted) => accepted.issuer)];
  return names.find((name, index) => names.indexOf(name) !== index);
};

/** One problem as a line: `file:line:column: field message`. */
export const configProblemText = (problem: ConfigProblem): string =>
  [
    problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`,
    problem.field === '' ? problem.message : `\`${problem.field}\` ${problem.message}`,
  ].join(': ');

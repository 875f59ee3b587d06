import { resolve } from 'node:path';
import { svidSettingsFrom } from '../identity/svid-settings.ts';
import type { SvidFields, SvidSettings } from '../identity/svid-settings.ts';
import type { TrustDomain } from '../identity/spiffe-id.ts';
import { workloadApiTargetFrom } from '../identity/workload-api-address.ts';
import { extAuthz } from './ext-authz.ts';
import type { ExtAuthzConfig } from './ext-authz.ts';
import { integer, listOf, made, optional, readFields, section, text, word } from './fields.ts';
import type { ConfigProblem } from './fields.ts';
import { issuer, issuerConfigOf } from './issuer.ts';
import type { IssuerConfig, IssuerFields, KeyedIssuer } from './issuer.ts';
import { ledger, ledgerConfigOf } from './ledger.ts';
import type { LedgerConfig, LedgerFields } from './ledger.ts';
import { log } from './log.ts';
import type { LogConfig } from './log.ts';
import { outcomes } from './outcomes.ts';
import type { OutcomesConfig } from './outcomes.ts';
import { policies } from './policies.ts';
import type { PoliciesConfig } from './policies.ts';
import { address, algorithmNames, hostName, identifier, jwksIn, pathIn, spiffeIdText, trustDomain } from './values.ts';
import type { Address } from './values.ts';

/** An external issuer whose tokens calls may carry. */
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
  /** Trust domain of the sidecar's own SVID, where `trustDomains` does not list it; its workloads may not call. Default `null`. */
  readonly ownTrustDomain: TrustDomain | null;
  readonly extAuthz: ExtAuthzConfig;
  /** The sidecar's own SVID: from the Workload API (default where SPIFFE_ENDPOINT_SOCKET says), or PEM files. Needed by the issuer. */
  readonly svid: SvidSettings | null;
  /** `null` where this process has no such role. */
  readonly issuer: IssuerConfig | null;
  /** Issuers besides the one of this process. Default none. */
  readonly acceptedIssuers: readonly AcceptedIssuer[];
  /** Longest life of an external token. Default 3600 s, 1 to 86,400. */
  readonly maxExternalTokenSeconds: number;
  readonly admin: {
    /** Liveness, readiness and metrics. Default `127.0.0.1:9471`. */
    readonly listen: Address;
    /** Names that a request may have in `Host`, beside IP addresses and `localhost`. Default none. */
    readonly hosts: readonly string[];
  };
  /** A line of JSON on standard output for each denied check (`denials`), for each check (`stdout`), or for `none`. Default `denials`. */
  readonly decisionLog: 'none' | 'denials' | 'stdout';
  readonly log: LogConfig;
  /** Where the policies come from; a folder alone is its `folder`. */
  readonly policies: PoliciesConfig;
  /** SQLite file with tasks, tokens and budgets. Default `/var/lib/remit/state.db`. */
  readonly state: string;
  /**
   * `exclusive`: this process alone serves with the state file; `shared`: beside others on this host that say `shared` too, each
   * with an `extAuthz.listen`, `admin.listen` and `ledger.folder` of its own. Named as the locks that they take. Default `exclusive`.
   */
  readonly stateAccess: 'exclusive' | 'shared';
  readonly endedTasks: {
    /**
     * Ended tasks are deleted from the state file so many seconds after their end, at the earliest once none of their tokens can be
     * used and the ledger has their records. Default 86,400 (a day), up to 315,360,000; 0 keeps all of them.
     */
    readonly keepSeconds: number;
  };
  readonly ledger: LedgerConfig;
  readonly outcomes: OutcomesConfig;
  /**
   * After SIGTERM or SIGINT the process says "not serving" and answers all the same for so long, before it stops. Default 5, 0 to
   * 300. At least three intervals of the health checks that watch it.
   */
  readonly drainSeconds: number;
}

/** The configuration as it is written, before what it does not name is put in its place. */
type ConfigFields = Omit<Config, 'file' | 'ledger' | 'issuer'> & {
  readonly ledger: LedgerFields;
  readonly issuer: IssuerFields | null;
};

const stateFile = (folder: string) =>
  text<string>('`sqlite:/path`', (value) =>
    value.startsWith('sqlite:')
      ? resolve(folder, value.slice('sqlite:'.length))
      : { problem: 'only `sqlite:` is known' },
  );

const svid = (folder: string) =>
  made<SvidFields, SvidSettings>(
    section<SvidFields>({
      workloadApi: optional(
        text('a Workload API address such as `unix:///run/spire/agent.sock`', workloadApiTargetFrom),
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

/** The Workload API where the SPIFFE variable says it is, for a configuration that names no SVID. @see SPIFFE Workload Endpoint section 4 */
function svidOf(environment: Readonly<Record<string, string | undefined>>): SvidSettings | null {
  const target = workloadApiTargetFrom(environment['SPIFFE_ENDPOINT_SOCKET'] ?? '');
  return typeof target === 'string' ? { kind: 'workload-api', target, id: null, hint: null } : null;
}

const configField = (folder: string, environment: Readonly<Record<string, string | undefined>>) =>
  section<ConfigFields>({
    trustDomains: listOf(trustDomain),
    ownTrustDomain: optional(trustDomain, null),
    extAuthz,
    svid: optional(svid(folder), svidOf(environment)),
    issuer: optional(issuer(folder), null),
    acceptedIssuers: optional(
      listOf(
        section<AcceptedIssuer>({
          issuer: identifier,
          jwks: jwksIn(folder),
          algorithms: algorithmNames,
          kind: optional(word(['remit', 'external']), 'remit'),
          types: optional(listOf(word(['at+jwt', 'JWT', 'absent'])), ['at+jwt']),
        }),
      ),
      [],
    ),
    maxExternalTokenSeconds: optional(integer(1, 86_400), 3600),
    admin: section({
      listen: optional(address, { kind: 'tcp', host: '127.0.0.1', port: 9471 }),
      hosts: optional(listOf(hostName), []),
    }),
    decisionLog: optional(word(['none', 'denials', 'stdout']), 'denials'),
    log,
    policies: policies(folder),
    state: optional(stateFile(folder), '/var/lib/remit/state.db'),
    stateAccess: optional(word(['exclusive', 'shared']), 'exclusive'),
    endedTasks: section({ keepSeconds: optional(integer(0, 315_360_000), 86_400) }),
    ledger: ledger(folder),
    outcomes,
    drainSeconds: optional(integer(0, 300), 5),
  });

/** A configuration that is good. */
export interface ReadConfig {
  readonly value: Config;
  /** By the keys of the file, for a comparison with another. */
  readonly written: ConfigFields;
}

/**
 * The configuration of a YAML text; scalar fields are overridden by `REMIT_…` variables.
 *
 * @param folder relative paths in the file start here: the folder of the file
 * @returns every problem of the file in one go, each with line, column and field
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
  const { state, issuer: issuerFields, ledger: ledgerFields } = read.value;
  const value = Object.freeze({
    ...read.value,
    file: at.file,
    issuer: issuerFields === null ? null : issuerConfigOf(issuerFields, state),
    ledger: ledgerConfigOf(ledgerFields, state),
  });
  const problem = contradiction(value);
  return problem === null
    ? { value, written: read.value }
    : { problems: [{ file: at.file, line: 0, column: 0, ...problem }] };
}

/** Fields that are good by themselves and not together. */
const contradiction = (config: Config): { readonly field: string; readonly message: string } | null => {
  if (config.extAuthz.identity === 'xfcc' && config.extAuthz.proxyId === null) {
    return { field: 'extAuthz.proxyId', message: 'is required with `identity: xfcc`: whose header is believed' };
  }
  if (config.issuer !== null && config.svid === null) {
    return { field: 'svid', message: 'is required with `issuer`: its certificate serves HTTPS' };
  }
  if (config.issuer !== null && config.issuer.listen.kind !== 'tcp') {
    return { field: 'issuer.listen', message: 'must be `host:port`' };
  }
  if (config.admin.listen.kind !== 'tcp') return { field: 'admin.listen', message: 'must be `host:port`' };
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

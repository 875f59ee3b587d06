import type { Config } from '../../../core/config/config.ts';
import type { ObserveEntry } from '../../../core/policy/enforcement.ts';
import type { FleetReport } from '../../../core/fleet/fleet-report.ts';
import type { SocketFacts, TrustedCa } from '../envoy/envoy-facts.ts';

/** One sample of a metric: its labels as written, and its value. */
export interface Sample {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** What a running Remit says of itself at its admin address. */
export interface LiveRemit {
  /** The address, as written. */
  readonly admin: string;
  /** Unmet gates of readiness: what each is called, and what is missing. */
  readonly unmet: readonly (readonly [gate: string, problem: string])[];
  /** Samples by metric. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** How many kinds of differences the policies on trial have shown. */
  readonly trialGroups: number;
  /** `null` if it is not an authority. */
  readonly fleet: FleetReport | null;
}

/** A Unix socket of the configuration. */
export interface ListenedSocket {
  readonly path: string;
  readonly found: SocketFacts;
  /** `null` if a connection is accepted, else the code of the system: `ECONNREFUSED`. */
  readonly refusal: string | null;
  /** Whether everybody may write a folder above it, and so replace it by another socket. */
  readonly isFolderOpen: boolean;
  /** The group it should have; `null` for that of the process. */
  readonly groupId: number | null;
  /** Why the configured group is not known here; `null` if it is. */
  readonly groupProblem: string | null;
}

/** The policy folder on this machine. */
export interface PolicyFolder {
  readonly folder: string;
  /** `null` if it is not a policy set. */
  readonly hash: string | null;
  /** Why not: `file:line:column: message`, at most 20. */
  readonly problems: readonly string[];
  readonly permits: number;
  readonly forbids: number;
  /** Findings of `remit policy lint` that are not notes. */
  readonly lints: number;
  /** Policies that permit any agent, or high risk under any intent, with the rule of `remit policy lint`. */
  readonly openPermits: readonly { readonly policy: string; readonly rule: string }[];
  /** SPIFFE IDs of the agents that policies and entities name. */
  readonly agents: readonly string[];
  /** Audiences of all servers of the catalog. */
  readonly audiences: readonly string[];
  /** The servers of the catalog. */
  readonly servers: readonly { readonly id: string; readonly hosts: readonly string[] }[];
  /** The entries of `enforcement.yaml`. */
  readonly observed: readonly ObserveEntry[];
  /** Hosts of all servers of the catalog. */
  readonly hosts: readonly string[];
  /** Why others can write it, or a file in it; `null` if they cannot. */
  readonly writable: string | null;
  /** The paths of MCP and A2A calls, whose answers can be streams. */
  readonly streamed: readonly StreamedPath[];
  /** MCP servers whose calls later messages can continue, by id. */
  readonly asking: readonly string[];
}

/** The path of an MCP server or A2A agent of the catalog. */
export interface StreamedPath {
  /** Lower case, without port. */
  readonly hosts: readonly string[];
  readonly path: string;
}

/** The ledger folder on this machine. */
export interface LedgerFolder {
  readonly folder: string;
  readonly found: 'missing' | 'unreadable' | 'not-writable' | 'writable';
  /** Why its records are not what was signed; `null` if they are, or if it was too large to verify. */
  readonly broken: string | null;
  /** `false` if it was too large or could not be read to the end; `true` also if the folder is missing or unreadable. */
  readonly isVerified: boolean;
  /** The instant of the first record that no signed checkpoint covers, milliseconds since the Unix epoch, `NaN` without one; absent if all are covered. */
  readonly unsignedSinceMs?: number;
}

/** What answers at the address of the configured issuer. */
export interface IssuerEndpoint {
  readonly address: string;
  /** The host of `issuer.url`. */
  readonly name: string;
  /** Why the TLS handshake failed; `null` if it succeeded. */
  readonly failure: string | null;
  /** The names of its certificate if the name of the URL is not among them, else `null`. */
  readonly names: string | null;
  /** Its validity, milliseconds since the Unix epoch; `null` without a certificate. */
  readonly notBeforeMs: number | null;
  readonly notAfterMs: number | null;
}

/** A Remit as seen from this machine: its configuration, and what that names. */
export interface RemitHost {
  readonly config: Config;
  readonly sockets: readonly ListenedSocket[];
  /** The socket of the Workload API; `null` if the SVID is from files or over TCP. */
  readonly workloadApi: {
    readonly path: string;
    readonly found: SocketFacts;
    /** Other sockets of a Workload API that were found. */
    readonly others: readonly string[];
  } | null;
  /** The CAs in the bundle file of the SVID; `null` if it is from the Workload API. */
  readonly ownCas: readonly TrustedCa[] | null;
  /** `null` if the policies are from a bundle. */
  readonly policies: PolicyFolder | null;
  readonly ledger: LedgerFolder;
  /** The state file, or a folder above it, if every user can write it; otherwise `null`. */
  readonly writableState: string | null;
  /** The certificate file of the SVID, its end `null` if it has no certificate; `null` if the SVID is from the Workload API. */
  readonly svidFile: { readonly path: string; readonly notAfterMs: number | null } | null;
  /** `null` if the configuration has no issuer, or its port is not known. */
  readonly issuer: IssuerEndpoint | null;
  /** Bytes of memory that this container may use; `null` if there is no limit. */
  readonly memoryLimitBytes: number | null;
}

/** One Remit. A part that could not be read is `null`. */
export interface RemitFacts {
  readonly live: LiveRemit | null;
  readonly host: RemitHost | null;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** Version of the examining `remit`. */
  readonly version: string;
}

import type { EnvoyConfig } from './envoy-config.ts';

/** One endpoint as `/clusters` of the admin interface shows it. */
export interface HostStatus {
  /** `127.0.0.1:8081`, or `unix:PATH`. */
  readonly address: string;
  readonly isHealthy: boolean;
  /** Connections now open. */
  readonly active: number;
  /** Connections that failed. */
  readonly connectFailures: number;
  readonly requests: number;
}

/** Mode and owner of a file, as `stat` gives them. */
export interface Owned {
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What is at the path of a Unix socket on this machine. */
export type SocketFacts =
  | { readonly kind: 'missing' | 'unreadable' | 'no-socket' }
  | (Owned & {
      readonly kind: 'socket';
      /** The folders above it, the outermost first. */
      readonly folders: readonly (Owned & { readonly path: string })[];
    });

/** What this machine has at a path that a configuration names. */
export interface NamedFile {
  readonly kind: 'missing' | 'unreadable' | 'file' | 'folder';
  /** Why others can change it, as a clause; `null` if they cannot. */
  readonly writable: string | null;
  /** Why every user of this machine can read it, as a clause; `null` if not. */
  readonly exposed: string | null;
  /** Whether a private key is in it; `false` for a file of more than 1 MiB, which is not read. */
  readonly hasKey: boolean;
  /** The certificates in it; empty for a file of more than 1 MiB. */
  readonly cas: readonly TrustedCa[];
}

/** A certificate of a CA in a file. */
export interface TrustedCa {
  /** The SHA-256 of its public key, or of the text of a certificate that cannot be parsed. */
  readonly key: string;
  /** Its trust domain as `spiffe://…`; `null` if it names none. */
  readonly domain: string | null;
}

/** The user that Envoy runs as. */
export interface EnvoyUser {
  readonly uid: number;
  /** All its groups; `null` if they could not be read. */
  readonly gids: ReadonlySet<number> | null;
}

/** What a running Envoy says of itself, beside its configuration. */
export interface EnvoyLive {
  /** Such as `1.40.0`; `null` if it did not say. */
  readonly version: string | null;
  /** Counters and gauges by name. */
  readonly stats: ReadonlyMap<string, number>;
  /** The final values of runtime keys; empty if it did not say. */
  readonly runtime: ReadonlyMap<string, string>;
  /** Endpoints by cluster. */
  readonly hosts: ReadonlyMap<string, readonly HostStatus[]>;
  /** The user of its admin socket or port on this machine; `null` if this machine has neither. */
  readonly user: EnvoyUser | null;
  /** Its admin address, as an endpoint would be written. */
  readonly adminAddress: string;
}

/** One Envoy: a running process, or a bootstrap file. */
export interface EnvoyFacts {
  /** Prefix of each place: empty for a running Envoy, `FILE: ` for a file. */
  readonly prefix: string;
  readonly config: EnvoyConfig;
  /** `null` for a file. */
  readonly live: EnvoyLive | null;
  /** The sockets of endpoints, by path, if this machine was examined. */
  readonly sockets: ReadonlyMap<string, SocketFacts>;
  /** The bootstrap that was read, and the files of trust anchors, configuration, private keys and code, by path, if this machine was examined. */
  readonly files: ReadonlyMap<string, NamedFile>;
  /** The cluster of Remit, if the operator named it. */
  readonly remitCluster: string | null;
}

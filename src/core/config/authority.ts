import { isSpiffeIdPattern, NO_SPIFFE_ID_PATTERN } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { integer, optional, textOf } from '../runtime/fields.ts';
import { listed, section } from './fields.ts';
import { socketKeys } from './socket-access.ts';
import type { SocketKeys } from './socket-access.ts';
import type { StatePlace } from './state.ts';
import { address, identifier, pathIn, spiffeIdText } from './values.ts';
import type { Address } from './values.ts';

/** Sidecars of an authority, by a pattern of their SPIFFE ID. */
export interface SidecarRule {
  /** A SPIFFE ID, in whose path `*` matches any part of one segment. */
  readonly id: string;
  /** Audiences of the tokens whose tasks these sidecars may see. */
  readonly audiences: readonly string[];
}

/** The longest lease, in seconds. */
export const MAX_LEASE_SECONDS = 60;

/** The section `authority`. */
export interface AuthorityConfig extends SocketKeys {
  /** Addresses at which sidecars reach this process. Default none: it is not an authority. */
  readonly listen: readonly Address[];
  /** Who may be a sidecar of it, over TLS. Default none. */
  readonly sidecars: readonly SidecarRule[];
  /**
   * How long a sidecar may decide without an answer of an authority. Default 5 with a PostgreSQL, which several authorities serve; 15
   * with a state file, whose only authority is unavailable while it restarts. 1 to 60.
   */
  readonly leaseSeconds: number;
  /**
   * File of at least 32 random bytes, the same at all authorities on a PostgreSQL, that authenticates the rows of tasks and tokens. Default `null`:
   * they are not.
   */
  readonly stateKey: string | null;
  /**
   * For a sidecar: longest wait for an answer of an authority to a check, in milliseconds. Default 400, within the 500 of the
   * shipped Envoy files; 250 to 30,000.
   */
  readonly answerMs: number;
  /** For a sidecar: the SPIFFE ID of its authorities, over TLS. Default `null`. */
  readonly id: SpiffeId | null;
}

/** The parsed section `authority`; `null` is the default, which depends on the state. */
export interface AuthorityFields extends Omit<AuthorityConfig, 'leaseSeconds'> {
  readonly leaseSeconds: number | null;
}

/** By the kind of the state. A sidecar gives no leases. */
const LEASE_SECONDS: Readonly<Record<StatePlace['kind'], number>> = { sqlite: 15, postgres: 5, authority: 5 };

const sidecarPattern = textOf<string>('a SPIFFE ID such as `spiffe://acme.test/ns/*/sa/tools-*`', (value) =>
  isSpiffeIdPattern(value) ? value : { problem: NO_SPIFFE_ID_PATTERN },
);

/** Reads the section `authority`. */
export const authority = (folder: string) =>
  section<AuthorityFields>({
    listen: optional(listed(address), []),
    sidecars: optional(listed(section<SidecarRule>({ id: sidecarPattern, audiences: listed(identifier) })), []),
    leaseSeconds: optional(integer(1, MAX_LEASE_SECONDS), null),
    stateKey: optional(pathIn(folder), null),
    answerMs: optional(integer(250, 30_000), 400),
    id: optional(spiffeIdText, null),
    ...socketKeys('0600'),
  });

/** The section with the default of the lease filled in. */
export const authorityConfigOf = (fields: AuthorityFields, { kind }: StatePlace): AuthorityConfig =>
  Object.freeze({ ...fields, leaseSeconds: fields.leaseSeconds ?? LEASE_SECONDS[kind] });

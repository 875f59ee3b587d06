import type { SpiffeId } from '../identity/spiffe-id.ts';
import { isLoopback } from '../runtime/loopback-host.ts';
import { bool, integer, oneOf, optional } from '../runtime/fields.ts';
import { listed, section } from './fields.ts';
import { socketKeys } from './socket-access.ts';
import type { SocketKeys } from './socket-access.ts';
import { address, addressText, httpsUrl, spiffeIdText } from './values.ts';
import type { Address } from './values.ts';

/** The ext_authz server that Envoy asks. */
export interface ExtAuthzConfig extends SocketKeys {
  /**
   * Unix sockets and loopback addresses are in clear; any other address needs mutual TLS with our SVID and `callers`. Default
   * `unix:/run/remit/check.sock`.
   */
  readonly listen: readonly Address[];
  /** SPIFFE IDs of the Envoys that may ask over the network. Default none. */
  readonly callers: readonly SpiffeId[];
  /** The source of the caller's identity. Default `peer`. */
  readonly identity: 'peer' | 'xfcc';
  /** `xfcc` only: the SPIFFE IDs of the proxies that write the header. Its `By` must be in this list. */
  readonly proxyId: readonly SpiffeId[];
  /** `xfcc` only: peers that may forward another workload's identity. Default none. */
  readonly forwarders: readonly SpiffeId[];
  /**
   * The source of the peer's certificate: `source.certificate`, or `peer_certificate` of the metadata namespace `remit`, which the
   * configuration of agentgateway sends. Default `peer`.
   */
  readonly certificateFrom: 'peer' | 'metadata';
  /** What a token must be bound to. Default `certificate`. */
  readonly binding: 'certificate' | 'spiffe-id' | 'dpop';
  /** URL under which callers know this gateway, for DPoP proofs. Default: the audience of the called server. */
  readonly externalUrl: string | null;
  /**
   * Whether DPoP proofs must carry a nonce of this process: `required` if several processes serve one name, since each remembers only its
   * own proofs. Default `none`.
   */
  readonly proofNonces: 'none' | 'required';
  /**
   * Who remembers used DPoP proofs: each process its `own`, or the `authority` those of all its sidecars, so that a proof is
   * accepted once among them, at the cost of a call to it for each use with a proof. Default `own`.
   */
  readonly proofMemory: 'own' | 'authority';
  /** What to do about a token that another workload presents. Default `revoke-token`. */
  readonly onBindingViolation: 'revoke-token' | 'revoke-task' | 'ignore';
  /** URL of the page that explains the reasons (`deploy/guide/fix/reasons.md`, published by you). Each denial links to it. Default none. */
  readonly helpUrl: string | null;
  /**
   * What a denial says besides its reason: to callers that are `verified` the action, the argument and what was expected, the budget, the
   * most similar action; or `none` of it. Default `verified`.
   */
  readonly denialDetails: 'verified' | 'none';
  /**
   * Dynamic metadata of an allow: the `ids` of decision, task and trace, or `all`: decision, agent and action too, for access logs that print
   * them and for outcomes of decisions that another process made. Default `ids`.
   */
  readonly allowMetadata: 'ids' | 'all';
  /**
   * Most concurrent checks. One agent may have at most four times as many as are free. A further check is answered 503
   * `overloaded`. Default 256, 1 to 100,000.
   */
  readonly checksInFlight: number;
  /**
   * Checks of one agent per second, which is also the size of a burst. A further check is answered 503 `overloaded`, before any signature is
   * verified. With `binding: dpop`, a check with a valid proof counts for the agent of its token once the proof is verified; all others
   * count for the hop. Default 2,000, 1 to 1,000,000.
   */
  readonly maxChecksPerSecondPerAgent: number;
  /** Longest life of an accepted token. Default 900 s, 1 to 900. */
  readonly maxTokenSeconds: number;
  /** Tolerated clock skew. Default 5 s, 0 to 60. */
  readonly clockSkewSeconds: number;
  /**
   * Envoy's `max_request_bytes`. A body of at least this length without a `content-length`, or a longer body, may have been cut. Default
   * 65,536, 1 to 1,048,576.
   */
  readonly maxBodyBytes: number;
  /**
   * Whether a start takes the Unix sockets over from a process that serves them, once it is ready itself, so that a new version replaces
   * an old version without a lost call. Default no: then a start fails if a socket is served.
   */
  readonly socketTakeOver: boolean;
}

/** Whether other machines can reach an address, so that checks need TLS there. */
export const isOfNetwork = (at: Address): boolean => at.kind === 'tcp' && !isLoopback(at.host);

/**
 * Why `callers` and `svid` do not fit the addresses in `listen`: addresses of the network need both. `null` if they fit.
 */
export function networkContradiction({
  extAuthz: { listen, callers },
  svid,
}: {
  readonly extAuthz: Pick<ExtAuthzConfig, 'listen' | 'callers'>;
  readonly svid: unknown;
}): { readonly field: string; readonly message: string } | null {
  const exposed = listen.find(isOfNetwork);
  if (exposed === undefined) {
    const message =
      'needs an address in `extAuthz.listen` that is neither loopback nor a Unix socket: those are in clear and verify no caller';
    return callers.length === 0 ? null : { field: 'extAuthz.callers', message };
  }
  if (callers.length === 0) {
    const message = `is required with \`${addressText(exposed)}\`: the SPIFFE IDs of the Envoys that may ask over the network. Beside Envoy (same host or pod) listen on a Unix socket or loopback`;
    return { field: 'extAuthz.callers', message };
  }
  const message = `is required with \`extAuthz.listen: ${addressText(exposed)}\`: callers and Remit verify each other`;
  return svid === null ? { field: 'svid', message } : null;
}

/** Reads the section `extAuthz`. */
export const extAuthzSection = section<ExtAuthzConfig>({
  listen: optional(listed(address), [{ kind: 'unix', path: '/run/remit/check.sock' }]),
  callers: optional(listed(spiffeIdText), []),
  identity: optional(oneOf(['peer', 'xfcc']), 'peer'),
  proxyId: optional(listed(spiffeIdText), []),
  forwarders: optional(listed(spiffeIdText), []),
  certificateFrom: optional(oneOf(['peer', 'metadata']), 'peer'),
  binding: optional(oneOf(['certificate', 'spiffe-id', 'dpop']), 'certificate'),
  externalUrl: optional(httpsUrl, null),
  proofNonces: optional(oneOf(['none', 'required']), 'none'),
  proofMemory: optional(oneOf(['own', 'authority']), 'own'),
  onBindingViolation: optional(oneOf(['revoke-token', 'revoke-task', 'ignore']), 'revoke-token'),
  helpUrl: optional(httpsUrl, null),
  denialDetails: optional(oneOf(['verified', 'none']), 'verified'),
  allowMetadata: optional(oneOf(['ids', 'all']), 'ids'),
  checksInFlight: optional(integer(1, 100_000), 256),
  maxChecksPerSecondPerAgent: optional(integer(1, 1_000_000), 2_000),
  maxTokenSeconds: optional(integer(1, 900), 900),
  clockSkewSeconds: optional(integer(0, 60), 5),
  maxBodyBytes: optional(integer(1, 1_048_576), 65_536),
  ...socketKeys('0660'),
  socketTakeOver: optional(bool, false),
});

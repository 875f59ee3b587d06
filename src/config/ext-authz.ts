import type { SpiffeId } from '../identity/spiffe-id.ts';
import { isLoopback } from '../runtime/loopback-host.ts';
import { integer, listOf, made, optional, section, word } from './fields.ts';
import { address, addressText, httpsUrl, spiffeIdText } from './values.ts';
import type { Address } from './values.ts';

/** What Envoy asks. */
export interface ExtAuthzConfig {
  /** Unix sockets and loopback addresses alone: checks are in clear, and nobody proves who asks. Default `unix:/run/remit/check.sock`. */
  readonly listen: readonly Address[];
  /** Where the caller's identity comes from. Default `peer`. */
  readonly identity: 'peer' | 'xfcc';
  /** `xfcc` only: the SPIFFE ID of the proxy that writes the header, which its `By` must equal. */
  readonly proxyId: SpiffeId | null;
  /** `xfcc` only: peers that may forward another workload's identity. Default none. */
  readonly forwarders: readonly SpiffeId[];
  /** What a token must be bound to. Default `certificate`. */
  readonly binding: 'certificate' | 'spiffe-id' | 'dpop';
  /** What callers know this gateway as, for DPoP proofs; default the audience of the server that is called. */
  readonly externalUrl: string | null;
  /** What is done about a token in the hands of another workload. Default `revoke-token`. */
  readonly onBindingViolation: 'revoke-token' | 'revoke-task' | 'ignore';
  /** The page that explains the reasons, `deploy/guide/fix/reasons.md` where your people read it; each denial links into it. Default none. */
  readonly helpUrl: string | null;
  /** Checks decided at the same time; one more is answered 503 `overloaded`. Default 256, 1 to 100,000. */
  readonly checksInFlight: number;
  /**
   * Checks of one agent in a second, and as many at once after a quiet one; one more is answered 503 `overloaded`, before a
   * signature is looked at. With `binding: dpop` those with a valid proof are counted for the agent of their token, once that was
   * verified, and all others for the hop. Default 2,000, 1 to 1,000,000.
   */
  readonly maxChecksPerSecondPerAgent: number;
  /** Longest life of an accepted token. Default 900 s, 1 to 900. */
  readonly maxTokenSeconds: number;
  /** Tolerated difference of clocks. Default 5 s, 0 to 60. */
  readonly clockSkewSeconds: number;
  /** Envoy's `max_request_bytes`: a longer body, or one of this length without a `content-length`, may be cut. Default 65,536, 1 to 1,048,576. */
  readonly maxBodyBytes: number;
}

const localAddress = made<Address, Address>(address, (value) =>
  value.kind === 'unix' || isLoopback(value.host)
    ? value
    : {
        problem: `must be \`unix:/path\` or a loopback address, got \`${addressText(value)}\`: checks are in clear and without authentication, so run Remit beside each Envoy (same host or pod)`,
      },
);

/** Reads the section `extAuthz`. */
export const extAuthz = section<ExtAuthzConfig>({
  listen: optional(listOf(localAddress), [{ kind: 'unix', path: '/run/remit/check.sock' }]),
  identity: optional(word(['peer', 'xfcc']), 'peer'),
  proxyId: optional(spiffeIdText, null),
  forwarders: optional(listOf(spiffeIdText), []),
  binding: optional(word(['certificate', 'spiffe-id', 'dpop']), 'certificate'),
  externalUrl: optional(httpsUrl, null),
  onBindingViolation: optional(word(['revoke-token', 'revoke-task', 'ignore']), 'revoke-token'),
  helpUrl: optional(httpsUrl, null),
  checksInFlight: optional(integer(1, 100_000), 256),
  maxChecksPerSecondPerAgent: optional(integer(1, 1_000_000), 2_000),
  maxTokenSeconds: optional(integer(1, 900), 900),
  clockSkewSeconds: optional(integer(0, 60), 5),
  maxBodyBytes: optional(integer(1, 1_048_576), 65_536),
});

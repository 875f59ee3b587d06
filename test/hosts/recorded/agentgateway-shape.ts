import { address, lengthOf, pseudoHeaders, type Shape } from './shape.ts';
import { structOf } from '../../sidecar/envoy/structs.ts';

/** What the configuration or the call changes. */
export interface AgentgatewayShape {
  /** Whether `metadata` has the certificate; an expression that fails is left out. */
  readonly hasMetadata?: boolean;
  /** `includeRequestBody.packAsBytes`. */
  readonly isPacked?: boolean;
  /** Of the body, how much is sent; less than all with `allowPartialMessage`. */
  readonly sentBytes?: number;
}

/**
 * The CheckRequest of agentgateway over gRPC: never a certificate, no mark on a body but its `size` (-1 where it is partial), and metadata of the
 * configuration's own expressions. It forwards every header of the client, `x-envoy-auth-partial-body` and XFCC included.
 *
 * @see agentgateway/agentgateway `crates/agentgateway/src/http/ext_authz.rs` at 0d5b69df (`check`), and `src/cel/types.rs` at 02b676e4
 */
export const agentgatewayShape =
  ({ hasMetadata = true, isPacked = true, sentBytes = Infinity }: AgentgatewayShape = {}): Shape =>
  (call, peer) => {
    const whole = Buffer.from(call.body ?? '');
    const sent = whole.subarray(0, sentBytes);
    return {
      attributes: {
        source: { address: address(40_112), principal: peer.id },
        destination: { address: address(8443) },
        request: {
          time: { seconds: 1_795_707_064, nanos: 0 },
          http: {
            id: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
            method: call.method,
            headers: { ...pseudoHeaders(call), ...call.headers, ...lengthOf(call) },
            path: call.path,
            host: 'payments.acme.test',
            scheme: 'https',
            protocol: 'HTTP/2',
            size: sent.length < whole.length ? -1 : whole.length,
            ...(isPacked ? { raw_body: sent } : { body: sent.toString('utf8') }),
          },
        },
        ...(hasMetadata
          ? { metadata_context: { filter_metadata: { remit: structOf({ peer_certificate: peer.certPem }) } } }
          : {}),
        tls_session: { sni: 'payments.acme.test' },
      },
    };
  };

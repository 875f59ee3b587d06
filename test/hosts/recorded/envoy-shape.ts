import { X509Certificate } from 'node:crypto';
import { address, lengthOf, pseudoHeaders, type RecordedPeer, type Shape } from './shape.ts';

/** What of Envoy's ext_authz filter differs between hosts. */
export interface EnvoyShape {
  /** `x-forwarded-client-cert` as the listener writes it, of the client's own value. */
  readonly xfcc: (peer: RecordedPeer, own: string | undefined) => string | undefined;
  /** Whether the connection that the filter is on has the peer's certificate. */
  readonly hasPeer: boolean;
  /** `include_peer_certificate`. */
  readonly hasCertificate: boolean;
}

/** `Hash` of the certificate, hexadecimal. */
export const hashOf = ({ certPem }: RecordedPeer): string =>
  new X509Certificate(certPem).fingerprint256.replaceAll(':', '').toLowerCase();

/**
 * The CheckRequest of Envoy 1.40 for an HTTP/2 call with bodies as bytes and headers as a map, as hosts with Envoy send it.
 *
 * @see envoyproxy/envoy `source/extensions/filters/common/ext_authz/check_request_utils.cc`
 */
export const envoyShape =
  ({ xfcc, hasPeer, hasCertificate }: EnvoyShape): Shape =>
  (call, peer) => {
    const forwarded = xfcc(peer, call.headers['x-forwarded-client-cert']);
    const { 'x-forwarded-client-cert': _own, ...headers } = call.headers;
    return {
      attributes: {
        source: {
          address: address(38_614),
          ...(hasPeer ? { principal: peer.id } : {}),
          ...(hasCertificate ? { certificate: encodeURIComponent(peer.certPem) } : {}),
        },
        destination: { address: address(8443), ...(hasPeer ? { principal: peer.proxyId } : {}) },
        request: {
          time: { seconds: 1_795_707_064, nanos: 717_072_000 },
          http: {
            id: '1562297536536909416',
            method: call.method,
            headers: {
              ...pseudoHeaders(call),
              ...headers,
              ...lengthOf(call),
              ...(forwarded === undefined ? {} : { 'x-forwarded-client-cert': forwarded }),
              'x-forwarded-proto': 'https',
              'x-request-id': 'd60721cf-14e1-40ae-9898-a6b71d953507',
              ...(call.body === null ? {} : { 'x-envoy-auth-partial-body': 'false' }),
            },
            path: call.path,
            host: 'payments.acme.test',
            scheme: 'https',
            size: call.body === null ? 0 : Buffer.byteLength(call.body),
            protocol: 'HTTP/2',
            ...(call.body === null ? {} : { raw_body: Buffer.from(call.body) }),
          },
        },
        metadata_context: {},
        route_metadata_context: {},
      },
    };
  };

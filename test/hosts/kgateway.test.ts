import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, spirePart } from '../parts.ts';
import { HostDomain, PROXY } from './host-domain.ts';
import { envoyShape, hashOf } from './recorded/envoy-shape.ts';
import { itDecidesRecorded } from './recorded/recorded-host.ts';
import { shippedHost } from './shipped-host.ts';

/**
 * kgateway's check: Envoy's, with XFCC as `SanitizeSet` and `uri` write it.
 *
 * @see kgateway-dev/kgateway `api/v1alpha1/kgateway/ext_auth_types.go` at 94370cb1, and its documentation of `forwardClientCertDetails` (2.4)
 */
const shape = envoyShape({
  xfcc: (peer) => `By=${peer.proxyId};Hash=${hashOf(peer)};URI=${peer.id}`,
  hasPeer: true,
  hasCertificate: false,
});

describeWith(spirePart(), 'checks as kgateway makes them', (spire) => {
  let domain: HostDomain;
  beforeAll(async () => {
    domain = await HostDomain.start({
      spire,
      extAuthz: { identity: 'xfcc', proxyId: `spiffe://acme.test${PROXY}`, binding: 'certificate' },
    });
  });
  afterAll(() => domain?.stop());

  itDecidesRecorded(() => domain, shape);
});

it('the shipped objects name each other, refuse while Remit is away, and ask about every call', async () => {
  const all = new Map((await shippedHost('kgateway')).map((one) => [`${one.kind}/${one.metadata.name}`, one]));
  const { extAuth } = all.get('GatewayExtension/remit').spec;
  const { backendRef } = extAuth.grpcService;
  expect(all.has(`${backendRef.kind}/${backendRef.name}`)).toBe(true);
  expect(extAuth).toMatchObject({ failOpen: false, statusOnError: 503 });
  expect(Object.keys(extAuth)).not.toContain('percentageEnabled');
  expect(Object.keys(extAuth.grpcService)).not.toContain('retry');
  const { targetRefs, extAuth: policy } = all.get('TrafficPolicy/remit').spec;
  expect(policy).toEqual({ extensionRef: { name: 'remit' } });
  expect(all.has(`${targetRefs[0].kind}/${targetRefs[0].name}`)).toBe(true);
  expect(all.get('Gateway/agents').spec.tls.frontend.default.validation.mode).toBe('AllowValidOnly');
  expect(all.get('ListenerPolicy/agents').spec.default.httpSettings.forwardClientCertDetails).toEqual({
    mode: 'SanitizeSet',
    details: { uri: true },
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { describeWith, spirePart } from '../parts.ts';
import { HostDomain, PROXY } from './host-domain.ts';
import { envoyShape } from './recorded/envoy-shape.ts';
import { asked, callWith, itDecidesRecorded } from './recorded/recorded-host.ts';
import { shippedHost } from './shipped-host.ts';

/**
 * A waypoint's check: ztunnel ended the TLS, so there is no principal; the waypoint overwrites XFCC with what ztunnel said of both ends.
 *
 * @see istio/istio `pilot/pkg/xds/filters/filters.go` at eed52ebb66ad (`WaypointXFCCClientIdentityFilter`)
 */
const annotated = envoyShape({
  xfcc: ({ id, proxyId }) => `By=${proxyId};URI=${id}`,
  hasPeer: false,
  hasCertificate: false,
});
/** Without the annotation Envoy removes the header. */
const plain = envoyShape({ xfcc: () => undefined, hasPeer: false, hasCertificate: false });
/** What Envoy writes where ztunnel had no identity. */
const unknown = envoyShape({ xfcc: () => 'By=-;URI=-', hasPeer: false, hasCertificate: false });

describeWith(spirePart(), 'checks as an Istio waypoint makes them', (spire) => {
  let domain: HostDomain;
  const proxyId = `spiffe://acme.test${PROXY}`;
  const asks = async (shape: typeof plain, headers: Readonly<Record<string, string>> = {}) =>
    asked(domain, shape, { by: domain.planner, call: callWith(await domain.declare(['payments.read']), { headers }) });

  describe('with tokens bound to a SPIFFE ID', () => {
    beforeAll(async () => {
      domain = await HostDomain.start({ spire, extAuthz: { identity: 'xfcc', proxyId, binding: 'spiffe-id' } });
    });
    afterAll(() => domain?.stop());

    itDecidesRecorded(() => domain, annotated, { highRisk: [403, 'policy.forbidden'] });

    it('denies everything without the annotation', async () => {
      expect(await asks(plain)).toEqual([403, 'identity.missing']);
    });

    it('denies a caller that ztunnel did not know', async () => {
      expect(await asks(unknown)).toEqual([403, 'identity.invalid']);
    });
  });

  describe('with tokens bound to a certificate', () => {
    beforeAll(async () => {
      domain = await HostDomain.start({ spire, extAuthz: { identity: 'xfcc', proxyId, binding: 'certificate' } });
    });
    afterAll(() => domain?.stop());

    it('denies everything, since there is no `Hash`', async () => {
      expect(await asks(annotated)).toEqual([403, 'identity.missing']);
    });
  });
});

it('the shipped policy asks about every call, and the waypoint writes who calls', async () => {
  const [gateway, policy] = await shippedHost('istio-waypoint');
  expect(gateway.spec.infrastructure.annotations).toEqual({ 'ambient.istio.io/xfcc-include-client-identity': 'true' });
  expect(policy.spec).toMatchObject({ action: 'CUSTOM', rules: [{}], targetRefs: [{ name: gateway.metadata.name }] });
  const providers = (await shippedHost('istio')).flatMap(({ extensionProviders = [] }) => extensionProviders);
  expect(providers.map(({ name }) => name)).toContain(policy.spec.provider.name);
});

it('the shipped EnvoyFilter is of the waypoint by `targetRefs`, and removes trailers as in a sidecar (issue 37, point 2)', async () => {
  const [gateway, policy, filter] = await shippedHost('istio-waypoint');
  expect(filter.kind).toBe('EnvoyFilter');
  expect(filter.spec.targetRefs).toEqual(policy.spec.targetRefs);
  expect([filter.metadata.namespace, Object.keys(filter.spec)]).toEqual([
    gateway.metadata.namespace,
    ['targetRefs', 'configPatches'],
  ]);
  const sidecar = (await shippedHost('istio')).find(({ kind }) => kind === 'EnvoyFilter');
  expect(sidecar.spec.configPatches).toContainEqual(filter.spec.configPatches[0]);
});

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { payment } from '../e2e/domain.ts';
import { describeWith, spirePart } from '../parts.ts';
import { HostDomain } from './host-domain.ts';
import { agentgatewayShape } from './recorded/agentgateway-shape.ts';
import { asked, callWith, itDecidesRecorded } from './recorded/recorded-host.ts';
import { shippedHost } from './shipped-host.ts';

describeWith(spirePart(), 'checks as agentgateway makes them', (spire) => {
  let domain: HostDomain;
  beforeAll(async () => {
    domain = await HostDomain.start({
      spire,
      extAuthz: { identity: 'peer', certificateFrom: 'metadata', binding: 'certificate' },
    });
  });
  afterAll(() => domain?.stop());

  itDecidesRecorded(() => domain, agentgatewayShape());

  const asks = async (shape: ReturnType<typeof agentgatewayShape>, change: Parameters<typeof callWith>[1] = {}) =>
    asked(domain, shape, {
      by: domain.planner,
      call: callWith(await domain.declare(['payments.read', 'payments.create']), change),
    });

  it('denies a token bound to a certificate if the metadata has none', async () => {
    expect(await asks(agentgatewayShape({ hasMetadata: false }))).toEqual([403, 'identity.missing']);
  });

  it('denies a certificate in the metadata that is not that of the principal', async () => {
    const { planner, thief } = domain;
    const call = callWith(await domain.declare(['payments.read']));
    const by = { agent: thief.agent, certPem: planner.certPem };
    expect(await asked(domain, agentgatewayShape(), { by, call })).toEqual([403, 'identity.conflict']);
  });

  it('denies the beginning of a body, also with the mark of a whole body that the client wrote', async () => {
    const cut = agentgatewayShape({ sentBytes: 10 });
    expect(await asks(cut, payment(100))).toEqual([413, 'request.body-incomplete']);
    const marked = { ...payment(100), headers: { ...payment(100).headers, 'x-envoy-auth-partial-body': 'false' } };
    expect(await asks(cut, marked)).toEqual([413, 'request.body-incomplete']);
  });

  it('takes no arguments from a body that is sent as text', async () => {
    expect(await asks(agentgatewayShape({ isPacked: false }), payment(100))).toEqual([403, 'action.arguments']);
  });
});

it('the shipped configuration sends the certificate, refuses while Remit is away, and caches nothing', async () => {
  const [config] = await shippedHost('agentgateway');
  const extAuthz = config.binds[0].listeners[0].routes[0].policies.extAuthz;
  expect(Object.keys(extAuthz).sort()).toEqual(['failureMode', 'host', 'includeRequestBody', 'protocol']);
  expect(extAuthz).toMatchObject({
    failureMode: { denyWithStatus: 503 },
    includeRequestBody: { maxRequestBytes: 65_536, allowPartialMessage: false, packAsBytes: true },
    protocol: { grpc: { metadata: { remit: '{"peer_certificate": source.certificate}' } } },
  });
  expect(config.binds[0].listeners[0]).toMatchObject({ protocol: 'HTTPS', tls: { root: expect.any(String) } });
});

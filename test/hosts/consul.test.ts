import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, spirePart } from '../parts.ts';
import { HostDomain } from './host-domain.ts';
import { envoyShape, hashOf } from './recorded/envoy-shape.ts';
import { itDecidesRecorded } from './recorded/recorded-host.ts';

/**
 * A check of a sidecar of Consul: Envoy's with the peer's certificate, and XFCC appended to the client's own.
 *
 * @see hashicorp/consul `agent/envoyextensions/builtin/ext-authz/structs.go` at 10cef2d8 (`toEnvoyHttpFilter`)
 */
const shape = envoyShape({
  xfcc: (peer, own) => {
    const element = `By=${peer.proxyId};Hash=${hashOf(peer)};Cert="${encodeURIComponent(peer.certPem)}";Subject="";URI=${peer.id}`;
    return own === undefined ? element : `${own},${element}`;
  },
  hasPeer: true,
  hasCertificate: true,
});

describeWith(spirePart(), 'checks as a sidecar of Consul makes them', (spire) => {
  let domain: HostDomain;
  beforeAll(async () => {
    domain = await HostDomain.start({ spire, extAuthz: { identity: 'peer', binding: 'certificate' } });
  });
  afterAll(() => domain?.stop());

  itDecidesRecorded(() => domain, shape);
});

it('the shipped entry is required, without which Consul lets calls pass, has the certificate and the body, and lets answers last', async () => {
  const text = await readFile(resolve(import.meta.dirname, '../../deploy/hosts/consul/service-defaults.hcl'), 'utf8');
  const settings = new Map([...text.matchAll(/^\s*(\w+)\s*= ("[^"]*"|\w+)$/gm)].map(([, key, value]) => [key, value]));
  expect(Object.fromEntries(settings)).toMatchObject({
    Required: 'true',
    IncludePeerCertificate: 'true',
    StatusOnError: '503',
    MaxRequestBytes: '65536',
    AllowPartialMessage: 'false',
    PackAsBytes: 'true',
    LocalRequestTimeoutMs: '3600000',
  });
});

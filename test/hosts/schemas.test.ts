import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Kube, startKube } from '../kube/kube.ts';
import { both, describeWith, envoyGatewayPart, istiodPart, kubernetesPart } from '../parts.ts';

/** The files of `deploy/hosts/` with objects whose definitions are at hand. */
const files = [
  'envoy-gateway/gateway.yaml',
  'envoy-gateway/patch.yaml',
  'envoy-gateway/proxy.yaml',
  'envoy-gateway/remit.yaml',
  'envoy-gateway/remit-tcp.yaml',
  'envoy-gateway/security.yaml',
  'istio/envoyfilter.yaml',
  'istio/policy.yaml',
  'istio/remit.yaml',
  'istio-waypoint/waypoint.yaml',
];

const shipped = (file: string): string => resolve(import.meta.dirname, '../../deploy/hosts', file);

describeWith(
  both(kubernetesPart(), both(envoyGatewayPart(), istiodPart())),
  'a Kubernetes API server with the definitions of the hosts',
  ([binaries, [gateway, istio]]) => {
    let kube: Kube;
    beforeAll(async () => {
      kube = await startKube(binaries);
      for (const { crds } of [gateway, istio]) await kube.kubectl(['apply', '--server-side', '-f', crds]);
      await kube.kubectl(['wait', '--for=condition=established', '--timeout=90s', 'crd', '--all']);
      for (const name of ['demo', 'istio-system']) await kube.namespace(name);
    });
    afterAll(() => kube?.close());

    it.each(files)('admits %s', async (file) => {
      const { status, stderr } = await kube.tried(['apply', '--dry-run=server', '-f', shipped(file)]);
      expect([status, stderr]).toEqual([0, '']);
    });

    it.each([
      ['envoy-gateway/security.yaml', 'failOpen: false', 'failOpen: maybe'],
      ['envoy-gateway/gateway.yaml', 'mode: SanitizeSet', 'mode: Keep'],
      ['istio/policy.yaml', 'action: CUSTOM', 'action: CUSTOMS'],
    ])('refuses %s with %s as %s', async (file, good, bad) => {
      const input = (await readFile(shipped(file), 'utf8')).replace(good, bad);
      const { status, stderr } = await kube.tried(['apply', '--dry-run=server', '-f', '-'], { input });
      expect(status).toBe(1);
      expect(stderr).toMatch(/is invalid|Unsupported value|must be of type|expected/);
    });
  },
);

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, kubernetesPart } from '../parts.ts';
import { startKube } from './kube.ts';
import type { Kube } from './kube.ts';

describeWith(kubernetesPart(), 'the API server that tests start', (binaries) => {
  let kube: Kube;
  beforeAll(async () => {
    kube = await startKube(binaries);
  });
  afterAll(async () => kube?.close());

  it('keeps a Pod, and refuses a Pod that Pod Security does not admit', async () => {
    await kube.namespace('strict', { 'pod-security.kubernetes.io/enforce': 'restricted' });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'root', namespace: 'strict' },
      spec: { containers: [{ name: 'app', image: 'app' }] },
    };
    const refused = await kube.tried(['create', '-f', '-'], { input: [pod] });
    expect(refused.stderr).toContain('violates PodSecurity "restricted:latest"');
    expect(refused.status).toBe(1);
    await kube.namespace('open');
    await kube.apply({ ...pod, metadata: { name: 'root', namespace: 'open' } });
    expect(await kube.kubectl(['get', 'pods', '--all-namespaces', '-o', 'name'])).toBe('pod/root\n');
  });

  it('says which version of Kubernetes it is, as Helm asks', async () => {
    const version: unknown = JSON.parse(await kube.kubectl(['version', '-o', 'json']));
    expect(version).toMatchObject({
      serverVersion: { major: '1', minor: '37', gitVersion: expect.stringMatching(/^v1\.37\.\d+$/) },
    });
  });
});

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority, writeCredential } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import type { Cluster } from './cluster.ts';
import { NODE_ADDRESS } from './machine/layout.ts';

const PORT = 4443;
const NAMESPACE = 'kube-system';
const NAME = 'metrics';
const PROGRAM = join(import.meta.dirname, 'demo/metrics-api.mjs');

/** The metrics API of a cluster, with what a test says that pods take. */
export interface MetricsApi {
  /** @param cpu of each pod, as `300m` */
  say(cpu: string): void;
  close(): void;
}

/** Starts it on the node for these pods of a namespace, and has the API server ask there. */
export async function startMetricsApi(
  cluster: Cluster,
  { namespace, pods }: { readonly namespace: string; readonly pods: readonly string[] },
): Promise<MetricsApi> {
  const folder = join(cluster.layout.folder, NAME);
  mkdirSync(folder);
  const authority = await createAuthority('metrics.test', systemPorts);
  const host = `${NAME}.${NAMESPACE}.svc`;
  const server = await authority.certificate({ uris: [], dns: [host], ips: [], ttlSeconds: 86_400 });
  const { certificate, key } = await writeCredential(folder, 'server', server);
  const usage = join(folder, 'usage');
  writeFileSync(usage, '1m');
  const environment = {
    ADDRESS: NODE_ADDRESS,
    PORT: String(PORT),
    CERTIFICATE: certificate,
    KEY: key,
    NAMESPACE: namespace,
    PODS: pods.join(),
    USAGE: usage,
  };
  const command = ['setpriv', '--pdeathsig', 'KILL', process.execPath, PROGRAM];
  const [enter = '', ...words] = cluster.wordsFor(command, { environment });
  const child = spawn(enter, words, { stdio: 'ignore' });
  child.unref();
  await cluster.apply(
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: NAME, namespace: NAMESPACE },
      spec: { ports: [{ port: 443, targetPort: PORT }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: NAME, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': NAME } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [NODE_ADDRESS], conditions: { ready: true } }],
      ports: [{ port: PORT, protocol: 'TCP' }],
    },
    {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: 'v1beta1.metrics.k8s.io' },
      spec: {
        group: 'metrics.k8s.io',
        version: 'v1beta1',
        groupPriorityMinimum: 100,
        versionPriority: 100,
        insecureSkipTLSVerify: true,
        service: { name: NAME, namespace: NAMESPACE },
      },
    },
  );
  await cluster.kubectl('wait apiservice/v1beta1.metrics.k8s.io --for=condition=Available --timeout=600s');
  return { say: (cpu) => writeFileSync(usage, cpu), close: () => void child.kill() };
}

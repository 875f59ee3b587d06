import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { DevProcess } from '../../../src/dev/child.ts';
import { freePorts } from '../../free-port.ts';
import type { Kube } from '../../kube/kube.ts';
import type { ControlPlane } from '../../parts.ts';
import { until } from '../../until.ts';

const shipped = resolve(import.meta.dirname, '../../../deploy/inject/istio.yaml');

/** Istio's own sidecar, as far as the order of containers goes: a native one. */
const PROXY = `spec:
  initContainers:
  - name: istio-proxy
    image: proxy
    restartPolicy: Always
`;

/** It keeps to the injector: no certificates, no configuration of webhooks. */
const ENVIRONMENT = [
  'ENABLE_CA_SERVER=false',
  'PILOT_CERT_PROVIDER=none',
  'POD_NAMESPACE=istio-system',
  'VALIDATION_WEBHOOK_CONFIG_NAME=',
  'INJECTION_WEBHOOK_CONFIG_NAME=',
];

/**
 * A real istiod with the shipped template in the configuration of its injector. It is asked as the API server asks it, but over plain HTTP.
 *
 * Lifecycle: {@link startInjector}; `close` ends it.
 */
export interface IstioInjector {
  /** The pod after injection. */
  readonly injected: <T extends object>(pod: T) => Promise<T>;
  readonly close: () => Promise<void>;
}

/** Starts it on an API server and waits until it is ready. */
export async function startInjector({ binary, crds }: ControlPlane, kube: Kube): Promise<IstioInjector> {
  await kube.kubectl(['apply', '--server-side', '-f', crds]);
  await kube.namespace('istio-system');
  const { sidecarInjectorWebhook: shippedValues } = parse(readFileSync(shipped, 'utf8')) as {
    readonly sidecarInjectorWebhook: { readonly templates: object };
  };
  const config = {
    policy: 'enabled',
    defaultTemplates: ['sidecar'],
    templates: { sidecar: PROXY, ...shippedValues.templates },
  };
  await kube.apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-sidecar-injector', namespace: 'istio-system' },
    data: { config: stringify(config), values: JSON.stringify({ global: {}, sidecarInjectorWebhook: {} }) },
  });
  const [grpc = 0, http = 0, monitoring = 0] = await freePorts(3);
  const flags = {
    kubeconfig: kube.kubeconfig,
    httpAddr: `127.0.0.1:${http}`,
    grpcAddr: `127.0.0.1:${grpc}`,
    monitoringAddr: `127.0.0.1:${monitoring}`,
    // Without an address for webhooks they are served at that for HTTP.
    httpsAddr: '',
    secureGRPCAddr: '',
  };
  const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const running = new DevProcess('env', [...ENVIRONMENT, binary, 'discovery', ...words]);
  await until(
    async () => {
      if (running.ended) throw new Error(`istiod ended: ${running.stderr.slice(-20).join('\n')}`);
      return fetch(`http://127.0.0.1:${http}/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    },
    { what: 'an istiod that is ready' },
  );
  return {
    injected: async (pod) => {
      const review = {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        request: {
          uid: 'a',
          kind: { group: '', version: 'v1', kind: 'Pod' },
          resource: { group: '', version: 'v1', resource: 'pods' },
          namespace: 'plain',
          operation: 'CREATE',
          object: pod,
        },
      };
      const answer = await fetch(`http://127.0.0.1:${http}/inject`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(review),
      });
      const text = await answer.text();
      const { response } = JSON.parse(text) as { readonly response: { readonly patch?: string } };
      if (response.patch === undefined) throw new Error(`istiod does not inject: ${text}`);
      const patch = Buffer.from(response.patch, 'base64').toString();
      const local = ['patch', '--local', '--type', 'json', '-f', '-', '-p', patch, '-o', 'json'];
      return JSON.parse(await kube.kubectl(local, { input: [pod] })) as typeof pod;
    },
    close: () => running.end(),
  };
}

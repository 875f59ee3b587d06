import { injectedInto } from '../../src/tools/inject/inject.ts';
import { shippedFragments } from '../builders/shipped-fragments.ts';
import { IMAGE } from './release.ts';

/** A member of a list of a pod. */
interface Entry {
  readonly name: string;
  readonly [key: string]: unknown;
}

/** A pod, as far as these tests change one. */
export interface Pod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly initContainers: readonly Entry[];
    readonly containers: readonly Entry[];
    readonly volumes: readonly Entry[];
    readonly [key: string]: unknown;
  };
}

type Change = (spec: Pod['spec']) => Partial<Pod['spec']>;

/** A pod that somebody makes to get past Remit. */
export interface HostilePod {
  readonly what: string;
  readonly change: Change;
  /** What the message of the API server contains that refuses it. */
  readonly refused: string;
  /** What becomes of it at a kubelet if nothing refuses it: what its containers say, or what the kubelet says of them. */
  readonly atKubelet: RegExp;
  /** What its sidecar says there, as an expression. `null` if Remit itself has to run. Default that it is there. */
  readonly shows?: string | null;
}

const fragments = shippedFragments();

/** A small pod with the sidecar that `remit inject` gives it, changed. */
export function injectedPod(name: string, namespace: string, change: Change = () => ({})): Pod {
  const source = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { app: 'hostile' },
      annotations: {
        'remit.dev/cpu-request': '10m',
        'remit.dev/memory-request': '10Mi',
      },
    },
    spec: { terminationGracePeriodSeconds: 1, containers: [app(STAYS)] },
  };
  const result = injectedInto(JSON.stringify(source), fragments);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  const pod: Pod = JSON.parse(result.text);
  return { ...pod, spec: { ...pod.spec, ...change(pod.spec) } };
}

/** The same as it is run to see what a kubelet does: a program that says one thing is in the place of Remit, if that is enough. */
export function hostilePodToRun(name: string, namespace: string, { change, shows = '"there"' }: HostilePod): Pod {
  const pod = injectedPod(name, namespace, change);
  return shows === null ? pod : { ...pod, spec: { ...pod.spec, ...sidecar(runs(shows))(pod.spec) } };
}

/** A program that goes on. */
export const STAYS = 'setInterval(() => {}, 1000)';
/** A program that says one thing, and goes on. It begins with files that Remit has, for others to read. */
const says = (expression: string): string =>
  `const fs = require("fs"); for (const path of ["/var/lib/remit/ledger-key.pem", "/tmp/admin.sock"]) try { fs.writeFileSync(path, "") } catch {}
console.log("said: " + (${expression})); ${STAYS}`;

/** A container of the pod with the user of Remit, as Envoy has it. */
export const app = (program: string, more: object = {}): Entry => ({
  name: 'app',
  image: IMAGE,
  command: ['/usr/bin/node', '-e', program],
  securityContext: { runAsUser: 65_532, runAsGroup: 65_532, allowPrivilegeEscalation: false },
  ...more,
});

/** Another program in the other container. */
export const withApp =
  (expression: string, more: object = {}): Change =>
  () => ({ containers: [app(says(expression), more)] });

/** The native sidecar with other fields. */
export const sidecar =
  (more: object | ((own: Entry) => object)): Change =>
  ({ initContainers }) => ({
    initContainers: initContainers.map((one) =>
      one.name === 'remit' ? { ...one, ...(typeof more === 'function' ? more(one) : more) } : one,
    ),
  });

const runs = (expression: string) => ({
  command: ['/usr/bin/node', '-e', says(expression)],
  startupProbe: undefined,
  readinessProbe: undefined,
  livenessProbe: undefined,
});

/** A volume with other contents. */
export const volume =
  (name: string, more: object): Change =>
  ({ volumes }) => ({ volumes: volumes.map((one) => (one.name === name ? { name, ...more } : one)) });

/** A further mount of the sidecar. */
export const further =
  (mountPath: string): Change =>
  (spec) => ({
    ...sidecar(({ volumeMounts }) => ({
      volumeMounts: [...listOf(volumeMounts), { name: 'evil', mountPath }],
    }))(spec),
    volumes: [...spec.volumes, { name: 'evil', configMap: { name: 'evil' } }],
  });

/** Another mount of the volume with its configuration. */
export const configurationMount = (more: object): Change =>
  sidecar(({ volumeMounts }) => ({
    volumeMounts: listOf(volumeMounts).map((one) => (one.name === 'remit-config' ? Object.assign({}, one, more) : one)),
  }));

/** The sidecar with another user. */
export const user = (runAsUser: number): Change =>
  sidecar(({ securityContext }) => ({ securityContext: Object.assign({}, securityContext, { runAsUser }) }));

/** A list of a container or pod. */
export const listOf = (value: unknown): readonly Entry[] => value as readonly Entry[];

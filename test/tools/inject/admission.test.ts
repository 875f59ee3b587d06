import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { injectedInto } from '../../../src/tools/inject/inject.ts';
import { scratch } from '../../builders/scratch.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';
import { startKube } from '../../kube/kube.ts';
import type { Kube, Ran } from '../../kube/kube.ts';
import { both, describeWith, istiodPart, kubernetesPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { startInjector } from './istio-injector.ts';
import type { IstioInjector } from './istio-injector.ts';

const folder = resolve(import.meta.dirname, '../../../deploy/inject');
const file = (name: string): string => readFileSync(join(folder, name), 'utf8');
const fragments = shippedFragments();
const fragment = fragments.sidecar;

interface Entry {
  readonly name: string;
  readonly [key: string]: unknown;
}

interface Pod {
  readonly apiVersion: 'v1';
  readonly kind: 'Pod';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly containers: readonly Entry[];
    readonly initContainers?: readonly Entry[];
    readonly volumes?: readonly Entry[];
    readonly [key: string]: unknown;
  };
}

const RBAC = 'rbac.authorization.k8s.io/v1';

/** What Pod Security `restricted` admits. */
const SAFE = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};
const app: Entry = { name: 'app', image: 'app:1', securityContext: SAFE };

const pod = (
  namespace: string,
  {
    spec = {},
    labels = {},
    annotations = {},
  }: {
    readonly spec?: Partial<Pod['spec']>;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  } = {},
): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace, labels, annotations },
  spec: { containers: [app], ...spec },
});

const own: Entry = { ...app, name: 'remit', restartPolicy: 'Always' };

const remitOf = ({ spec }: Pod): Entry | undefined => spec.initContainers?.find(({ name }) => name === 'remit');
const namesOf = (entries: readonly Entry[] = []): readonly string[] => entries.map(({ name }) => name);
const ourVolumes = ({ spec }: Pod): readonly Entry[] =>
  (spec.volumes ?? []).filter(({ name }) => name.startsWith('remit-')).toSorted((a, b) => (a.name < b.name ? -1 : 1));

const configMap = (namespace: string, metadata: object) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, ...metadata },
});

/** A pod with our sidecar, changed. */
const changed = (change: (container: Entry, spec: Pod['spec']) => Partial<Pod['spec']>): Pod => {
  const made = byCommand(pod('injected'));

  const container = remitOf(made);
  if (container === undefined) throw new Error('not injected');
  return { ...made, spec: { ...made.spec, ...change(container, made.spec) } };
};

const container = (more: object) => (own: Entry) => ({ initContainers: [{ ...own, ...more }] });

describeWith(both(kubernetesPart(), istiodPart()), 'injection at a real API server', ([binaries, istio]) => {
  const temporary = scratch();
  let kube: Kube;
  let injector: IstioInjector;
  beforeAll(async () => {
    kube = await startKube(binaries);
    await kube.kubectl(['apply', '-f', join(folder, 'admission-policy.yaml'), '-f', join(folder, 'guard.yaml')]);
    const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await kube.namespace('plain');
    await kube.namespace('injected', { 'remit.dev/injection': 'enabled', ...restricted });
    await kube.namespace('required', { 'remit.dev/injection': 'required' });
    await kube.namespace('never', { 'remit.dev/injection': 'disabled' });
    await untilInjected(true);
    await until(
      async () => (await tried(pod('injected', { spec: { shareProcessNamespace: true } }), dry)).status === 1,
      {
        what: 'the guard',
      },
    );
  });
  afterAll(async () => {
    await injector?.close();
    await kube?.close();
    temporary.remove();
  });

  const tried = (object: object, ...more: readonly string[]): Promise<Ran> =>
    kube.tried(['create', '-o', 'json', '-f', '-', ...more], { input: [object] });
  const admitted = async (object: object, ...more: readonly string[]): Promise<Pod> => {
    const { status, stdout, stderr } = await tried(object, ...more);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(stdout) as Pod;
  };
  const dry = '--dry-run=server';
  /** A policy comes into force, and out of it, a moment after it was written. */
  const untilInjected = (isWanted: boolean): Promise<boolean> =>
    until(
      async () => {
        const { stdout } = await tried(pod('plain', { labels: { 'remit.dev/inject': 'enabled' } }), dry);
        return stdout.includes('"remit-run"') === isWanted;
      },
      { what: `a policy that is ${isWanted ? '' : 'not '}in force` },
    );

  /** A pod as a real istiod with the shipped template makes it, beside its own sidecar. */
  const byIstio = async (source: Pod): Promise<Pod> => {
    injector ??= await startInjector(istio, kube);
    const annotations = { ...source.metadata.annotations, 'inject.istio.io/templates': 'sidecar,remit' };
    return injector.injected({ ...source, metadata: { ...source.metadata, annotations } });
  };

  describe('the policy', () => {
    it.each<[string, Partial<Pod['spec']>]>([
      ['no init containers and no volumes', {}],
      ['an empty list of each', { initContainers: [], volumes: [] }],
      [
        'others of each',
        {
          initContainers: [{ ...app, name: 'first' }],
          volumes: [{ name: 'data', emptyDir: {} }],
        },
      ],
    ])('injects into a pod with %s, first and once, in a restricted namespace', async (_row, spec) => {
      const first = await admitted(pod('injected', { spec }), dry);
      expect(namesOf(first.spec.initContainers)).toEqual(['remit', ...namesOf(spec.initContainers)]);
      const volumes = [...fragment.volumes.map(({ name }) => name), ...namesOf(spec.volumes)];
      expect(new Set(namesOf(first.spec.volumes))).toEqual(new Set(volumes));
      expect(first.spec.volumes).toHaveLength(volumes.length);
      expect(first.spec.containers).toHaveLength(1);
      const again = await admitted({ ...pod('injected'), spec: first.spec }, dry);
      expect(again.spec).toEqual(first.spec);
    });

    it.each([
      ['refuses, in a namespace that asks', 'injected', 'disabled', false],
      ['refuses, in a namespace that requires it', 'required', 'disabled', true],
      ['asks, in a namespace that does not', 'plain', 'enabled', true],
      ['asks, in a namespace that refuses', 'never', 'enabled', false],
      ['says nothing, in a namespace that does not ask', 'plain', '', false],
    ])('obeys a pod that %s', async (_row, namespace, label, isInjected) => {
      const labels = label === '' ? {} : { 'remit.dev/inject': label };
      const { spec } = await admitted(pod(namespace, { labels }), dry);
      expect(namesOf(spec.initContainers)).toEqual(isInjected ? ['remit'] : []);
    });

    // Issue 39, point 2: before them its calls found no Envoy behind the redirection, and its last records no way out.
    const native = (name: string): Entry => ({ ...app, name, restartPolicy: 'Always' });
    it.each<[string, readonly Entry[], readonly string[]]>([
      ['after the native sidecar of Istio', [native('istio-proxy')], ['istio-proxy', 'remit']],
      [
        'after all of Istio, before the rest',
        [{ ...app, name: 'istio-init' }, native('istio-proxy'), { ...app, name: 'migrate' }],
        ['istio-init', 'istio-proxy', 'remit', 'migrate'],
      ],
      [
        'after the validation of the plug-in, also if it was first',
        [native('remit'), { ...app, name: 'istio-validation' }, native('istio-proxy')],
        ['istio-validation', 'istio-proxy', 'remit'],
      ],
      [
        'first, if the sidecar of Istio is no native sidecar',
        [{ ...app, name: 'istio-init' }],
        ['remit', 'istio-init'],
      ],
    ])('puts the container %s', async (_row, initContainers, expected) => {
      const made = await admitted(pod('injected', { spec: { initContainers } }), dry);
      expect(namesOf(made.spec.initContainers)).toEqual(expected);
    });

    const PORTS = 'traffic.sidecar.istio.io/excludeInboundPorts';
    it.each([
      ['none', {}, '9471'],
      ['an empty list', { [PORTS]: '' }, '9471'],
      ['a list without it', { [PORTS]: '8080', other: 'kept' }, '8080,9471'],
      ['a list with it', { [PORTS]: '8080, 9471' }, '8080, 9471'],
    ])('adds its port to those that Istio leaves alone: %s', async (_row, annotations, expected) => {
      const { metadata } = await admitted(pod('injected', { annotations }), dry);
      expect(metadata.annotations).toEqual({ ...annotations, [PORTS]: expected });
    });

    it('leaves no container or volume of a pod in the place of its own', async () => {
      const evil = { name: 'remit', image: 'evil', command: ['sh'], restartPolicy: 'Always', securityContext: SAFE };
      const spec = {
        initContainers: [{ ...app, name: 'first' }, evil],
        volumes: [{ name: 'remit-config', configMap: { name: 'evil' } }],
      };
      const made = await admitted(pod('injected', { spec }), dry);
      expect(made.spec).toEqual(
        (await admitted(pod('injected', { spec: { initContainers: [spec.initContainers[0] ?? app] } }), dry)).spec,
      );
    });

    it.each([
      ['a container `remit`', { containers: [app, { ...app, name: 'remit' }] }, 'Duplicate value: "remit"'],
      ['two init containers `remit`', { initContainers: [own, own] }, 'Duplicate value: "remit"'],
      [
        'two volumes of a name',
        { volumes: [1, 2].map(() => ({ name: 'remit-run', emptyDir: {} })) },
        'Duplicate value: "remit-run"',
      ],
      [
        'a socket that its containers can replace',
        { containers: [{ ...app, volumeMounts: [{ name: 'remit-run', mountPath: '/run/remit' }] }] },
        'other containers than `remit` may mount two of its volumes',
      ],
      [
        'another container on the ledger',
        { containers: [{ ...app, volumeMounts: [{ name: 'remit-state', mountPath: '/s', readOnly: true }] }] },
        'other containers than `remit` may mount two of its volumes',
      ],
      [
        'a part of the folder of the admin socket',
        {
          containers: [
            { ...app, volumeMounts: [{ name: 'remit-envoy', mountPath: '/run/remit-envoy', subPath: 'admin.sock' }] },
          ],
        },
        'other containers than `remit` may mount two of its volumes',
      ],
      [
        'an init container on the socket',
        { initContainers: [{ ...app, name: 'i', volumeMounts: [{ name: 'remit-run', mountPath: '/r' }] }] },
        'other containers than `remit` may mount two of its volumes',
      ],
      ['shared processes', { shareProcessNamespace: true }, 'must not have `shareProcessNamespace` or `hostPID`'],
    ])('refuses a pod with %s', async (_row, spec, message) => {
      for (const namespace of ['injected', 'required']) {
        const { status, stderr } = await tried(pod(namespace, { spec }), dry);
        expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(message) });
      }
    });

    it('refuses a ConfigMap with policies that anybody may write', async () => {
      const { stderr } = await tried(pod('required', { annotations: { 'remit.dev/policy': 'mine' } }), dry);
      expect(stderr).toContain('the ConfigMap of `remit.dev/policy` be named `remit-…`');
    });

    // Issue 39, point 6: calls reached the tool past Istio's sidecar, in clear, with the guard in force.
    const mesh = {
      ports: 'calls of these ports would go past',
      sidecar: 'without the sidecar of Istio',
      all: 'must intercept all calls',
      unknown: 'these settings of Istio may take calls past its sidecar',
    };
    it.each([
      ['traffic.sidecar.istio.io/excludeInboundPorts', '8080', mesh.ports],
      ['traffic.sidecar.istio.io/excludeInboundPorts', '9471,8080', mesh.ports],
      ['traffic.sidecar.istio.io/excludeInboundPorts', '*', mesh.ports],
      // `istio-init` excludes the port that a pod names as that of Istio's own status.
      ['status.sidecar.istio.io/port', '8080', mesh.unknown],
      ['traffic.sidecar.istio.io/includeInboundPorts', '', mesh.ports],
      ['traffic.sidecar.istio.io/includeInboundPorts', '80', mesh.ports],
      ['sidecar.istio.io/inject', 'false', mesh.sidecar],
      ['sidecar.istio.io/inject', 'n', mesh.sidecar],
      ['inject.istio.io/templates', 'remit', mesh.sidecar],
      ['sidecar.istio.io/interceptionMode', 'NONE', mesh.all],
      ['proxy.istio.io/config', '{"interceptionMode":"NONE"}', mesh.all],
      ['proxy.istio.io/config', 'holdApplicationUntilProxyStarts: true\n"int\\u0065rceptionMode": NONE\n', mesh.all],
      ['proxy.istio.io/config', 'discoveryAddress: evil:15012', mesh.all],
      ['traffic.sidecar.istio.io/excludeInterfaces', 'eth1', mesh.unknown],
      ['sidecar.istio.io/bootstrapOverride', 'evil', mesh.unknown],
      ['sidecar.istio.io/proxyImage', 'evil', mesh.unknown],
      ['sidecar.istio.io/userVolume', '[{"name":"evil","configMap":{"name":"evil"}}]', mesh.unknown],
      ['sidecar.istio.io/userVolumeMount', '[{"name":"evil","mountPath":"/var/lib/istio/envoy"}]', mesh.unknown],
      ['proxy.istio.io/overrides', '{"initContainers":[{"name":"istio-proxy","image":"evil"}]}', mesh.unknown],
      ['sidecar.istio.io/discoveryAddress', 'evil:15012', mesh.unknown],
      ['ambient.istio.io/bypass-inbound-capture', 'true', mesh.unknown],
      ['istio.io/reroute-virtual-interfaces', 'eth0', mesh.unknown],
      [
        'made-up.istio.io/tomorrow',
        'x',
        `${mesh.unknown}: remove them, or let this namespace not require Remit: made-up`,
      ],
    ])(
      'refuses what takes calls past the sidecar of Istio, if Remit is required: %s: %s',
      async (name, value, problem) => {
        const made = { spec: {}, annotations: { [name]: value } };
        expect((await tried(pod('required', made), dry)).stderr).toContain(problem);
        await admitted(pod('plain', made), dry);
      },
    );

    it('refuses the label too that keeps the sidecar of Istio away', async () => {
      const labels = { 'sidecar.istio.io/inject': 'false' };
      expect((await tried(pod('required', { labels }), dry)).stderr).toContain(mesh.sidecar);
    });

    it('takes what a pod of a mesh has in good faith', async () => {
      const made = await admitted(
        pod('required', {
          labels: {
            'sidecar.istio.io/inject': 'true',
            'service.istio.io/canonical-name': 'web',
            'security.istio.io/tlsMode': 'istio',
          },
          annotations: {
            // With istio-cni Istio writes its own port of status there.
            'traffic.sidecar.istio.io/excludeInboundPorts': '9471,15020',
            'traffic.sidecar.istio.io/includeInboundPorts': '*',
            'traffic.sidecar.istio.io/excludeOutboundPorts': '9472,9474',
            'sidecar.istio.io/interceptionMode': 'TPROXY',
            'sidecar.istio.io/proxyCPU': '100m',
            'inject.istio.io/templates': 'sidecar,remit',
            'proxy.istio.io/config': '{ "holdApplicationUntilProxyStarts": true, "terminationDrainDuration": "5s" }',
          },
        }),
        dry,
      );
      expect(namesOf(made.spec.initContainers)).toEqual(['remit']);
    });

    it('lets only those write a ConfigMap of Remit who may configure sidecars, if it is required', async () => {
      const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['create', 'get', 'patch', 'update'] }];
      const configure = { apiGroups: ['remit.dev'], resources: ['sidecars'], verbs: ['configure'] };
      for (const [user, more] of [['developer', []] as const, ['operator', [configure]] as const]) {
        const [kind, name] = ['ClusterRole', user];
        await kube.apply({ apiVersion: RBAC, kind, metadata: { name }, rules: [...rules, ...more] });
        await kube.apply({
          apiVersion: RBAC,
          kind: 'ClusterRoleBinding',
          metadata: { name },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
          subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }],
        });
      }
      const denied = { status: 1, stderr: expect.stringContaining('takes the right to `configure` the `sidecars`') };
      const allowed = { status: 0, stderr: '' };
      for (const [as, object, wanted] of [
        ['developer', configMap('required', { name: 'remit-sidecar' }), denied],
        ['developer', configMap('required', { generateName: 'remit-policies' }), denied],
        ['developer', configMap('required', { name: 'app' }), allowed],
        ['developer', configMap('injected', { name: 'remit-sidecar' }), allowed],
        ['operator', configMap('required', { name: 'remit-sidecar' }), allowed],
      ] as const) {
        const { status, stderr } = await tried(object, `--as=${as}`);
        expect({ as, object, status, stderr }).toEqual({ as, object, ...wanted });
      }
      const patch = ['patch', 'configmap', 'remit-sidecar', '-n', 'required', '-p', '{"data":{"remit.yaml":"x"}}'];
      const { status, stderr } = await kube.tried([...patch, '--as=developer']);
      expect({ status, stderr }).toEqual(denied);
    });

    it('lets Envoy mount the socket read-only, and make its admin socket at the path that `remit doctor` asks', async () => {
      const volumeMounts = [
        { name: 'remit-run', mountPath: '/run/remit', readOnly: true },
        { name: 'remit-envoy', mountPath: '/run/remit-envoy' },
      ];
      const { spec } = await admitted(pod('injected', { spec: { containers: [{ ...app, volumeMounts }] } }), dry);
      expect(namesOf(spec.initContainers)).toEqual(['remit']);
      const [remit] = spec.initContainers ?? [];
      expect(remit?.['volumeMounts']).toContainEqual({ ...volumeMounts[1], readOnly: true });
    });

    it('refuses to change the image of a running Remit, and takes other changes', async () => {
      await admitted({ ...pod('injected'), metadata: { name: 'running', namespace: 'injected' } });
      const image = await kube.tried(['set', 'image', 'pod/running', 'remit=evil', '-n', 'injected']);
      expect(image.stderr).toContain('the image of the container `remit` must not be changed');
      // Nor does a label take it out of the reach of the guard first (issue 38, point 5).
      for (const label of ['remit.dev/inject=disabled', 'remit.dev/inject=enabled']) {
        const { status, stderr } = await kube.tried(['label', 'pod', 'running', label, '-n', 'injected']);
        expect([status, stderr]).toEqual([
          1,
          expect.stringContaining('the label `remit.dev/inject` of a pod with Remit'),
        ]);
      }
      await kube.kubectl(['label', 'pod', 'running', 'app=web', '-n', 'injected']);
      expect(await kube.kubectl(['set', 'image', 'pod/running', 'app=app:2', '-n', 'injected'])).toContain(
        'image updated',
      );
    });

    it('refuses a debug container that could take the place of Remit', async () => {
      await admitted(pod('required'));
      const debug = ['debug', 'web', '-n', 'required', '--image=sh', '--attach=false'];
      const target = await kube.tried([...debug, '--target=remit']);
      expect(target.stderr).toContain('a debug container must not mount');
      expect((await kube.tried([...debug, '--target=app'])).status).toBe(0);
    });
  });

  describe('the guard without the policy', () => {
    beforeAll(async () => {
      await kube.kubectl(['delete', '-f', join(folder, 'admission-policy.yaml')]);
      await untilInjected(false);
    });

    it('refuses a pod without Remit', async () => {
      const { stderr } = await tried(pod('injected'), dry);
      expect(stderr).toContain('the native sidecar `remit` must be the one of the policy remit-inject');
    });

    it('takes what `remit inject` adds', async () => {
      expect(namesOf((await admitted(byCommand(pod('injected')), dry)).spec.initContainers)).toEqual(['remit']);
    });

    it('takes the tokens that Kubernetes and clouds mount', async () => {
      const paths = ['kubernetes.io/serviceaccount', 'eks.amazonaws.com/serviceaccount', 'azure/tokens'];
      const made = changed((own, { volumes = [] }) => ({
        initContainers: [
          {
            ...own,
            volumeMounts: [
              ...(own['volumeMounts'] as readonly Entry[]),
              ...paths.map((path) => ({ name: 'x', mountPath: `/var/run/secrets/${path}`, readOnly: true })),
            ],
          },
        ],
        volumes: [...volumes, { name: 'x', emptyDir: {} }],
      }));
      expect(namesOf((await admitted(made, dry)).spec.initContainers)).toEqual(['remit']);
    });

    const NOT_OURS = 'the native sidecar `remit` must be the one';
    it('refuses what a pod makes of the sidecar that Istio injects', async () => {
      const made = await byIstio(pod('required', { spec: { initContainers: [{ name: 'remit', image: 'evil' }] } }));
      expect(remitOf(made)).toMatchObject({ image: 'evil', args: ['serve'] });
      // Two policies refuse it, also for `proxy.istio.io/overrides`, which the injector writes; the API server names one of them.
      expect((await tried(made, dry)).stderr).toMatch(new RegExp(`${NOT_OURS}|these settings of Istio`));
    });

    it.each([
      ['another image', container({ image: 'evil' }), NOT_OURS],
      ['a command', container({ command: ['sh'] }), NOT_OURS],
      ['other arguments', container({ args: ['serve', '--accept-writable-files'] }), NOT_OURS],
      ['no arguments', container({ args: undefined }), NOT_OURS],
      ['a hook', container({ lifecycle: { postStart: { exec: { command: ['sh'] } } } }), NOT_OURS],
      ['a probe that runs a command', container({ livenessProbe: { exec: { command: ['sh'] } } }), NOT_OURS],
      [
        'a variable of Node.js',
        (own: Entry) => ({
          initContainers: [
            { ...own, env: [...(own['env'] as readonly Entry[]), { name: 'NODE_OPTIONS', value: '--import=data:' }] },
          ],
        }),
        NOT_OURS,
      ],
      [
        'its message of termination in the place of its configuration (issue 38, point 5)',
        container({ terminationMessagePath: '/etc/remit/remit.yaml' }),
        NOT_OURS,
      ],
      [
        'a device of a claim (issue 38, point 5)',
        (own: Entry) => ({
          ...container({ resources: { ...(own['resources'] as object), claims: [{ name: 'd' }] } })(own),
          resourceClaims: [{ name: 'd', resourceClaimName: 'd' }],
        }),
        NOT_OURS,
      ],
      ['variables of a ConfigMap', container({ envFrom: [{ configMapRef: { name: 'evil' } }] }), NOT_OURS],
      ['another user', container({ securityContext: { ...SAFE, runAsUser: 1 } }), NOT_OURS],
      [
        'another configuration',
        (_own: Entry, { volumes = [] }: Pod['spec']) => ({
          volumes: volumes.map((volume) =>
            volume.name === 'remit-config' ? { name: volume.name, configMap: { name: 'evil' } } : volume,
          ),
        }),
        'the volumes `remit-…` must be those',
      ],
      [
        'another key as the configuration',
        (_own: Entry, { volumes = [] }: Pod['spec']) => ({
          volumes: volumes.map((volume) =>
            volume.name === 'remit-config'
              ? {
                  name: volume.name,
                  configMap: { name: 'remit-sidecar', items: [{ key: 'evil', path: 'remit.yaml' }] },
                }
              : volume,
          ),
        }),
        'the volumes `remit-…` must be those',
      ],
      [
        'a volume over the program',
        (own: Entry, { volumes = [] }: Pod['spec']) => ({
          initContainers: [
            { ...own, volumeMounts: [...(own['volumeMounts'] as readonly Entry[]), { name: 'x', mountPath: '/app' }] },
          ],
          volumes: [...volumes, { name: 'x', emptyDir: {} }],
        }),
        NOT_OURS,
      ],
      ...[
        '/var/run/secrets/../../../etc/remit/remit.yaml',
        '/var/run/secrets/x/../../../../app',
        '/var/run/secrets/../secrets/x',
        '/var/run/secrets//x',
        '/var/run/secrets/./x',
        '/var/run/secrets/x/',
        '/var/run/secrets/x/..',
        '/var/run/secrets/.x',
      ].map((mountPath): [string, Parameters<typeof changed>[0], string] => [
        `a volume at \`${mountPath}\` (issue 37, point 9)`,
        (own, { volumes = [] }) => ({
          initContainers: [
            { ...own, volumeMounts: [...(own['volumeMounts'] as readonly Entry[]), { name: 'x', mountPath }] },
          ],
          volumes: [...volumes, { name: 'x', emptyDir: {} }],
        }),
        NOT_OURS,
      ]),
      ...(
        [
          ['a part of a volume', { subPath: 'evil' }],
          ['a part that a variable names', { subPathExpr: '$(REMIT_LEDGER_NAME)' }],
          ['a mount that others see', { mountPropagation: 'HostToContainer' }],
          ['a mount at another place', { mountPath: '/etc/remit/' }],
          ['a mount that can be written', { readOnly: false }],
        ] as const
      ).map(([what, more]): [string, Parameters<typeof changed>[0], string] => [
        `${what} as its configuration (issue 37, point 9)`,
        (own) => ({
          initContainers: [
            {
              ...own,
              volumeMounts: (own['volumeMounts'] as readonly Entry[]).map((mount) =>
                mount.name === 'remit-config' ? Object.assign({}, mount, more) : mount,
              ),
            },
          ],
        }),
        NOT_OURS,
      ]),
      [
        'a projected volume as its configuration (issue 37, point 9)',
        (_own: Entry, { volumes = [] }: Pod['spec']) => ({
          volumes: volumes.map((volume) =>
            volume.name === 'remit-config'
              ? { name: volume.name, projected: { sources: [{ configMap: { name: 'remit-sidecar' } }] } }
              : volume,
          ),
        }),
        'the volumes `remit-…` must be those',
      ],
      ...(['containers', 'initContainers'] as const).map((list): [string, Parameters<typeof changed>[0], string] => [
        `another of the ${list} in the place of its socket (issue 37, point 9)`,
        (own, spec) => {
          const mount = { name: 'remit-run', mountPath: '/r', readOnly: true, subPath: 'check.sock' };
          const other = { ...app, name: 'other', volumeMounts: [mount] };
          return list === 'containers'
            ? { containers: [...(spec.containers ?? []), other] }
            : { initContainers: [other, own] };
        },
        'each as a whole: `remit-run`, with `readOnly: true`',
      ]),
    ])('refuses a sidecar with %s', async (_row, change, message) => {
      const { status, stderr } = await tried(changed(change), dry);
      expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(message) });
    });
  });

  describe.each([
    ['without annotations', {}],
    [
      'with annotations',
      {
        'remit.dev/log-level': 'a"b: {{ c }}\n',
        'remit.dev/cpu-request': '250m',
        'remit.dev/policy': 'remit-p',
        'remit.dev/image-pull-secret': 'acme',
      },
    ],
  ])('the four ways to inject, %s', (_row, annotations) => {
    const isPlain = Object.keys(annotations).length === 0;
    const source = pod('plain', { annotations });
    const ways: Readonly<Record<string, () => Promise<Pod> | Pod>> = {
      'remit inject': () => byCommand(source),
      'the Istio template': () => byIstio(source),
      ...(isPlain
        ? { 'the Kustomize component': () => byKustomize(source, { kube, folder: temporary.folder() }) }
        : {}),
    };

    it.each(Object.entries(ways))('%s makes what the policy makes', async (way, make) => {
      await kube.kubectl(['apply', '-f', join(folder, 'admission-policy.yaml')]);
      await untilInjected(true);
      const wanted = await admitted(pod('plain', { annotations, labels: { 'remit.dev/inject': 'enabled' } }), dry);
      const made = await admitted(await make(), dry);
      expect(remitOf(made)).toEqual(remitOf(wanted));
      expect(remitOf(made)).toMatchObject({ name: 'remit', restartPolicy: 'Always', args: ['serve'] });
      expect(ourVolumes(made)).toEqual(ourVolumes(wanted));
      expect(ourVolumes(made)).toHaveLength(fragment.volumes.length);
      expect(made.spec['imagePullSecrets']).toEqual(wanted.spec['imagePullSecrets']);
      expect(wanted.spec['imagePullSecrets']).toEqual(isPlain ? undefined : [{ name: 'acme' }]);
      // Istio wants its own sidecar first.
      expect(namesOf(made.spec.initContainers)).toEqual(
        way === 'the Istio template' ? ['istio-proxy', 'remit'] : ['remit'],
      );
    });
  });
});

/** A pod as `remit inject` makes it. */
function byCommand(source: Pod): Pod {
  const result = injectedInto(JSON.stringify(source), fragments);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return JSON.parse(result.text) as Pod;
}

/** As the Kustomize component makes it. */
async function byKustomize(source: Pod, at: { readonly kube: Kube; readonly folder: string }): Promise<Pod> {
  const [base, component] = ['base', 'component'].map((name) => join(at.folder, name));
  for (const made of [base, component]) mkdirSync(made ?? '');
  writeFileSync(join(base ?? '', 'pod.yaml'), JSON.stringify(source));
  const kustomization = { resources: ['pod.yaml'], components: ['../component'] };
  writeFileSync(join(base ?? '', 'kustomization.yaml'), JSON.stringify(kustomization));
  writeFileSync(join(component ?? '', 'kustomization.yaml'), file('kustomize/kustomization.yaml'));
  return parse(await at.kube.kubectl(['kustomize', base ?? ''])) as Pod;
}

import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { injectedInto } from '../../../src/tools/inject/inject.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';
import { type Kube, startKube } from '../../kube/kube.ts';
import { describeWith, kubernetesPart } from '../../parts.ts';
import { until } from '../../until.ts';

const folder = resolve(import.meta.dirname, '../../../deploy/inject');

interface Entry {
  readonly name: string;
  readonly [key: string]: unknown;
}

interface Spec {
  readonly containers: readonly Entry[];
  readonly initContainers?: readonly Entry[];
  readonly volumes?: readonly Entry[];
  readonly [key: string]: unknown;
}

interface Pod {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Spec;
}

const ASKED = { 'remit.dev/agent': 'chat', 'remit.dev/agent-forward': 'tools=https://tools.acme.test' };
const CONTAINERS = [
  { name: 'chat', image: 'chat:1' },
  { name: 'shipper', image: 'logs:1' },
];
const pod = (spec: Partial<Spec> = {}, annotations: Readonly<Record<string, string>> = ASKED) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'chat', namespace: 'chat', annotations },
  spec: { containers: CONTAINERS, ...spec },
});

/** As `remit inject` makes it, for a namespace without sidecars. */
const byCommand = (): Pod & ReturnType<typeof pod> => {
  const source = { ...pod(), metadata: { ...pod().metadata, labels: { 'remit.dev/inject': 'disabled' } } };
  const result = injectedInto(JSON.stringify(source), shippedFragments());
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return JSON.parse(result.text) as ReturnType<typeof byCommand>;
};

/** The injected pod with some of its helper, or of the rest, changed. */
const changed = (change: (helper: Entry, spec: Spec) => Partial<Spec>): object => {
  const made = byCommand();
  const [helper] = made.spec.initContainers ?? [];
  if (helper === undefined) throw new Error('not injected');
  return { ...made, spec: { ...made.spec, ...change(helper, made.spec) } };
};
const helperWith =
  (more: object) =>
  (helper: Entry): Partial<Spec> => ({ initContainers: [{ ...helper, ...more }] });
const mount = { name: 'remit-agent', mountPath: '/run/remit-agent', readOnly: true };
const names = (entries: readonly Entry[] = []): readonly string[] => entries.map(({ name }) => name);
const mounting = (name: string, more: object): Partial<Spec> => ({
  containers: CONTAINERS.map((one) =>
    one.name === name ? Object.assign({}, one, { volumeMounts: [{ ...mount, ...more }] }) : one,
  ),
});

/** The container of the service with a user of its own. */
const userOfChat = (user: number): Entry => ({ name: 'chat', image: 'chat:1', securityContext: { runAsUser: user } });

// Issue 44, point 1.
describeWith(kubernetesPart(), 'the helper of a service at a real API server', (binaries) => {
  let kube: Kube;
  beforeAll(async () => {
    kube = await startKube(binaries);
    await kube.kubectl(['apply', '-f', join(folder, 'admission-policy.yaml'), '-f', join(folder, 'guard.yaml')]);
    await kube.namespace('chat');
    // Policies come into force a moment after they were written.
    await until(async () => (await tried(pod({ shareProcessNamespace: true }))).status === 1, { what: 'the guard' });
    await until(async () => (await tried(pod())).stdout.includes('"/run/remit-agent"'), { what: 'the policy' });
  });
  afterAll(async () => kube?.close());

  const tried = (object: object) =>
    kube.tried(['create', '-o', 'json', '-f', '-', '--dry-run=server'], { input: [object] });
  const admitted = async (object: object): Promise<Pod> => {
    const { status, stderr, stdout } = await tried(object);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(stdout) as Pod;
  };

  it('is made by the policy as by `remit inject`, once', async () => {
    const [byPolicy, injected] = [await admitted(pod()), await admitted(byCommand())];
    expect(names(byPolicy.spec.initContainers)).toEqual(['remit-agent']);
    expect(byPolicy.spec.initContainers).toEqual(injected.spec.initContainers);
    expect(byPolicy.spec.containers).toEqual(injected.spec.containers);
    expect(names(byPolicy.spec.volumes).toSorted()).toEqual(names(injected.spec.volumes).toSorted());
    expect((await admitted({ ...pod(), spec: byPolicy.spec })).spec).toEqual(byPolicy.spec);
  });

  it('is not made in a pod that does not ask', async () => {
    expect((await admitted(pod({}, {}))).spec.initContainers).toBeUndefined();
  });

  it.each<[string, object, string]>([
    ['its folder in another container', pod(mounting('shipper', {})), 'names alone may mount `remit-agent`'],
    ['its folder writable', pod(mounting('chat', { readOnly: false })), 'names alone may mount `remit-agent`'],
    ['a part of its folder', pod(mounting('chat', { subPath: 'tasks' })), 'names alone may mount `remit-agent`'],
    [
      'its folder in an init container',
      pod({ initContainers: [{ name: 'first', image: 'x', volumeMounts: [mount] }] }),
      'names alone may mount `remit-agent`',
    ],
    ['shared processes', pod({ shareProcessNamespace: true }), 'must not have `shareProcessNamespace`'],
    ['a service that is not there', pod({}, { ...ASKED, 'remit.dev/agent': 'nobody' }), 'must name a container'],
    ['no upstream', pod({}, { 'remit.dev/agent': 'chat' }), '`remit.dev/agent-forward` is required'],
    ['a user who cannot use its folder', pod({ securityContext: { runAsUser: 1_000 } }), 'must run as user 65532 or 0'],
    [
      'such a user of the container',
      pod({ securityContext: { runAsUser: 65_532 }, containers: [userOfChat(1_000)] }),
      'must run as user 65532 or 0',
    ],
    [
      'intents that anybody may write',
      pod({}, { ...ASKED, 'remit.dev/agent-intents': 'mine' }),
      'the ConfigMap of `remit.dev/agent-intents`',
    ],
  ])('is refused with %s', async (_row, object, message) => {
    const { status, stderr } = await tried(object);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(message) });
  });

  it('is taken if the service runs as root or as its user in a pod of another', async () => {
    for (const user of [0, 65_532]) {
      const spec = { securityContext: { runAsUser: 1_000 }, containers: [userOfChat(user)] };
      expect(names((await admitted(pod(spec))).spec.initContainers)).toEqual(['remit-agent']);
    }
  });

  it('cannot be looked into by a debug container', async () => {
    await kube.tried(['create', '-f', '-'], { input: [pod()] });
    const debug = ['debug', 'chat', '-n', 'chat', '--image=sh', '--attach=false'];
    for (const target of ['remit-agent', 'chat'])
      expect((await kube.tried([...debug, `--target=${target}`])).stderr).toContain('nor share the processes');
    expect((await kube.tried([...debug, '--target=shipper'])).status).toBe(0);
    // A pod of this name would refuse the next ones.
    await kube.kubectl(['delete', 'pod', 'chat', '-n', 'chat', '--force', '--grace-period=0']);
  });

  describe('without the policy', () => {
    beforeAll(async () => {
      await kube.kubectl(['delete', '-f', join(folder, 'admission-policy.yaml')]);
      await until(async () => (await tried(pod())).status === 1, { what: 'no policy in force' });
    });

    it('is taken as `remit inject` adds it', async () => {
      expect((await admitted(byCommand())).spec.initContainers).toHaveLength(1);
    });

    it.each<[string, Parameters<typeof changed>[0]]>([
      ['another image', helperWith({ image: 'evil' })],
      ['a command', helperWith({ command: ['sh'] })],
      ['other arguments', helperWith({ args: ['agent', '--own-intents'] })],
      ['another probe', helperWith({ startupProbe: { exec: { command: ['sh'] } } })],
      ['a further probe', helperWith({ livenessProbe: { exec: { command: ['sh'] } } })],
      ['a hook', helperWith({ lifecycle: { postStart: { exec: { command: ['sh'] } } } })],
      [
        'a variable of Node.js',
        (helper) =>
          helperWith({ env: [...(helper['env'] as readonly Entry[]), { name: 'NODE_OPTIONS', value: 'x' }] })(helper),
      ],
    ])('is refused with %s', async (_row, change) => {
      const { status, stderr } = await tried(changed(change));
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: expect.stringContaining('`remit-agent` must be the one'),
      });
    });
  });
});

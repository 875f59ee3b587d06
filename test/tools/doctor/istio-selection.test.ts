import { describe, expect, it } from '@jest/globals';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';
import { objectsFrom } from '../../../src/tools/doctor/hosts/host-object.ts';
import type { HostObject } from '../../../src/tools/doctor/hosts/host-object.ts';
import { guardOf, isRemitAlone, selectedBy } from '../../../src/tools/doctor/hosts/istio-selection.ts';
import { istioChecks } from '../../../src/tools/doctor/hosts/istio.ts';
import { workloadsIn } from '../../../src/tools/doctor/hosts/workloads.ts';

const objectsOf = (...values: readonly object[]): readonly HostObject[] =>
  values.flatMap((value) => objectsFrom('all.yaml', value, () => undefined));

interface Placed {
  readonly name?: string;
  readonly namespace?: string;
}

const policy = (spec: object = {}, { name = 'remit', namespace = 'demo' }: Placed = {}): object => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name, namespace },
  spec: { action: 'CUSTOM', provider: { name: 'remit' }, rules: [{}], ...spec },
});
const byLabels = (labels: object): object => ({ selector: { matchLabels: labels } });
const TO_WAYPOINT = { targetRefs: [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'waypoint' }] };

interface Pods extends Placed {
  readonly annotations?: object;
  readonly labels?: object;
  readonly containers?: readonly object[];
}

const TOOL = { name: 'tools', image: 'acme/tools:1', ports: [{ containerPort: 8080 }] };
const AGENT = { name: 'planner', image: 'acme/planner:1' };
const REMIT = { name: 'remit', image: 'ghcr.io/remit-dev/remit:0.1.0' };

const pods = ({
  annotations = {},
  containers = [TOOL],
  labels = {},
  name = 'tools',
  namespace = 'demo',
}: Pods): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
  spec: { template: { metadata: { labels: { app: name, ...labels }, annotations }, spec: { containers } } },
});
const service = (app: string, namespace = 'demo'): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: app, namespace },
  spec: { selector: { app }, ports: [{ port: 80 }] },
});
const mesh = {
  rootNamespace: 'mesh',
  extensionProviders: [{ name: 'remit', envoyExtAuthzGrpc: { service: 'remit.local', port: 9470 } }],
};

/** How policies guard the first workload among objects. */
function guardIn(policies: readonly object[], ...values: readonly object[]): string {
  const objects = objectsOf(...values, ...policies);
  const [workload] = workloadsIn(objects);
  const own = objects.filter(({ kind }) => kind === 'AuthorizationPolicy');
  return workload === undefined ? 'no workload' : guardOf(workload, own, objects);
}

describe('guardOf', () => {
  const agent = pods({ name: 'planner', containers: [AGENT] });
  it.each<[string, readonly object[], readonly object[], string]>([
    ['a tool that a policy selects', [policy(byLabels({ app: 'tools' }))], [pods({})], 'guarded'],
    [
      'a tool without a port that a policy selects',
      [policy(byLabels({ app: 'tools' }))],
      [pods({ containers: [AGENT] })],
      'guarded',
    ],
    ['a tool that a policy selects by other labels', [policy(byLabels({ app: 'tool' }))], [pods({})], 'none'],
    ['a tool of another namespace', [policy({}, { namespace: 'prod' })], [pods({})], 'none'],
    ['a tool, by the default root namespace', [policy({}, { namespace: 'istio-system' })], [pods({})], 'guarded'],
    ['a tool, by the root namespace of the mesh', [policy({}, { namespace: 'mesh' })], [pods({}), mesh], 'guarded'],
    [
      'a tool, by the namespace that is not the root here',
      [policy({}, { namespace: 'istio-system' })],
      [pods({}), mesh],
      'none',
    ],
    ['a tool in a namespace with a policy for all', [policy()], [pods({})], 'guarded'],
    ['a tool behind a waypoint', [policy(TO_WAYPOINT)], [pods({ containers: [AGENT] }), service('tools')], 'guarded'],
    ['an agent in a namespace with a policy for all', [policy()], [agent], 'unsure'],
    ['an agent in a namespace with an empty selector', [policy({ selector: {} })], [agent, service('tools')], 'unsure'],
    ['an agent with a Service in another namespace', [policy()], [agent, service('planner', 'prod')], 'unsure'],
    ['an agent in a namespace with a waypoint', [policy(TO_WAYPOINT)], [agent], 'unsure'],
    ['an agent to which a Service leads', [policy()], [agent, service('planner')], 'guarded'],
    ['an agent that a second policy selects', [policy(), policy(byLabels({ app: 'planner' }))], [agent], 'guarded'],
    [
      'an agent with a proxy that has a port',
      [policy()],
      [pods({ name: 'planner', containers: [AGENT, { ...TOOL, name: 'istio-proxy' }] })],
      'unsure',
    ],
    ['a tool with Remit in its pod, without a policy', [], [pods({ containers: [TOOL, REMIT] })], 'guarded'],
    ['Remit alone in a namespace with a policy for all', [policy()], [pods({ containers: [REMIT] })], 'none'],
  ])('of %s', (_what, policies, others, expected) => {
    expect(guardIn(policies, ...others)).toBe(expected);
  });
});

describe('isRemitAlone', () => {
  it.each<[string, readonly object[], boolean]>([
    ['Remit', [REMIT], true],
    ['Remit and a proxy', [REMIT, { name: 'istio-proxy' }], true],
    ['Remit and a tool', [REMIT, TOOL], false],
    ['Remit by its program', [{ ...REMIT, command: ['/usr/bin/remit', 'serve'] }], true],
    [
      'Remit by its file',
      [{ ...REMIT, command: ['node', '--no-maglev', '/usr/lib/remit/dist/main.js', 'serve'] }],
      true,
    ],
    [
      'Remit and a tool that runs in its image',
      [REMIT, { ...REMIT, name: 'tools', command: ['/usr/bin/node', '-e', '…'] }],
      false,
    ],
    [
      'a tool in the image of Remit whose file has the same name',
      [{ ...REMIT, command: ['node', '/app/dist/main.js'] }],
      false,
    ],
    ['a tool', [TOOL], false],
    ['no container', [], false],
  ])('of a pod with %s', (_what, containers, expected) => {
    const [workload] = workloadsIn(objectsOf(pods({ containers })));
    expect(workload !== undefined && isRemitAlone(workload)).toBe(expected);
  });
});

describe('selectedBy', () => {
  it('has the workloads of its namespace with its labels, and of all namespaces from the root', () => {
    const values = [pods({}), pods({ name: 'other' }), pods({ namespace: 'prod' })];
    const names = (one: object): readonly string[] => {
      const objects = objectsOf(...values, one);
      const [own] = objects.slice(-1);
      return own === undefined
        ? []
        : selectedBy(own, objects).map(({ object }) => `${object.namespace}/${object.name}`);
    };
    expect(names(policy(byLabels({ app: 'tools' })))).toEqual(['demo/tools']);
    expect(names(policy())).toEqual(['demo/tools', 'demo/other']);
    expect(names(policy(byLabels({ app: 'tools' }), { namespace: 'istio-system' }))).toEqual([
      'demo/tools',
      'prod/tools',
    ]);
  });
});

/** The levels of the findings of a code in files of Istio. */
const levelsOf = (code: string, ...values: readonly object[]): readonly string[] => {
  const facts = { ...NO_FACTS, objects: objectsOf(...values) };
  return istioChecks
    .flatMap(({ run }) => run(facts) ?? [])
    .flatMap((finding) => (finding.code === code ? [finding.level ?? 'error'] : []));
};

const peers = (
  mode: string | null,
  { namespace = 'demo', ...spec }: Placed & { readonly selector?: object } = {},
): object => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'PeerAuthentication',
  metadata: { name: 'default', namespace },
  spec: { ...spec, ...(mode === null ? {} : { mtls: { mode } }) },
});

const other = (placed: Placed, spec: object = {}): object =>
  policy({ provider: { name: 'sign-in' }, ...spec }, { name: 'sign-in', ...placed });
it.each<[string, object, number]>([
  ['in its namespace', other({}), 1],
  ['in the root namespace', other({ namespace: 'mesh' }), 1],
  ['in another namespace', other({ namespace: 'prod' }), 0],
  ['for other workloads', other({}, byLabels({ app: 'web' })), 0],
])('find a second provider %s', (_what, second, count) => {
  const providers = [
    ...mesh.extensionProviders,
    { name: 'sign-in', envoyExtAuthzHttp: { service: 'sign-in.local', port: 80 } },
  ];
  const own = policy(byLabels({ app: 'tools' }));
  expect(levelsOf('istio.two-providers', { ...mesh, extensionProviders: providers }, own, second)).toHaveLength(count);
});

describe('the checks of Istio', () => {
  const EXCLUDED = 'traffic.sidecar.istio.io/excludeInboundPorts';
  it.each<[string, Pods, readonly string[]]>([
    ['an annotation', { annotations: { [EXCLUDED]: '8080' } }, ['error']],
    ['a number as an annotation', { annotations: { [EXCLUDED]: 8080 } }, ['error']],
    ['a harmless annotation', { annotations: { [EXCLUDED]: '9471, 15020' } }, []],
    [
      'an annotation beside a harmless label of the same name',
      { annotations: { [EXCLUDED]: '8080' }, labels: { [EXCLUDED]: '9471' } },
      ['error'],
    ],
    ['a label', { labels: { 'sidecar.istio.io/inject': 'false' } }, ['error']],
    ['an annotation', { annotations: { 'sidecar.istio.io/inject': 'false' } }, ['error']],
    [
      'a label that wins over an annotation',
      { annotations: { 'sidecar.istio.io/inject': 'false' }, labels: { 'sidecar.istio.io/inject': 'true' } },
      [],
    ],
  ])('find what takes calls past the sidecar by %s', (_what, change, levels) => {
    expect(levelsOf('istio.past-sidecar', mesh, policy(), pods(change))).toEqual(levels);
  });

  it.each<[string, readonly object[], number]>([
    ['in its namespace', [peers('STRICT')], 0],
    ['in the root namespace', [peers('STRICT', { namespace: 'mesh' })], 0],
    ['for its workloads', [peers('STRICT', { ...byLabels({ app: 'tools' }) })], 0],
    ['in another namespace alone', [peers('STRICT', { namespace: 'prod' })], 1],
    ['for other workloads alone', [peers('STRICT', { ...byLabels({ app: 'web' }) })], 1],
    ['that leaves it to the mesh', [peers('UNSET')], 1],
    ['without a mode', [peers(null)], 1],
    ['that leaves it to a mesh that requires it', [peers('UNSET'), peers('STRICT', { namespace: 'mesh' })], 0],
    ['that accepts calls in clear', [peers('PERMISSIVE')], 1],
    ['that requires it, and another that does not', [peers('STRICT'), peers('DISABLE', byLabels({ app: 'tools' }))], 1],
    ['none', [], 1],
  ])('count a PeerAuthentication %s', (_what, others, count) => {
    expect(levelsOf('istio.mtls-optional', mesh, policy(byLabels({ app: 'tools' })), ...others)).toHaveLength(count);
  });
});

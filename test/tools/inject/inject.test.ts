import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { assert, property, string } from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { configFrom } from '../../../src/core/config/config.ts';
import { injectedInto } from '../../../src/tools/inject/inject.ts';
import type { Injected } from '../../../src/tools/inject/inject.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';

const fragments = shippedFragments('remit:test');
const fragment = fragments.sidecar;

const injected = (text: string): Injected => {
  const result = injectedInto(text, fragments);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result;
};

const objects = (text: string): readonly unknown[] => {
  const documents = parseAllDocuments(text);
  return 'empty' in documents ? [] : documents.map((document) => document.toJS() as unknown);
};

const indent = (text: string, by: number): string => text.replaceAll(/^(?=.)/gm, ' '.repeat(by));

/** A workload with a pod, as YAML in block style. */
const workload = (kind: string, pod: string): string => {
  if (kind === 'Pod') return `apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n${pod}`;
  const version = kind === 'Job' || kind === 'CronJob' ? 'batch/v1' : 'apps/v1';
  const head = `apiVersion: ${version}\nkind: ${kind}\nmetadata:\n  name: web\nspec:\n`;
  return kind === 'CronJob'
    ? `${head}  jobTemplate:\n    spec:\n      template:\n${indent(pod, 8)}`
    : `${head}  template:\n${indent(pod, 4)}`;
};

const POD = `spec:
  # The app.
  containers:
  - name: app   # by hand
    image: 'app:1'
`;

const PORTS = 'traffic.sidecar.istio.io/excludeInboundPorts';

const podWith = (metadata: object) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: { containers: [{ name: 'a' }], imagePullSecrets: [{ name: 'own' }] },
  });
const secretsOf = (text: string) => (JSON.parse(text) as { spec: { imagePullSecrets: object } }).spec.imagePullSecrets;

describe('injectedInto', () => {
  it.each(['Pod', 'Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob'])(
    'adds lines to a %s, changes none, and does so once',
    (kind) => {
      const source = workload(kind, POD);
      const once = injected(source);
      expect(once.outcomes).toEqual([{ object: `${kind}/web`, kind: 'injected', warnings: [] }]);
      expect(once.text.split('\n')).toEqual(expect.arrayContaining(source.split('\n')));
      expect(withoutAdded(once.text)).toBe(source);
      expect(once.text).toContain('name: remit-run');
      const again = injected(once.text);
      expect(again.text).toBe(once.text);
      expect(again.outcomes).toEqual([{ object: `${kind}/web`, kind: 'current', warnings: [] }]);
    },
  );

  it('puts the container before other init containers, and keeps other volumes', () => {
    const { text } = injected(
      workload(
        'Pod',
        `${POD}  initContainers:\n  - name: first\n    image: x\n  volumes:\n  - name: data\n    emptyDir: {}\n`,
      ),
    );
    expect(objects(text)).toMatchObject([
      {
        spec: {
          initContainers: [fragmentContainer(), { name: 'first', image: 'x' }],
          volumes: [...fragmentVolumes(), { name: 'data', emptyDir: {} }],
        },
      },
    ]);
  });

  // Issue 39, point 2.
  it('puts the container after those of Istio, if its sidecar is a native sidecar', () => {
    const istio = `${POD}  initContainers:\n  - name: istio-init\n    image: x\n  - name: istio-proxy\n    image: x\n    restartPolicy: Always\n  - name: migrate\n    image: x\n`;
    const { text, outcomes } = injected(workload('Deployment', istio));
    expect(outcomes).toEqual([{ object: 'Deployment/web', kind: 'injected', warnings: [] }]);
    expect(objects(text)).toMatchObject([
      {
        spec: {
          template: {
            spec: {
              initContainers: [
                { name: 'istio-init' },
                { name: 'istio-proxy' },
                fragmentContainer(),
                { name: 'migrate' },
              ],
            },
          },
        },
      },
    ]);
    expect(injected(text)).toEqual({ text, outcomes: [{ object: 'Deployment/web', kind: 'current', warnings: [] }] });
  });

  it('warns of a sidecar of Istio that is no native sidecar, and says the way out', () => {
    const { outcomes } = injected(workload('Pod', `${POD}  - name: istio-proxy\n    image: x\n`));
    expect(outcomes[0]?.warnings).toEqual([expect.stringContaining('`ENABLE_NATIVE_SIDECARS=true`')]);
  });

  it.each([
    ['no metadata', '', '9471'],
    ['no annotations', 'metadata:\n  labels:\n    app: web\n', '9471'],
    ['others', 'metadata:\n  # By hand.\n  annotations:\n    other: kept\n', '9471'],
    ['a list', `metadata:\n  annotations:\n    ${PORTS}: "8080" # metrics\n`, '8080,9471'],
    ['a list that has it', `metadata:\n  annotations:\n    ${PORTS}: "9471, 8080"\n`, '9471, 8080'],
  ])('adds its port to those that Istio leaves alone: %s', (_name, metadata, expected) => {
    const { text } = injected(workload('Deployment', `${metadata}${POD}`));
    expect(objects(text)).toMatchObject([{ spec: { template: { metadata: { annotations: { [PORTS]: expected } } } } }]);
    for (const line of metadata.split('\n').filter((each) => !each.includes(PORTS))) expect(text).toContain(line);
    expect(injected(text).text).toBe(text);
  });

  it('replaces a container and a volume of the same name', () => {
    const hostile = `${POD}  initContainers:\n  - name: first\n    image: x\n  - name: remit\n    image: evil\n    command: [sh]\n  volumes:\n  - name: remit-config\n    configMap: { name: evil }\n`;
    const { text, outcomes } = injected(workload('Pod', hostile));
    expect(outcomes[0]?.kind).toBe('injected');
    expect(text).not.toContain('evil');
    expect(objects(text)).toMatchObject([
      { spec: { initContainers: [fragmentContainer(), { name: 'first' }], volumes: fragmentVolumes() } },
    ]);
  });

  it('keeps what is no workload and what has opted out to the byte', () => {
    const text = `# Comments,\nkind:   Service\napiVersion: v1\nmetadata: {name: a}\n---\n\n---\n${workload('Deployment', `metadata: {labels: {remit.dev/inject: disabled}}\n${POD}`)}---\n{"kind":"Pod","apiVersion":"other.dev/v1","metadata":{"name":"p"}}\n`;
    expect(injected(text)).toEqual({
      text,
      outcomes: [
        { object: 'Service/a', kind: 'no-pod', warnings: [] },
        { object: 'Deployment/web', kind: 'opted-out', warnings: [] },
        { object: 'Pod/p', kind: 'no-pod', warnings: [] },
      ],
    });
  });

  it('takes JSON and Lists, and prints JSON again', () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'a' }] } };
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [pod, { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' } }],
    };
    const { text, outcomes } = injected(JSON.stringify(list, null, 2));
    expect(outcomes.map(({ object, kind }) => `${object} ${kind}`)).toEqual(['Pod/p injected', 'Service/s no-pod']);
    const printed = JSON.parse(text) as typeof list;
    expect(printed.items[0]).toMatchObject({
      spec: { containers: [{ name: 'a' }], initContainers: [fragmentContainer()] },
    });
    expect(printed.items[1]).toEqual(list.items[1]);
  });

  it('takes settings from annotations of the pod, and names the nearest of an unknown annotation', () => {
    const annotations = `metadata:\n  annotations:\n    remit.dev/log-level: debug\n    remit.dev/cpu-request: 250m\n    remit.dev/memory-limits: 1Gi\n    remit.dev/mode: shadow\n`;
    const { text, outcomes } = injected(workload('Deployment', annotations + POD));
    expect(text).toContain('value: debug');
    expect(text).toContain('cpu: 250m');
    expect(text).toContain('memory: 512Mi');
    expect(outcomes[0]?.warnings).toEqual([
      'unknown annotation "remit.dev/memory-limits": did you mean `remit.dev/memory-limit`?',
      'unknown annotation "remit.dev/mode": known are `remit.dev/log-level`, `remit.dev/cpu-request`, `remit.dev/memory-request`, `remit.dev/memory-limit`, `remit.dev/policy`, `remit.dev/image-pull-secret`, `remit.dev/agent`, `remit.dev/agent-forward`, `remit.dev/agent-cpu-request`, `remit.dev/agent-memory-request`, `remit.dev/agent-memory-limit`, `remit.dev/agent-intents`',
    ]);
  });

  it('names the Secret of a private registry beside those of the pod, and none without the annotation', () => {
    const { text } = injected(podWith({ annotations: { 'remit.dev/image-pull-secret': 'acme' } }));
    expect(secretsOf(text)).toEqual([{ name: 'acme' }, { name: 'own' }]);
    expect(injected(text).text).toBe(text);
    expect(secretsOf(injected(podWith({})).text)).toEqual([{ name: 'own' }]);
  });

  it('writes a value of an annotation as text, whatever it is', () => {
    assert(
      property(string({ unit: 'grapheme' }), (value) => {
        const pod = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'p', annotations: { 'remit.dev/log-level': value } },
          spec: { containers: [{ name: 'a' }] },
        };
        const [result] = objects(injected(JSON.stringify(pod)).text) as {
          spec: { initContainers: { env: unknown }[] };
        }[];
        expect(result?.spec.initContainers[0]?.env).toContainEqual({ name: 'REMIT_LOG_LEVEL', value });
      }),
    );
  });

  it.each([
    ['a mapping that is none', 'a: 1\nb: : 2\n', 2, /^invalid YAML: /],
    ['a key twice', 'kind: Pod\n---\na: 1\na: 2\n', 4, /^invalid YAML: Map keys must be unique/],
    [
      'a Deployment without a pod',
      'kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\n',
      1,
      /^`Deployment\/x` has no pod/,
    ],
    [
      'an alias on the way',
      'x: &p {containers: []}\nkind: Pod\napiVersion: v1\nmetadata: {name: x}\nspec: *p\n',
      1,
      /aliases are not followed/,
    ],
    [
      'volumes that are no list',
      workload('Pod', `${POD}  volumes: none\n`),
      10,
      /`volumes` of `Pod\/web` must be lists/,
    ],
  ])('names %s by its line', (_row, text, line, message) => {
    expect(injectedInto(text, fragments)).toEqual({ problems: [{ line, message: expect.stringMatching(message) }] });
  });

  it('bounds the text, and the values that aliases stand for', () => {
    expect(injectedInto('#'.repeat(16 * 1024 * 1024 + 1), fragments)).toEqual({
      problems: [{ line: 0, message: 'the text is larger than 16777216 bytes' }],
    });
    const lines = [
      'a0: &a0 [x]',
      ...Array.from({ length: 20 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)} *a${n}]`),
    ];
    const bomb = `${workload('Pod', POD)}${lines.join('\n')}\n`;
    const { text, outcomes } = injected(bomb);
    expect(outcomes[0]?.kind).toBe('injected');
    expect(text.length).toBeLessThan(bomb.length + 10_000);
  });

  it('quotes hostile names', () => {
    const { outcomes } = injected('kind: "Pod\\e[31m"\napiVersion: v1\nmetadata: {name: "a\\nb"}\n');
    expect(outcomes[0]?.object).toBe('"Pod\\u001b[31m"/"a\\nb"');
  });
});

/** The text without the lines of lists that injection added. */
const withoutAdded = (text: string): string =>
  text
    .replaceAll(/^( *)(?:initContainers|volumes|annotations):\n(?:\1 +.*\n)*/gm, '')
    // Of a template without any.
    .replace(/^( +)metadata:\n(?!\1 )/m, '');

const fragmentContainer = (): object => expect.objectContaining({ name: 'remit', image: 'remit:test' });
const fragmentVolumes = (): readonly object[] => fragment.volumes.map(({ name }) => expect.objectContaining({ name }));

describe('the fragment', () => {
  it('sets variables that the configuration of a sidecar takes, and mounts what it reads', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../deploy/guide/install/injection.md'), 'utf8');
    const yaml = /^```yaml\n([^]*?)^```/m.exec(page)?.[1] ?? '';
    const variables = fragment.container['env'] as readonly { readonly name: string; readonly value?: string }[];
    const environment = Object.fromEntries(
      variables.map(({ name, value = 'web-0' }) => [name, value.replace(/^\$\{.*:-(.*)\}$/, '$1')]),
    );
    const read = configFrom(yaml, { file: 'remit.yaml', folder: '/etc/remit', environment });
    expect('problems' in read ? read.problems : read.value).toMatchObject({
      admin: { listen: { host: '0.0.0.0', port: 9471 } },
      log: { format: 'json', level: 'info' },
      svid: { kind: 'workload-api' },
      ledger: { name: 'web-0', folder: '/var/lib/remit/ledger' },
      policies: { folder: '/etc/remit/policies' },
    });
    const mounts = (fragment.container['volumeMounts'] as readonly { readonly mountPath: string }[]).map(
      ({ mountPath }) => mountPath,
    );
    expect(mounts).toEqual(
      expect.arrayContaining(['/etc/remit', '/etc/remit/policies', '/var/lib/remit', '/run/remit']),
    );
  });
});

import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { testFolders } from '../../builders/test-folders.ts';
import { diagnosed } from './diagnosed.ts';
import { HOST_FAULTS } from './host-faults.ts';

const shipped = resolve(import.meta.dirname, '../../../deploy');
const folder = testFolders();

/** The codes of errors and warnings in a copy of a shipped folder with these replacements, by file. */
async function codesAfter(host: string, changes: readonly (readonly [file: string, from: string, to: string])[]) {
  const copy = folder();
  cpSync(join(shipped, host), copy, { recursive: true });
  for (const [file, from, to] of changes) {
    const path = join(copy, file);
    const text = readFileSync(path, 'utf8');
    if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  const { findings, report } = await diagnosed(['-f', copy, '--json']);
  expect(report.not_examined).toEqual([]);
  return [...new Set(findings.filter(({ level }) => level !== 'info').map(({ code }) => code))];
}

/** A Deployment, by default without Istio's sidecar. */
const deployment = (app: string, namespace: string, labels: object = { 'sidecar.istio.io/inject': 'false' }) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: app, namespace },
  spec: {
    template: {
      metadata: { labels: { app, ...labels } },
      spec: { containers: [{ name: app, image: 'acme/app:1' }] },
    },
  },
});

/** A Service of the pods of an app. */
const service = (app: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: app, namespace: 'demo' },
  spec: { selector: { app }, ports: [{ port: 80 }] },
});

describe('remit doctor -f', () => {
  it.each(['hosts', 'hosts/istio', 'hosts/envoy-gateway', 'hosts/agentgateway', 'envoy'])(
    'finds nothing in deploy/%s',
    async (host) => {
      expect(await codesAfter(host, [])).toEqual([]);
    },
  );

  it.each(HOST_FAULTS)('finds in %s %s', async (host, _name, change, code) => {
    expect(await codesAfter(host, [change])).toEqual(code.split(' '));
  });

  // Issue 39, point 2: each injected pod of a mesh was called an error.
  it('takes the annotations of Istio that injection sets', async () => {
    const copy = folder();
    cpSync(join(shipped, 'hosts/istio'), copy, { recursive: true });
    const annotations = {
      'traffic.sidecar.istio.io/excludeInboundPorts': '9471,15020',
      'status.sidecar.istio.io/port': '15020',
      'inject.istio.io/templates': 'sidecar, remit, remit-agent',
    };
    const template = { metadata: { labels: { app: 'tools' }, annotations }, spec: { containers: [] } };
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'tools', namespace: 'demo' } };
    writeFileSync(join(copy, 'tools.json'), JSON.stringify({ ...deployment, spec: { template } }));
    // The values of istiod that carry the shipped template, and the port for all pods.
    const values = parse(readFileSync(join(shipped, 'inject/istio.yaml'), 'utf8'));
    const all = { ...values, meshConfig: {}, global: { proxy: { excludeInboundPorts: '9471' } } };
    writeFileSync(join(copy, 'values.yaml'), stringify(all));
    const { findings } = await diagnosed(['-f', copy, '--json']);
    expect(findings).toEqual([]);
  });

  // Issue 39, point 5: agents, authority and node pods are out of the mesh.
  it('leaves pods out of the mesh alone that no policy of Remit selects', async () => {
    const copy = folder();
    cpSync(join(shipped, 'hosts/istio'), copy, { recursive: true });
    writeFileSync(join(copy, 'agent.json'), JSON.stringify(deployment('planner', 'demo')));
    writeFileSync(join(copy, 'elsewhere.json'), JSON.stringify(deployment('tools', 'other')));
    writeFileSync(join(copy, 'tools.json'), JSON.stringify(deployment('tools', 'demo', {})));
    expect((await diagnosed(['-f', copy, '--json'])).findings).toEqual([]);
    writeFileSync(join(copy, 'tools.json'), JSON.stringify(deployment('tools', 'demo')));
    expect((await diagnosed(['-f', copy, '--json'])).findings).toMatchObject([{ code: 'istio.past-sidecar' }]);
  });

  // Issue 39, point 7: a policy without a selector covers the agents of its namespace too.
  it.each([
    ['a workload without ports', [], 'warning'],
    ['a workload that no Service leads to', [service('other')], 'info'],
    ['a workload that a Service leads to', [service('planner')], 'error'],
  ])('weighs %s by whether it takes calls', async (_what, others, level) => {
    const copy = folder();
    cpSync(join(shipped, 'hosts/istio'), copy, { recursive: true });
    const path = join(copy, 'policy.yaml');
    const text = readFileSync(path, 'utf8');
    expect(text).toContain('  selector: { matchLabels: { app: tools } }\n');
    writeFileSync(path, text.replace('  selector: { matchLabels: { app: tools } }\n', ''));
    const items = [deployment('planner', 'demo'), deployment('tools', 'demo', {}), ...others];
    writeFileSync(join(copy, 'all.json'), JSON.stringify({ kind: 'List', items }));
    const { findings } = await diagnosed(['-f', copy, '--only', 'istio', '--json']);
    expect(findings).toMatchObject([{ code: 'istio.past-sidecar', level }]);
  });

  it.each(['sidecars', 'node', 'node-by-network', 'postgres'])(
    "finds nothing wrong with Remit's own pods without a sidecar: the chart's %s",
    async (golden) => {
      const chart = join(import.meta.dirname, '../../chart/golden', `${golden}.yaml`);
      const { findings } = await diagnosed(['-f', chart, '-f', join(shipped, 'hosts/istio'), '--json']);
      expect(findings).toEqual([]);
    },
  );

  it('leaves other providers of an Istio alone', async () => {
    const copy = folder();
    cpSync(join(shipped, 'hosts/istio'), copy, { recursive: true });
    const mesh = join(copy, 'mesh.yaml');
    const other =
      '  - name: sign-in\n    envoyExtAuthzHttp: { service: oauth2-proxy.demo.svc.cluster.local, port: 4180 }\n';
    writeFileSync(mesh, `${readFileSync(mesh, 'utf8')}${other}`);
    const policy = {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'sign-in', namespace: 'web' },
      spec: { action: 'CUSTOM', provider: { name: 'sign-in' }, rules: [{ to: [{ operation: { paths: ['/app'] } }] }] },
    };
    writeFileSync(join(copy, 'sign-in.json'), JSON.stringify(policy));
    const { findings } = await diagnosed(['-f', copy, '--json']);
    expect(findings).toEqual([]);
  });

  it('names file, document, object and the nearest name', async () => {
    const copy = folder();
    cpSync(join(shipped, 'hosts/istio'), copy, { recursive: true });
    const path = join(copy, 'policy.yaml');
    writeFileSync(path, readFileSync(path, 'utf8').replace('provider: { name: remit }', 'provider: { name: remmit }'));
    const { findings } = await diagnosed(['-f', copy, '--json', '--only', 'istio']);
    expect(findings).toEqual([
      expect.objectContaining({
        code: 'istio.provider-unknown',
        where: `${path}#2: AuthorizationPolicy demo/remit`,
        fix: 'write `provider: { name: remit }`',
      }),
    ]);
  });

  it('reads a mesh configuration in its ConfigMap, and items of a List', async () => {
    const copy = folder();
    const mesh = readFileSync(join(shipped, 'hosts/istio/mesh.yaml'), 'utf8').replace(
      'failOpen: false',
      'failOpen: true',
    );
    const map = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh },
    };
    writeFileSync(join(copy, 'all.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [map] }));
    const { findings } = await diagnosed(['-f', copy, '--json']);
    expect(findings.map(({ code }) => code)).toEqual(['istio.fails-open']);
  });

  it.each([
    ['not YAML', '{ a: [', 'not YAML'],
    ['a template', '{{- if .Values.x }}\na: 1\n{{- end }}', 'not YAML'],
    ['a key twice', 'a: 1\na: 2', 'not YAML'],
    ['too many aliases', `a: &a 1\nb: [${Array.from({ length: 300 }, () => '*a').join(',')}]`, 'more than 200 aliases'],
    ['not UTF-8', Buffer.from([0x61, 0x3a, 0xff]), 'is not UTF-8'],
    ['too long', ' '.repeat(8 * 1_048_576 + 1), 'is longer than'],
  ])('says what it could not read: %s', async (_name, text, problem) => {
    const copy = folder();
    writeFileSync(join(copy, 'x.yaml'), text);
    const { exit, report } = await diagnosed(['-f', copy, '--json']);
    expect(report.not_examined).toEqual([expect.stringContaining(problem)]);
    expect(exit).toBe(3);
  });

  it('says what is not there, and what has nothing to examine', async () => {
    const copy = folder();
    const absent = await diagnosed(['-f', join(copy, 'absent.yaml'), '--json']);
    expect(absent.report.not_examined).toEqual([expect.stringContaining('could not be read: ENOENT')]);
    writeFileSync(join(copy, 'a.yaml'), 'apiVersion: v1\nkind: Pod\nmetadata: { name: x }');
    writeFileSync(join(copy, 'notes.txt'), 'apiVersion: x');
    const { exit, report } = await diagnosed(['-f', copy, '--json']);
    expect([exit, report.examined]).toEqual([3, [expect.stringContaining('1 file in')]]);
  });

  it('says of an empty folder what could not be examined (issue 37, point 17)', async () => {
    const copy = folder();
    const { exit, report } = await diagnosed(['-f', copy, '--json']);
    expect([exit, report.examined, report.not_examined]).toEqual([
      3,
      [],
      [expect.stringMatching(/has no YAML or JSON file: an Envoy bootstrap, .* could not be examined$/)],
    ]);
    writeFileSync(join(copy, 'a.yaml'), 'apiVersion: v1\nkind: Pod\nmetadata: { name: x }');
    const other = await diagnosed(['-f', copy, '--json']);
    expect(other.report.not_examined).toEqual(['no check had anything to examine in what was read']);
  });

  it('follows links to files, and none in circles', async () => {
    const copy = folder();
    mkdirSync(join(copy, 'a'));
    for (const name of ['a/loop.yaml', 'a/loop-2.yaml', 'a/loop-3.yaml']) symlinkSync(copy, join(copy, name));
    symlinkSync(join(shipped, 'hosts/istio/mesh.yaml'), join(copy, 'mesh.yaml'));
    const { report } = await diagnosed(['-f', copy, '--json']);
    expect(report.examined).toEqual([expect.stringMatching(/^1 file in .*: 1 object$/)]);
    expect(report.not_examined).toEqual([]);
  });

  it('says which of the files in a folder it could not read', async () => {
    const copy = folder();
    symlinkSync(join(copy, 'absent'), join(copy, 'dangling.yaml'));
    let deep = copy;
    for (let level = 0; level < 12; level += 1) mkdirSync((deep = join(deep, 'd')));
    const { exit, report } = await diagnosed(['-f', copy, '-f', '/dev/zero', '--json']);
    expect(report.not_examined).toEqual([
      expect.stringContaining('is more than 10 folders deep'),
      expect.stringMatching(/dangling\.yaml` could not be read: ENOENT/),
      expect.stringMatching(/\/dev\/zero` is longer than \d+ bytes/),
    ]);
    expect(exit).toBe(3);
  });

  it('takes values of wrong types for absent, and obeys no names', async () => {
    const copy = folder();
    const wrong = [null, 7, 'x', [], [[]], { a: 1 }];
    const kinds = [
      'AuthorizationPolicy',
      'SecurityPolicy',
      'Backend',
      'HTTPRoute',
      'ClientTrafficPolicy',
      'ServiceEntry',
      'PeerAuthentication',
      'AgentgatewayPolicy',
      'ConfigMap',
      'Deployment',
      'Gateway',
      'IstioOperator',
      'MutatingAdmissionPolicy',
      'Namespace',
      'NetworkPolicy',
      'Pod',
      'ProxyConfig',
      'Service',
    ];
    const groups = ['security.istio.io/v1', 'gateway.envoyproxy.io/v1alpha1', '', 7];
    const documents = kinds.flatMap((kind) =>
      groups.flatMap((apiVersion) =>
        wrong.flatMap((one) => [
          {
            apiVersion,
            kind,
            metadata: one,
            spec: {
              action: 'CUSTOM',
              extAuth: one,
              rules: one,
              provider: one,
              targetRefs: one,
              template: { metadata: one, spec: { containers: one, volumes: one } },
              ingress: one,
              ports: one,
              selector: one,
              values: { meshConfig: { defaultConfig: one, accessLogFormat: one }, global: one },
            },
            data: { mesh: one, values: one },
          },
          { apiVersion, kind, metadata: { name: '\u001b[2J', namespace: one, labels: one }, spec: one },
        ]),
      ),
    );
    const configs = wrong.flatMap((one) => [
      { extensionProviders: one },
      { binds: one },
      { static_resources: one },
      one,
    ]);
    for (const [index, one] of [...documents, ...configs].entries())
      writeFileSync(join(copy, `${index}.json`), JSON.stringify(one));
    writeFileSync(join(copy, 'p.json'), '{"__proto__":{"kind":"HTTPRoute"},"constructor":{"static_resources":1}}');
    const { report } = await diagnosed(['-f', copy, '--json']);
    expect(report.not_examined).toEqual([]);
    expect(readdirSync(copy).length).toBeGreaterThan(400);
  });
});

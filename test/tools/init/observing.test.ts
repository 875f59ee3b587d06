import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { hostFiles } from '../../../src/tools/init/host-files.ts';
import { answersFrom, QUESTIONS, withDefault } from '../../../src/tools/init/answers.ts';
import type { Answers, Given, Host } from '../../../src/tools/init/answers.ts';
import { changedYaml } from '../../../src/tools/init/changed-yaml.ts';
import { shippedEnvoyConfig, shippedSpireConfig } from '../../../src/tools/init/envoy-config.ts';
import { folderFiles } from '../../../src/tools/init/folder-files.ts';
import { observingEnvoyConfig, observingHostFiles } from '../../../src/tools/init/observing.ts';
import { envoyConfigProblem } from './envoy-config-problem.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { envoyVersions } from '../../parts/cache.ts';

const shippedFile = resolve(import.meta.dirname, '../../../deploy/observe/envoy.yaml');
const withFiles = await shippedEnvoyConfig();
const withSpire = await shippedSpireConfig();

const answersFor = (host: Host): Answers => {
  const given = QUESTIONS.reduce<Given>(withDefault, { host, 'trust-domain': 'acme.test' });
  const answers = answersFrom('/tmp/remit-host', given);
  if ('problems' in answers) throw new Error(answers.problems.join('; '));
  return answers;
};

describe('observingEnvoyConfig', () => {
  it('is the shipped observe/envoy.yaml', async () => {
    expect(parse(await readFile(shippedFile, 'utf8'))).toEqual(parse(observingEnvoyConfig(withSpire)));
  });

  it.each([
    ['files', withFiles],
    ['SPIRE', withSpire],
  ])('adds a listener that asks for no certificate, with the same filters: certificates from %s', (_name, text) => {
    const [agents, nobody] = parse(observingEnvoyConfig(text)).static_resources.listeners;
    expect(nobody.address.socket_address).toEqual({ address: '0.0.0.0', port_value: 8444 });
    expect(nobody.filter_chains[0].filters).toEqual(agents.filter_chains[0].filters);
    expect(Object.keys(nobody.filter_chains[0].transport_socket.typed_config.common_tls_context)).toEqual([
      'alpn_protocols',
      'tls_params',
      expect.stringMatching(/^tls_certificate/),
    ]);
    expect(agents.filter_chains[0].transport_socket.typed_config.require_client_certificate).toBe(true);
  });

  it('says nowhere that a call is refused while Remit is away', () => {
    expect(observingEnvoyConfig(withSpire)).not.toMatch(/is a refusal|Whole bodies or none|No `upgrade_configs`/);
  });

  it('throws if the shipped file lacks a place', () => {
    expect(() => observingEnvoyConfig(withSpire.replace('failure_mode_allow: false', ''))).not.toThrow();
    expect(() =>
      observingEnvoyConfig(withSpire.replaceAll('name: envoy.filters.http.ext_authz\n', 'name: other\n')),
    ).toThrow('the shipped file has no `static_resources');
  });
});

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `the observing configuration for Envoy ${version}`, (binary) => {
    it('is valid', async () => {
      expect(await envoyConfigProblem(binary, observingEnvoyConfig(withSpire))).toBeNull();
    });
  });
}

describe('observingHostFiles', () => {
  it.each(['istio', 'istio-waypoint', 'envoy-gateway', 'kgateway'] as const)(
    'lets calls of %s pass while Remit is away, and nothing else of it refuses',
    async (host) => {
      const shipped = await hostFiles(answersFor(host));
      const text = [...observingHostFiles(shipped).values()].join('\n---\n');
      expect(text).toMatch(/failOpen: true/);
      expect(text).not.toMatch(/failOpen: false|REJECT_REQUEST|RejectRequest|STRICT|request_trailers_mutations/);
      expect(text).not.toMatch(/allowPartialMessage: false|is a refusal/);
      // Of Istio, PERMISSIVE lets them in.
      expect(text.includes('without a certificate of the mesh has no connection')).toBe(false);
    },
  );
});

describe('a folder to observe with', () => {
  const observe = { owner: 'team-payments', nowMs: Date.UTC(2026, 11, 1) };

  it('has the way back beside it, and says until when', async () => {
    const plain = await folderFiles(answersFor('envoy'));
    const files = await folderFiles(answersFor('envoy'), observe);
    expect(files.get('enforcing/envoy.yaml')).toBe(plain.get('envoy.yaml'));
    expect(parse(files.get('policies/enforcement.yaml') ?? '').observe).toMatchObject([
      { agents: ['spiffe://acme.test/*'], servers: ['tools'], until: '2026-12-31', owner: 'team-payments' },
      { unidentified: true, servers: ['tools'] },
    ]);
  });

  it('has the entry in the values of the chart too', async () => {
    const files = await folderFiles(answersFor('istio'), observe);
    expect(Object.keys(parse(files.get('values.yaml') ?? '').policies.files)).toContain('enforcement.yaml');
    expect([...files.keys()]).toEqual(expect.arrayContaining(['istio/mesh.yaml', 'enforcing/istio/mesh.yaml']));
  });
});

describe('changedYaml', () => {
  it('keeps comments and all else, and replaces the comment of what changed', () => {
    const text = '# head\n\na: 1 # one\n# old\nb: { c: 2 }\nd: 4\n';
    const changed = changedYaml(text, [
      { path: ['b', 'c'], value: 3 },
      { path: ['d'], value: 5, because: 'new' },
    ]);
    expect(changed).toBe('# head\n\na: 1 # one\n# old\nb: { c: 3 }\n# new\nd: 5\n');
  });

  it('removes an element by its name, and takes the document by a key', () => {
    const text = 'kind: A\nlist:\n  - name: x\n  - name: y\n---\nkind: B\nlist: []\n';
    const changed = changedYaml(text, [{ of: ['kind', 'A'], path: ['list', 'name=x'], value: undefined }]);
    expect(changed).toBe('kind: A\nlist:\n  - name: y\n---\nkind: B\nlist: []\n');
  });
});

import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { scratch } from '../builders/scratch.ts';
import { diagnosed } from './diagnosed.ts';

const shipped = resolve(import.meta.dirname, '../../deploy');
const { folder, remove } = scratch();

afterAll(remove);

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

const MESH = 'mesh.yaml';
const EXT_AUTHZ = `              extAuthz:
                host: 127.0.0.1:9470
`;

// Each row: the host, what is wrong, the change, and the code.
const faults: readonly (readonly [string, string, readonly [string, string, string], string])[] = [
  [
    'hosts/istio',
    'rules with paths',
    ['policy.yaml', 'rules: [{}]', "rules: [{ to: [{ operation: { paths: ['/v1/*'] } }] }]"],
    'istio.conditional-rule',
  ],
  [
    'hosts/istio',
    'rules with methods',
    ['policy.yaml', 'rules: [{}]', 'rules: [{ to: [{ operation: { methods: [POST] } }] }]'],
    'istio.conditional-rule',
  ],
  ['hosts/istio', 'no rule', ['policy.yaml', 'rules: [{}]', 'rules: []'], 'istio.no-rule'],
  [
    'hosts/istio',
    'a provider misnamed',
    ['policy.yaml', 'provider: { name: remit }', 'provider: { name: remit.local }'],
    'istio.provider-unknown',
  ],
  [
    'hosts/istio',
    'an unknown service',
    [MESH, 'service: ext-authz-grpc.local', 'service: ext-auth-grpc.local'],
    'istio.service-unknown',
  ],
  ['hosts/istio', 'a port of HTTP', ['remit.yaml', 'protocol: GRPC', 'protocol: HTTP'], 'istio.port-http1'],
  ['hosts/istio', 'a provider of HTTP', [MESH, 'envoyExtAuthzGrpc', 'envoyExtAuthzHttp'], 'istio.provider-http'],
  ['hosts/istio', 'failOpen', [MESH, 'failOpen: false', 'failOpen: true'], 'istio.fails-open'],
  ['hosts/istio', 'no timeout', [MESH, '      timeout: 0.5s\n', ''], 'istio.long-timeout'],
  ['hosts/istio', '403 on error', [MESH, "      statusOnError: '503'\n", ''], 'istio.status-on-error'],
  [
    'hosts/istio',
    'partial bodies',
    [MESH, 'allowPartialMessage: false', 'allowPartialMessage: true'],
    'istio.partial-body',
  ],
  ['hosts/istio', 'no body', [MESH, 'includeRequestBodyInCheck', 'x'], 'istio.no-body'],
  ['hosts/istio', 'permissive mTLS', ['policy.yaml', 'STRICT', 'PERMISSIVE'], 'istio.mtls-optional'],
  [
    'hosts/istio',
    'two providers',
    [
      'policy.yaml',
      '---',
      '---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: other, namespace: demo }\nspec: { action: CUSTOM, provider: { name: remit-outcomes }, rules: [{}] }\n---',
    ],
    'istio.provider-unknown istio.two-providers',
  ],
  [
    'hosts/envoy-gateway',
    'failOpen',
    ['security.yaml', 'failOpen: false', 'failOpen: true'],
    'envoy-gateway.fails-open',
  ],
  [
    'hosts/envoy-gateway',
    'a backend misnamed',
    ['security.yaml', 'name: remit }] }', 'name: remitt }] }'],
    'envoy-gateway.backend-missing',
  ],
  [
    'hosts/envoy-gateway',
    'no policy of the Gateway',
    ['security.yaml', 'name: agents', 'name: agent'],
    'envoy-gateway.never-asked',
  ],
  [
    'hosts/envoy-gateway',
    'a policy of the route',
    [
      'security.yaml',
      'apiVersion',
      'apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: { name: cors, namespace: default }\nspec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: payments }], cors: {} }\n---\napiVersion',
    ],
    'envoy-gateway.overridden',
  ],
  ['hosts/envoy-gateway', 'no body', ['security.yaml', 'bodyToExtAuth', 'x'], 'envoy-gateway.no-body'],
  ['hosts/envoy-gateway', 'no timeout', ['security.yaml', '    timeout: 500ms\n', ''], 'envoy-gateway.long-timeout'],
  [
    'hosts/envoy-gateway',
    '403 on error',
    ['security.yaml', '    statusOnError: 503\n', ''],
    'envoy-gateway.status-on-error',
  ],
  [
    'hosts/envoy-gateway',
    'a route chosen again',
    ['security.yaml', 'failOpen: false', 'failOpen: false\n    recomputeRoute: true'],
    'envoy-gateway.changed-after-check',
  ],
  ['hosts/envoy-gateway', 'a check by HTTP', ['security.yaml', 'grpc: {', 'http: {'], 'envoy-gateway.http'],
  [
    'hosts/envoy-gateway',
    'hidden headers',
    ['security.yaml', 'failOpen: false', 'failOpen: false\n    headersToExtAuth: [x-request-id]'],
    'envoy-gateway.headers-hidden',
  ],
  [
    'hosts/envoy-gateway',
    'a forwarded identity',
    ['gateway.yaml', 'mode: SanitizeSet', 'mode: AlwaysForwardOnly'],
    'envoy-gateway.xfcc-forwarded',
  ],
  [
    'hosts/envoy-gateway',
    'an appended identity',
    ['gateway.yaml', 'mode: SanitizeSet', 'mode: AppendForward'],
    'envoy-gateway.xfcc-appended',
  ],
  [
    'hosts/envoy-gateway',
    'an insecure fallback',
    ['gateway.yaml', 'mode: AllowValidOnly', 'mode: AllowInsecureFallback'],
    'envoy-gateway.client-certificate-optional',
  ],
  [
    'hosts/agentgateway',
    'a cache',
    ['config.yaml', EXT_AUTHZ, `${EXT_AUTHZ}                cache: { key: [request.path], ttl: 60s }\n`],
    'agentgateway.cache',
  ],
  [
    'hosts/agentgateway',
    'an open failure',
    ['config.yaml', '{ denyWithStatus: 503 }', 'allow'],
    'agentgateway.fails-open',
  ],
  [
    'hosts/agentgateway',
    'no certificate',
    ['config.yaml', '"peer_certificate": source.certificate', '"id": source.spiffeId'],
    'agentgateway.no-certificate',
  ],
  ['hosts/agentgateway', 'no body', ['config.yaml', 'includeRequestBody', 'x'], 'agentgateway.no-body'],
  [
    'hosts/agentgateway',
    'partial bodies',
    ['config.yaml', 'allowPartialMessage: false', 'allowPartialMessage: true'],
    'agentgateway.partial-body',
  ],
  ['hosts/agentgateway', 'a check by HTTP', ['config.yaml', 'grpc:', 'http:'], 'agentgateway.http'],
  [
    'hosts/agentgateway',
    'no check',
    ['config.yaml', '              extAuthz:', '              x:'],
    'agentgateway.never-asked',
  ],
  [
    'envoy',
    'a filter after the router',
    [
      'envoy.yaml',
      '                http_filters:\n',
      "                http_filters:\n                  - name: envoy.filters.http.router\n                    typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }\n",
    ],
    'envoy.never-asked',
  ],
  [
    'envoy',
    'an open failure',
    ['envoy-spire.yaml', 'failure_mode_allow: false', 'failure_mode_allow: true'],
    'envoy.fails-open',
  ],
  [
    'envoy',
    'an open failure in camelCase',
    ['envoy.yaml', 'failure_mode_allow: false', 'failureModeAllow: true'],
    'envoy.fails-open',
  ],
];

describe('remit doctor -f', () => {
  it.each(['hosts/istio', 'hosts/envoy-gateway', 'hosts/agentgateway', 'envoy'])(
    'finds nothing in deploy/%s',
    async (host) => {
      expect(await codesAfter(host, [])).toEqual([]);
    },
  );

  it.each(faults)('finds in %s %s', async (host, _name, change, code) => {
    expect(await codesAfter(host, [change])).toEqual(code.split(' '));
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
    expect([exit, report.examined]).toEqual([3, [expect.stringContaining('1 files in')]]);
  });

  it('does not follow links in circles', async () => {
    const copy = folder();
    mkdirSync(join(copy, 'a'));
    symlinkSync(copy, join(copy, 'a', 'loop.yaml'));
    writeFileSync(join(copy, 'mesh.yaml'), readFileSync(join(shipped, 'hosts/istio/mesh.yaml')));
    const { report } = await diagnosed(['-f', copy, '--json']);
    expect(report.examined).toHaveLength(1);
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
    ];
    const groups = ['security.istio.io/v1', 'gateway.envoyproxy.io/v1alpha1', '', 7];
    const documents = kinds.flatMap((kind) =>
      groups.flatMap((apiVersion) =>
        wrong.flatMap((one) => [
          {
            apiVersion,
            kind,
            metadata: one,
            spec: { action: 'CUSTOM', extAuth: one, rules: one, provider: one, targetRefs: one },
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

import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isMap, parseDocument } from 'yaml';
import type { DevDomain } from '../../src/dev/domain.ts';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { startAllowAll } from '../dev/allow-all.ts';
import { withTimeForChecks } from '../dev/time-for-checks.ts';
import { shapes } from './bypass-corpus.ts';
import { readingsOf } from './bypass-reading.ts';
import { sendRaw, startRawUpstream, type Arrived, type RawClient, type RawUpstream } from './bypass-wire.ts';
import { testFolder } from '../builders/test-folders.ts';
import { examples, mustDeclare, startDomain } from './domain.ts';

type Settings = Readonly<Record<string, unknown>>;

const LAX: Settings = {
  normalize_path: false,
  merge_slashes: false,
  path_with_escaped_slashes_action: 'KEEP_UNCHANGED',
  common_http_protocol_options: { headers_with_underscores_action: 'ALLOW' },
  http_protocol_options: { accept_http_10: true, allow_chunked_length: true, enable_trailers: true },
  http2_protocol_options: { allow_connect: true },
  upgrade_configs: [{ upgrade_type: 'websocket' }, { upgrade_type: 'CONNECT' }],
};

/**
 * Settings of the HTTP connection manager and of ext_authz by configuration name, and the number of shapes that pass as the granted call,
 * mostly because Envoy drops or normalises what is odd about them.
 */
const configurations: readonly (readonly [name: string, manager: Settings, filter: Settings, passing: number])[] = [
  ['the shipped configuration', {}, {}, 30],
  ['a lax configuration', LAX, {}, 27],
  ['a lax configuration that sends headers and bodies as text', LAX, { encode_raw_headers: false }, 28],
];

/** The calls that a token for `payments.read` permits. */
const GRANTED = /^GET payments\.acme\.test\/v1\/payments\/(?!(?:export|vault)$)[^/.:]+$/;
const FUZZED = 300;

/** Another server on the same host, at the path of a payment. */
const VAULT = `
  vault:
    hosts: [payments.acme.test]
    paths: [/v1/payments/vault]
    audience: https://payments.acme.test/v1/payments/vault
    routes:
      - { action: vault.read, method: GET, path: /v1/payments/vault, risk: low }
`;

/** Whatever an attacker can write to a socket, through a real Envoy: no call reaches an upstream as another call. */
describeWith(envoyPart(), 'bypasses through Envoy', (binary) => {
  const scratch = testFolder(async () => {
    await upstream?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let upstream: RawUpstream;
  let token: string;

  beforeAll(async () => {
    const policies = join(scratch.folder, 'policies');
    await cp(examples, policies, { recursive: true });
    const catalog = join(policies, 'actions.yaml');
    const text = await readFile(catalog, 'utf8');
    const list = '      - { action: payments.list, method: GET, path: /v1/payments, risk: low }\n';
    const beside = '      - { action: payments.export, method: GET, path: /v1/payments/export, risk: high }\n';
    await writeFile(catalog, text.replace(list, list + beside).replace(/^servers:$/m, `servers:${VAULT.trimEnd()}`));
    domain = await startDomain(binary, { folder: scratch.folder, policies });
    upstream = await startRawUpstream();
    token = (await mustDeclare(domain.stage.planner, domain, { actions: ['payments.read'] })).token;
  });

  const clientOf = async (envoy: EnvoyProcess): Promise<RawClient> => ({
    port: envoy.address.port,
    cert: await readFile(join(scratch.folder, 'planner.pem'), 'utf8'),
    key: await readFile(join(scratch.folder, 'planner.key'), 'utf8'),
    ca: domain.authority.bundlePem,
  });

  it('has shapes that reach an upstream as another call without a check', async () => {
    const nobody = await startAllowAll(join(scratch.folder, 'nobody.sock'));
    const config = await configIn(scratch.folder, { upstream, manager: LAX, filter: {}, remit: 'nobody.sock' });
    const envoy = await mustStart(binary, config);
    const client = await clientOf(envoy);
    const before = upstream.arrived.length;
    await inGroups(shapes, (shape, index) => sendRaw(client, shape.request(token, String(index))));
    await envoy.stop();
    await nobody.close();
    const others = upstream.arrived.slice(before).filter((request) => misreadingsOf(request).length > 0);
    expect(new Set(others.map(markOf)).size).toBeGreaterThanOrEqual(50);
  });

  describe.each(configurations)('with %s', (_name, manager, filter, passing) => {
    let envoy: EnvoyProcess;
    let client: RawClient;

    beforeAll(async () => {
      envoy = await mustStart(
        binary,
        await configIn(scratch.folder, { upstream, manager, filter, remit: 'check.sock' }),
      );
      client = await clientOf(envoy);
    });
    afterAll(() => envoy?.stop());

    it(`tries ${shapes.length} bypass shapes: ${passing} pass as the granted call, none as another`, async () => {
      const before = upstream.arrived.length;
      await inGroups(shapes, (shape, index) => sendRaw(client, shape.request(token, String(index))));
      const arrived = upstream.arrived.slice(before);
      expect(arrived.flatMap(problemsOf)).toEqual([]);
      const passed = new Set(arrived.map(markOf).map((mark) => shapes[Number(mark)]?.name ?? 'smuggled'));
      expect(passed.size).toBe(passing);
    });

    it(`tries ${FUZZED} random requests: none passes as another call`, async () => {
      const before = upstream.arrived.length;
      const requests = fc.sample(randomRequest, { numRuns: FUZZED, seed: 5 });
      await inGroups(
        requests,
        (text) => {
          const bytes = Buffer.from(text.replaceAll('TOKEN', token), 'latin1');
          return sendRaw(client, { protocol: 'http/1.1', bytes });
        },
        // Many have no end, and so no answer.
        { atOnce: 36 },
      );
      const arrived = upstream.arrived.slice(before);
      expect(arrived.flatMap(problemsOf)).toEqual([]);
      expect(arrived.length).toBeGreaterThan(0);
    });
  });
});

/** What is wrong with a received request: each reading that was not granted, ambiguous framing, a forged decision. */
function problemsOf(request: Arrived): readonly string[] {
  const valuesOf = (name: string) => request.headers.filter(([each]) => each === name).map(([, value]) => value);
  const called = `${shapes[Number(markOf(request))]?.name ?? 'unknown'}: `;
  const decisions = valuesOf('x-remit-decision');
  const framings = [...valuesOf('content-length'), ...valuesOf('transfer-encoding')];
  return [
    ...misreadingsOf(request),
    ...(decisions.length === 1 && decisions[0]?.startsWith('allow;') === true && !decisions[0].includes('forged')
      ? []
      : [`decisions ${decisions.join(' and ')}`]),
    ...(framings.length > 1 ? ['two framings'] : []),
    ...(valuesOf('upgrade').length > 0 ? ['an upgrade'] : []),
  ].map((problem) => called + problem);
}

const misreadingsOf = (request: Arrived): readonly string[] =>
  [...readingsOf(request)].filter((reading) => !GRANTED.test(reading));

const markOf = ({ headers }: Arrived): string => headers.find(([name]) => name === 'x-shape')?.[1] ?? 'none';

async function inGroups<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<unknown>,
  { atOnce = 12 } = {},
): Promise<void> {
  const waiting = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of waiting) await work(item, index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function mustStart(binary: string, config: (adminSocket: string) => string): Promise<EnvoyProcess> {
  const envoy = await EnvoyProcess.start({ binary, config });
  if (isBinaryProblem(envoy)) throw new Error(envoy.problem);
  return envoy;
}

/** The shipped configuration in front of `upstream`, with some settings changed. */
async function configIn(
  folder: string,
  changed: {
    readonly upstream: RawUpstream;
    readonly manager: Settings;
    readonly filter: Settings;
    readonly remit: string;
  },
): Promise<(adminSocket: string) => string> {
  const shipped = withTimeForChecks(await shippedEnvoyConfig());
  return (adminSocket) => {
    const { address } = changed.upstream;
    const text = envoyConfigWithFiles(
      shipped,
      {
        listener: { host: '127.0.0.1', port: 0 },
        adminSocket,
        remitSocket: join(folder, changed.remit),
        payments: address,
        files: address,
        collector: null,
      },
      {
        certificate: join(folder, 'gateway.pem'),
        key: join(folder, 'gateway.key'),
        bundles: new Map([['acme.test', join(folder, 'bundle.pem')]]),
      },
    );
    const document = parseDocument(text);
    const manager = ['static_resources', 'listeners', 0, 'filter_chains', 0, 'filters', 0, 'typed_config'];
    const filter = [...manager, 'http_filters', 2, 'typed_config'];
    for (const [path, settings] of [
      [manager, changed.manager],
      [filter, changed.filter],
    ] as const) {
      if (!isMap(document.getIn(path))) throw new Error(`the configuration has no ${path.join('.')}`);
      for (const [name, value] of Object.entries(settings)) document.setIn([...path, name], document.createNode(value));
    }
    return document.toString();
  };
}

const pieces = fc.constantFrom(
  ...'/ // . .. %2e %2F %5c %25 %00 %c0%af %ef%bc%8f \\ ; ;x=1 # ? &'.split(' '),
  ...'v1 payments p-1 refund admin V1 %70 ! + * : @ ~ _method=DELETE \xff'.split(' '),
  ' ',
);
const randomTarget = fc.oneof(
  fc.array(pieces, { maxLength: 10 }).map((parts) => `/${parts.join('')}`),
  fc.array(pieces, { maxLength: 4 }).map((parts) => `/v1/payments/p-1${parts.join('')}`),
  fc.array(pieces, { maxLength: 3 }).map((parts) => `/v1/payments/${parts.join('')}`),
  fc.constant('/v1/payments/p-1'),
);
const randomLine = fc.oneof(
  fc.constantFrom(
    'Content-Length: 0',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding : chunked',
    'X-HTTP-Method-Override: POST',
    'X-Original-URL: /admin',
    'Connection: close',
    'Host: files.acme.test',
    '',
    'Connection: x-remit-decision',
    'X_Rewrite_Url: /admin',
    'Accept: */*',
    'X-A: a\tb',
    'Expect: 100-continue',
  ),
  fc
    .tuple(fc.string({ maxLength: 8 }), fc.string({ unit: 'binary-ascii', maxLength: 12 }))
    .map(([name, value]) => `${name}: ${value}`),
);
const randomRequest = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'POST', 'get', 'HEAD', 'DELETE', 'OPTIONS', 'GET ', 'CONNECT'),
    target: randomTarget,
    host: fc.constantFrom('payments.acme.test', 'payments.acme.test', 'PAYMENTS.acme.test:1', 'files.acme.test', 'a@b'),
    lines: fc.array(randomLine, { maxLength: 3 }),
    body: fc.constantFrom(
      '',
      '',
      '0\r\n\r\n',
      'POST /v1/payments/p-1/refund HTTP/1.1\r\nHost: payments.acme.test\r\n\r\n',
    ),
  })
  .map(({ method, target, host, lines, body }) =>
    [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Authorization: Bearer TOKEN', ...lines, '', body].join('\r\n'),
  );

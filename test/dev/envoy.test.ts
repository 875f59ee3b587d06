import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request, type RequestOptions } from 'node:https';
import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parseDocument } from 'yaml';
import {
  createAuthority,
  writeBundle,
  writeCredential,
  type CertificateAuthority,
  type IssuedCertificate,
} from '../../src/dev/authority.ts';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig, type EnvoyFiles } from '../../src/tools/init/envoy-config.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { envoyVersions } from '../parts/cache.ts';
import { until } from '../until.ts';
import { startAllowAll, type AllowAll } from './allow-all.ts';

const readme = join(import.meta.dirname, '../../deploy/guide/install/envoy.md');
const shipped = await shippedEnvoyConfig();
let folder: string;
let acme: CertificateAuthority;
let stranger: CertificateAuthority;
let planner: IssuedCertificate;
let files: EnvoyFiles;
let payments: ToolServer;
let fileServer: ToolServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-test-'));
  acme = await createAuthority('acme.test', systemPorts);
  stranger = await createAuthority('acme.test', systemPorts);
  planner = await acme.svid('/ns/agents/sa/planner');
  const own = await acme.svid('/ns/gateway/sa/envoy', { dns: ['payments.acme.test', 'files.acme.test'] });
  files = {
    ...(await writeCredential(folder, 'envoy', own)),
    bundles: new Map([['acme.test', await writeBundle(folder, 'bundle', acme)]]),
  };
  payments = await ToolServer.start('payments');
  fileServer = await ToolServer.start('files');
});
afterAll(async () => {
  await payments.close();
  await fileServer.close();
  await rm(folder, { recursive: true });
});

const configFor = (remitSocket: string) => (adminSocket: string) =>
  envoyConfigWithFiles(
    shipped,
    {
      listener: { host: '127.0.0.1', port: 0 },
      adminSocket,
      remitSocket,
      payments: payments.address,
      files: fileServer.address,
      collector: null,
    },
    files,
  );

async function mustStart(binary: string, remitSocket: string): Promise<EnvoyProcess> {
  const envoy = await EnvoyProcess.start({ binary, config: configFor(remitSocket) });
  if (isBinaryProblem(envoy)) throw new Error(envoy.problem);
  return envoy;
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** One call through Envoy. Rejects where TLS fails. */
async function call(
  envoy: EnvoyProcess,
  client: IssuedCertificate | null,
  options: Omit<RequestOptions, 'headers'> & {
    readonly headers?: OutgoingHttpHeaders;
    readonly body?: string | Buffer;
  } = {},
): Promise<Answer> {
  const { host, port } = envoy.address;
  const { body, headers, ...rest } = options;
  const asked = request({
    host,
    port,
    path: '/v1/payments/p-1',
    agent: false,
    ca: acme.bundlePem,
    servername: 'payments.acme.test',
    ...(client === null ? {} : { cert: client.certPem, key: client.keyPem }),
    ...rest,
    headers: { host: 'payments.acme.test', ...headers },
  });
  asked.end(body);
  const [response] = await once(asked, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
}

for (const version of envoyVersions) {
  describeWith(envoyPart(version), `the shipped envoy.yaml, Envoy ${version}, with a Remit that allows`, (binary) => {
    let envoy: EnvoyProcess;
    let remit: AllowAll;

    beforeAll(async () => {
      remit = await startAllowAll(join(folder, `${version}.sock`));
      envoy = await mustStart(binary, join(folder, `${version}.sock`));
    });
    afterAll(async () => {
      await envoy?.stop();
      await remit?.close();
    });

    it('routes a call with an SVID to the tool server of its host, whatever its port', async () => {
      for (const host of ['payments.acme.test', 'payments.acme.test:8443']) {
        const answer = await call(envoy, planner, { headers: { host } });
        expect(answer).toMatchObject({ status: 200, body: expect.stringContaining('"id":"p-1"') });
      }
      const answer = await call(envoy, planner, { path: '/v1/files', headers: { host: 'files.acme.test' } });
      expect(answer).toMatchObject({ status: 200, body: '{"files":["trip-report","budget"]}\n' });
    });

    it.each([
      ['without a certificate', () => null],
      ['with a certificate of another CA', () => stranger.svid('/ns/agents/sa/planner')],
      [
        'with a certificate that has expired',
        () => acme.svid('/a', { notBeforeMs: Date.now() - 90_000, ttlSeconds: 60 }),
      ],
      [
        'with a certificate of another trust domain from this CA',
        () => acme.certificate({ uris: ['spiffe://other.test/a'] }),
      ],
      ['with a certificate that has no SPIFFE ID', () => acme.certificate({ uris: [], dns: ['a.acme.test'] })],
      ['with a CA certificate', () => acme.certificate({ uris: ['spiffe://acme.test/a'], ca: true })],
    ])('refuses a connection %s', async (_title, client) => {
      const asked = remit.checks.length;
      await expect(call(envoy, await client())).rejects.toThrow(/alert|ECONNRESET|hang up/i);
      expect(remit.checks).toHaveLength(asked);
    });

    it('checks a call to an unknown host', async () => {
      const asked = remit.checks.length;
      expect(await call(envoy, planner, { headers: { host: 'elsewhere.test' } })).toMatchObject({ status: 404 });
      expect(remit.checks).toHaveLength(asked + 1);
    });

    it('sends Remit the certificate, the body, raw headers and a trace context', async () => {
      await call(envoy, planner, { method: 'POST', path: '/v1/payments', body: '{"amount":4711}' });
      const check = remit.checks.at(-1);
      const text = check?.request.toString('latin1');
      for (const part of [
        '-----BEGIN%20CERTIFICATE-----',
        '{"amount":4711}',
        'spiffe://acme.test/ns/agents/sa/planner',
      ]) {
        expect(text).toContain(part);
      }
      expect(check?.metadata).toMatchObject({
        traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
        'grpc-timeout': expect.stringMatching(/^\d+m$/),
      });
    });

    it('drops the client certificate header of a client', async () => {
      const forged = 'By=spiffe://acme.test/x;URI=spiffe://acme.test/ns/agents/sa/other';
      await call(envoy, planner, { headers: { 'x-forwarded-client-cert': forged } });
      expect(payments.received().at(-1)?.headers['x-forwarded-client-cert']).toBeUndefined();
      expect(remit.checks.at(-1)?.request.toString('latin1')).not.toContain('sa/other');
    });

    it.each([
      ['an escaped slash', { path: '/v1%2fpayments' }, 400],
      ['a header with an underscore', { headers: { x_remit: '1' } }, 400],
      ['headers of more than 32 KiB', { headers: { authorization: `Bearer ${'a'.repeat(40_000)}` } }, 431],
      ['an upgrade', { headers: { connection: 'upgrade', upgrade: 'websocket' } }, 403],
      ['a body of more than 64 KiB', { method: 'POST', path: '/v1/payments', body: Buffer.alloc(65_537) }, 413],
    ])('refuses %s', async (_title, options, status) => {
      const arrived = payments.received().length;
      expect(await call(envoy, planner, options)).toMatchObject({ status });
      expect(payments.received()).toHaveLength(arrived);
    });

    it('shows Remit and the tool server one path', async () => {
      await call(envoy, planner, { path: '/v1/files/../payments//p-2?x=1' });
      expect(payments.received().at(-1)?.path).toBe('/v1/payments/p-2?x=1');
      expect(remit.checks.at(-1)?.request.toString('latin1')).toContain('/v1/payments/p-2?x=1');
    });

    it('logs a call without its query and its secrets', async () => {
      const answer = await call(envoy, planner, {
        path: '/v1/payments/p-1?key=s3cret',
        headers: { authorization: 'Bearer s3cret' },
      });
      const id = answer.headers['x-request-id'];
      const line = await firstLine(envoy, `"request":"${String(id)}"`);
      expect(line).not.toContain('s3cret');
      expect(JSON.parse(line)).toMatchObject({
        peer: 'spiffe://acme.test/ns/agents/sa/planner',
        method: 'GET',
        host: 'payments.acme.test',
        path: '/v1/payments/p-1',
        status: 200,
        trace: expect.stringMatching(/^[0-9a-f]{32}$/),
        check_us: expect.anything(),
      });
    });
  });
}

describeWith(envoyPart(), 'the shipped envoy.yaml with a Remit that is not there', (binary) => {
  it('refuses every call with 503', async () => {
    const envoy = await mustStart(binary, join(folder, 'nobody.sock'));
    try {
      const arrived = payments.received().length;
      expect(await call(envoy, planner)).toMatchObject({ status: 503 });
      expect(await call(envoy, planner, { headers: { host: 'elsewhere.test' } })).toMatchObject({ status: 503 });
      expect(payments.received()).toHaveLength(arrived);
      expect(JSON.parse(await firstLine(envoy, '"status":503'))).toMatchObject({ details: 'ext_authz_error' });
    } finally {
      await envoy.stop();
    }
  });
});

describeWith(envoyPart(), 'the README of the Envoy configuration', (binary) => {
  let envoy: EnvoyProcess;
  let remit: AllowAll;

  beforeAll(async () => {
    remit = await startAllowAll(join(folder, 'readme.sock'));
    const shown = /```yaml\n(static_resources:.*?)```/s.exec(await readFile(readme, 'utf8'))?.[1] ?? '';
    const config = (adminSocket: string): string => {
      const document = parseDocument(configFor(join(folder, 'readme.sock'))(adminSocket));
      const here = shown
        .replace('/run/remit-envoy/admin.sock', adminSocket)
        .replace('0.0.0.0, port_value: 9902', '127.0.0.1, port_value: 0');
      const added = parseDocument(here);
      for (const list of ['listeners', 'clusters']) {
        document.addIn(['static_resources', list], added.getIn(['static_resources', list, 0]));
      }
      return document.toString();
    };
    const started = await EnvoyProcess.start({ binary, config });
    if (isBinaryProblem(started)) throw new Error(started.problem);
    envoy = started;
  });
  afterAll(async () => {
    await envoy?.stop();
    await remit?.close();
  });

  it('exposes a listener for metrics, and nothing else of the admin interface', async () => {
    const { body } = await envoy.admin('/listeners?format=json');
    const port = /"name": "metrics".*?"port_value": (\d+)/s.exec(body)?.[1];
    const get = async (path: string, method = 'GET'): Promise<readonly [number, string]> => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
      return [response.status, await response.text()];
    };
    expect(await get('/ready')).toEqual([200, 'LIVE\n']);
    expect(await get('/stats/prometheus')).toEqual([200, expect.stringContaining('envoy_cluster_membership_healthy')]);
    expect(await get('/quitquitquit', 'POST')).toEqual([404, '']);
    expect(await get('/ready', 'POST')).toEqual([404, '']);
    expect(await get('/config_dump')).toEqual([404, '']);
  });

  it('names existing statistics', async () => {
    await call(envoy, planner);
    const { body } = await envoy.admin('/stats');
    const alarms = [...(await readFile(readme, 'utf8')).matchAll(/`((?:http|cluster)\.[a-z_.]+)`/g)].map(
      ([, name]) => name,
    );
    expect(alarms).toHaveLength(4);
    for (const name of alarms) expect(body).toContain(`${name}: `);
  });
});

describeWith(envoyPart(), 'EnvoyProcess', (binary) => {
  it('leaves neither a process nor a file after stop', async () => {
    const envoy = await mustStart(binary, join(folder, 'nobody.sock'));
    expect((await envoy.admin('/ready')).body).toBe('LIVE\n');
    await envoy.stop();
    await envoy.stop();
    await envoy.exited;
    expect(existsSync(dirname(envoy.adminSocket))).toBe(false);
    await expect(call(envoy, planner)).rejects.toThrow('ECONNREFUSED');
  });

  it("returns Envoy's message if it does not start", async () => {
    const envoy = await EnvoyProcess.start({ binary, config: () => 'admin: { nonsense: 1 }' });
    expect(isBinaryProblem(envoy) ? envoy.problem : envoy).toMatch(/^envoy ended at start: .*nonsense/);
  });

  it('fails if Envoy is not ready in time', async () => {
    const config = configFor(join(folder, 'nobody.sock'));
    const envoy = await EnvoyProcess.start({ binary, config, readyWithinMs: 1 });
    expect(isBinaryProblem(envoy) ? envoy.problem : envoy).toMatch(/^envoy was not ready within 1 ms/);
  });

  it('reports a missing binary', async () => {
    const envoy = await EnvoyProcess.start({ binary: '/nowhere/envoy', config: () => '' });
    expect(isBinaryProblem(envoy) ? envoy.problem : envoy).toContain('/nowhere/envoy');
  });

  it('ends with its parent, even if that is killed', async () => {
    const parent = spawn(
      process.execPath,
      [fileURLToPath(new URL('./envoy-parent.ts', import.meta.url)), binary, folder],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const [line] = await once(parent.stdout, 'data');
    const { pid, adminSocket } = JSON.parse(String(line));
    expect(existsSync(adminSocket)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => isGone(Number(pid)));
    await rm(dirname(adminSocket), { recursive: true });
  });
});

/** The first line of the access log with `part` in it, as soon as it is written. */
const firstLine = (envoy: EnvoyProcess, part: string): Promise<string> =>
  until(() => envoy.accessLog().find((entry) => entry.includes(part)), { what: `a line with ${part}` });

const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

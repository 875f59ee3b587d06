import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { shippedEnvoyConfig } from '../../../src/tools/init/envoy-config.ts';
import { examples } from '../../e2e/domain.ts';
import { freePorts } from '../../free-port.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { diagnosed } from './diagnosed.ts';

/** The shipped configuration in clear, since this is about the process; with its admin interface at all addresses. */
async function openConfig(admin: number, remit: string): Promise<string> {
  const config = parse(await shippedEnvoyConfig());
  config.admin.address = { socket_address: { address: '0.0.0.0', port_value: admin } };
  const { clusters, listeners } = config.static_resources;
  const [{ filter_chains: chains }] = listeners;
  const manager = chains[0].filters[0].typed_config;
  delete chains[0].transport_socket;
  listeners[0].address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
  // Nothing but calls shows then whether Remit is there.
  delete clusters[0].health_checks;
  clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address = { pipe: { path: remit } };
  const check = manager.http_filters.find(({ name }: { readonly name: string }) => name.endsWith('ext_authz'));
  check.typed_config.filter_enabled = { runtime_key: 'remit.asked', default_value: { numerator: 100 } };
  manager.route_config.virtual_hosts[0].routes.unshift({ match: { prefix: '/admin/' }, route: { cluster: 'admin' } });
  clusters.push({
    name: 'admin',
    type: 'STATIC',
    load_assignment: {
      cluster_name: 'admin',
      endpoints: [
        { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } } }] },
      ],
    },
  });
  config.layered_runtime.layers.push(
    { name: 'paths', static_layer: { 'http_connection_manager.normalize_path': false } },
    { name: 'admin', admin_layer: {} },
  );
  return stringify(config);
}

/** The port of the first listener. */
async function portOf(admin: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/listeners`)).text();
  return Number(/127\.0\.0\.1:(\d+)/.exec(text)?.[1]);
}

/** The status of a call of the payments server. */
async function statusOf(port: number): Promise<number | undefined> {
  const asked = request({ host: '127.0.0.1', port, path: '/v1/payments/p-1', headers: { host: 'payments.acme.test' } });
  const [response] = (await once(asked.end(), 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

describeWith(envoyPart(), 'remit doctor on a process of Envoy that others can reach', (binary) => {
  let folder: string;
  let admin = 0;
  let envoy: ChildProcess;

  const found = async (others: readonly string[] = [], only = 'envoy'): Promise<readonly string[]> => {
    const { findings } = await diagnosed(['--only', only, '--envoy', `127.0.0.1:${admin}`, '--json', ...others]);
    return findings
      .filter(({ level }) => level !== 'info')
      .map(({ code, level, where }) => `${level} ${code} ${where}`);
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'remit-process-'));
    [admin = 0] = await freePorts(1);
    writeFileSync(join(folder, 'envoy.yaml'), await openConfig(admin, join(folder, 'check.sock')));
    const options = [
      '-c',
      join(folder, 'envoy.yaml'),
      '--disable-hot-restart',
      '--concurrency',
      '1',
      '--log-level',
      'off',
    ];
    envoy = spawn(binary, options, { stdio: 'ignore' });
    await until(async () => (await fetch(`http://127.0.0.1:${admin}/ready`).catch(() => null))?.status === 200, {
      what: 'an Envoy',
      withinMs: 60_000,
    });
  });
  afterAll(async () => {
    if (envoy !== undefined && envoy.exitCode === null) {
      envoy.kill('SIGKILL');
      await once(envoy, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds its admin interface at all addresses, and a route to it (issue 37, point 17)', async () => {
    expect(await found()).toEqual(
      expect.arrayContaining([
        'error envoy.admin-open envoy',
        'error envoy.admin-open listener/agents/route/payments/0',
        'warning envoy.runtime envoy/runtime/in-force',
        'warning envoy.runtime listener/agents',
      ]),
    );
  });

  it('does not take connections that failed before a restart of Remit for current failures (issue 37, point 17)', async () => {
    expect(await statusOf(await portOf(admin))).toBe(503);
    const remit = createServer().listen(join(folder, 'check.sock'));
    await once(remit, 'listening');
    try {
      expect((await found()).filter((one) => one.includes('envoy.unreachable'))).toEqual([]);
    } finally {
      remit.close();
    }
  });

  it('compares it with the configuration of the Remit beside it (issue 37, point 17)', async () => {
    const config = {
      trustDomains: ['acme.test'],
      extAuthz: {
        listen: `unix:${join(folder, 'check.sock')}`,
        identity: 'xfcc',
        proxyId: 'spiffe://acme.test/envoy',
        maxBodyBytes: 1_000,
      },
      policies: { folder: join(folder, 'policies') },
    };
    cpSync(examples, join(folder, 'policies'), { recursive: true });
    const catalog = join(folder, 'policies/actions.yaml');
    writeFileSync(catalog, readFileSync(catalog, 'utf8').replace('[files.acme.test]', '[elsewhere.acme.test]'));
    writeFileSync(join(folder, 'remit.yaml'), stringify(config));
    expect(await found(['--config', join(folder, 'remit.yaml')], 'envoy,policy')).toEqual(
      expect.arrayContaining([
        'error envoy.fails-calls listener/agents',
        'warning envoy.fails-calls listener/agents',
        'warning envoy.host-unserved host/elsewhere.acme.test',
      ]),
    );
  });

  it('finds a runtime key by which Remit is not asked, once it is in force (issue 37, point 17)', async () => {
    const before = await found();
    expect(before).not.toContain('error envoy.runtime listener/agents');
    const { status } = await fetch(`http://127.0.0.1:${admin}/runtime_modify?remit.asked=0`, { method: 'POST' });
    expect(status).toBe(200);
    expect(await found()).toContain('error envoy.runtime listener/agents');
  });
});

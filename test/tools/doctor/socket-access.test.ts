import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { describeWith, envoyPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { diagnosed } from './diagnosed.ts';

const NOBODY = 65_534;
const GROUP = 64_999;

const typed = (name: string): object => ({ '@type': `type.googleapis.com/envoy.${name}` });
const http2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    ...typed('extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};

/** A bootstrap with one listener that asks the socket. */
const bootstrap = (admin: string, socket: string): object => ({
  admin: { address: { pipe: { path: admin } } },
  static_resources: {
    listeners: [
      {
        name: 'agents',
        address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
        filter_chains: [
          {
            filters: [
              {
                name: 'envoy.filters.network.http_connection_manager',
                typed_config: {
                  ...typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
                  stat_prefix: 'agents',
                  route_config: {
                    virtual_hosts: [
                      {
                        name: 'all',
                        domains: ['*'],
                        routes: [{ match: { prefix: '/' }, route: { cluster: 'remit' } }],
                      },
                    ],
                  },
                  http_filters: [
                    {
                      name: 'envoy.filters.http.ext_authz',
                      typed_config: {
                        ...typed('extensions.filters.http.ext_authz.v3.ExtAuthz'),
                        transport_api_version: 'V3',
                        grpc_service: { envoy_grpc: { cluster_name: 'remit' } },
                      },
                    },
                    {
                      name: 'envoy.filters.http.router',
                      typed_config: typed('extensions.filters.http.router.v3.Router'),
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
    clusters: [
      {
        name: 'remit',
        typed_extension_protocol_options: http2,
        load_assignment: {
          cluster_name: 'remit',
          endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
        },
      },
    ],
  },
});

const isRoot = process.getuid?.() === 0;

describeWith(envoyPart(), 'remit doctor on an Envoy of another user', (binary) => {
  let folder: string;
  let run: string;
  let socket: string;
  let admin: string;
  let remit: Server;
  let envoy: ChildProcess;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'remit-access-'));
    run = join(folder, 'run');
    const own = join(folder, 'envoy-run');
    for (const one of [run, own]) mkdirSync(one);
    chmodSync(folder, 0o755);
    socket = join(run, 'check.sock');
    admin = join(own, 'admin.sock');
    remit = createServer().listen(socket);
    await once(remit, 'listening');
    // The cache of parts is private to this user.
    const copy = join(folder, 'envoy');
    copyFileSync(binary, copy);
    chmodSync(copy, 0o755);
    writeFileSync(join(own, 'envoy.yaml'), stringify(bootstrap(admin, socket)));
    if (!isRoot) return;
    chownSync(own, NOBODY, NOBODY);
    const user = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, `--groups=${GROUP}`];
    const options = [
      '-c',
      join(own, 'envoy.yaml'),
      '--disable-hot-restart',
      '--concurrency',
      '1',
      '--log-level',
      'off',
    ];
    envoy = spawn('setpriv', [...user, copy, ...options], { stdio: 'ignore' });
    await until(
      async () =>
        (await diagnosed(['--only', 'envoy', '--envoy', `unix:${admin}`, '--json'])).report.examined.length > 0,
      {
        what: 'an Envoy',
        withinMs: 60_000,
      },
    );
  });
  afterAll(async () => {
    if (envoy !== undefined && envoy.exitCode === null) {
      envoy.kill('SIGKILL');
      await once(envoy, 'exit');
    }
    remit?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const access = async (): Promise<readonly string[]> => {
    const { findings } = await diagnosed(['--only', 'envoy', '--envoy', `unix:${admin}`, '--json']);
    return findings.filter(({ code }) => code === 'envoy.socket-access').map(({ message }) => message);
  };

  // Without root nobody can run a process of another user.
  (isRoot ? it : it.skip).each([
    ['a private folder', 0o700, 0o660, 0, (): string => run],
    ['a private socket', 0o711, 0o600, 0, (): string => socket],
    ['a socket of another group', 0o711, 0o660, 0, (): string => socket],
    ['a folder of a group of Envoy', 0o750, 0o660, GROUP, (): null => null],
    ['a socket for all', 0o755, 0o666, 0, (): null => null],
  ])('names %s that keeps it out', async (_name, folderMode, socketMode, group, refused) => {
    chmodSync(run, folderMode);
    chmodSync(socket, socketMode);
    for (const one of [run, socket]) chownSync(one, 0, group);
    const found = await access();
    const path = refused();
    const said = new RegExp(`^\`${path}\` has mode \\d{4}, owner 0 .* user ${NOBODY} with the groups`);
    expect(found).toEqual(path === null ? [] : [expect.stringMatching(said)]);
    // What the doctor says is what the kernel does.
    const tried = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, `--groups=${GROUP}`, 'test', '-w', socket];
    expect(isDone(tried)).toBe(path === null);
  });
});

function isDone([command = '', ...args]: readonly string[]): boolean {
  try {
    execFileSync(command, args);
    return true;
  } catch {
    return false;
  }
}

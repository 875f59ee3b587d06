import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { namedFileAt, namedFilesOf } from '../../../src/tools/doctor/collect/named-files.ts';
import { configFromBootstrap } from '../../../src/tools/doctor/envoy/envoy-config.ts';
import { ownFiles } from '../../../src/tools/doctor/envoy/own-files.ts';
import { diagnosed } from './diagnosed.ts';
import { typed } from './fault-parts.ts';

/** Folders that every user can enter, unlike those of `scratch`. */
const roots: string[] = [];
let at = '';
beforeEach(() => {
  at = mkdtempSync(join(tmpdir(), 'remit-own-files-'));
  roots.push(at);
  chmodSync(at, 0o755);
});
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true });
});

const PEM = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';

/** Writes a file of the folder, with its mode. */
function file(name: string, mode: number, text = ''): string {
  const path = join(at, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** What is found about the files that a bootstrap names, as `level code field`. */
async function found(bootstrap: object, delivered: readonly object[] = []): Promise<readonly string[]> {
  const config = configFromBootstrap(bootstrap, delivered);
  const files = await namedFilesOf(config);
  const facts = { prefix: '', config, live: null, sockets: new Map(), files, remitCluster: null };
  return (ownFiles.run(facts) ?? []).map(
    ({ code, level = 'error', message }) => `${level} ${code} ${/^`([^`]*)`/.exec(message)?.[1] ?? ''}`,
  );
}

const listener = (...filters: readonly object[]): object => ({
  static_resources: {
    listeners: [
      {
        name: 'agents',
        filter_chains: [
          {
            filters: [
              {
                typed_config: {
                  ...typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
                  http_filters: filters,
                  rds: { route_config_name: 'late' },
                },
              },
            ],
          },
        ],
      },
    ],
  },
});
const lua = (fields: object): object => ({
  name: 'lua',
  typed_config: { ...typed('extensions.filters.http.lua.v3.Lua'), ...fields },
});
const wasm = (vm: object): object => ({
  name: 'wasm',
  typed_config: { ...typed('extensions.filters.http.wasm.v3.Wasm'), config: { vm_config: vm } },
});
const secret = (fields: object): object => ({ static_resources: { secrets: [{ name: 's', ...fields }] } });
const tls = (certificate: object): object => ({
  static_resources: {
    listeners: [
      {
        name: 'agents',
        filter_chains: [
          {
            transport_socket: { typed_config: { common_tls_context: { tls_certificates: [certificate] } } },
            filters: [],
          },
        ],
      },
    ],
  },
});

describe('ownFiles', () => {
  it.each<[what: string, config: (path: string) => object, field: string]>([
    ['of a listener', (filename) => tls({ private_key: { filename } }), 'tls_certificates.private_key.filename'],
    [
      'of a provider of keys',
      (filename) => tls({ private_key_provider: { typed_config: { private_key: { filename } } } }),
      'typed_config.private_key.filename',
    ],
    ['in PKCS #12', (filename) => tls({ pkcs12: { filename } }), 'tls_certificates.pkcs12.filename'],
    ['by its password', (filename) => tls({ password: { filename } }), 'tls_certificates.password.filename'],
    [
      'of a cluster',
      (filename) => ({
        static_resources: {
          clusters: [
            {
              name: 'c',
              transport_socket: {
                typed_config: { common_tls_context: { tls_certificates: [{ private_key: { filename } }] } },
              },
            },
          ],
        },
      }),
      'tls_certificates.private_key.filename',
    ],
    [
      'of a secret',
      (filename) => secret({ tls_certificate: { private_key: { filename } } }),
      'tls_certificate.private_key.filename',
    ],
    [
      'of a generic secret',
      (filename) => secret({ generic_secret: { secret: { filename } } }),
      'generic_secret.secret.filename',
    ],
    [
      'of session tickets',
      (filename) => secret({ session_ticket_keys: { keys: [{ inline_string: 'x' }, { filename }] } }),
      'session_ticket_keys.keys.filename',
    ],
  ])('finds a private key %s that everybody can read', async (_what, config, field) => {
    expect(await found(config(file('a.key', 0o644)))).toEqual([`error envoy.leak ${field}`]);
    for (const mode of [0o600, 0o640, 0o660]) expect(await found(config(file('a.key', mode)))).toEqual([]);
  });

  it('takes a key below a folder that others cannot enter, or that is not here', async () => {
    mkdirSync(join(at, 'own'), { mode: 0o750 });
    const key = file('own/a.key', 0o644);
    expect(await found(tls({ private_key: { filename: key } }))).toEqual([]);
    expect(await found(tls({ private_key: { filename: join(at, 'missing') } }))).toEqual([]);
    chmodSync(join(at, 'own'), 0o755);
    expect(await found(tls({ private_key: { filename: key } }))).toHaveLength(1);
  });

  it('looks at what a link leads to', async () => {
    mkdirSync(join(at, 'own'), { mode: 0o700 });
    symlinkSync(file('own/a.key', 0o644), join(at, 'closed'));
    symlinkSync(file('open.key', 0o644), join(at, 'own/link'));
    expect((await namedFileAt(join(at, 'closed'))).exposed).toBeNull();
    expect((await namedFileAt(join(at, 'own/link'))).exposed).toContain('has mode 0644');
  });

  it.each<[what: string, text: string, isFound: boolean]>([
    ['a key', PEM, true],
    ['a key of a kind', PEM.replaceAll('PRIVATE', 'EC PRIVATE'), true],
    ['an encrypted key', PEM.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'), true],
    ['a key in `inline_bytes`', JSON.stringify({ inline_bytes: Buffer.from(PEM).toString('base64') }), true],
    ['a certificate', PEM.replaceAll('PRIVATE KEY', 'CERTIFICATE'), false],
    ['a public key', PEM.replaceAll('PRIVATE', 'PUBLIC'), false],
  ])('finds %s in a file of secrets that everybody can read: %s', async (_what, text, isFound) => {
    const path = file('sds.yaml', 0o644, text);
    const source = { sds_config: { path_config_source: { path } } };
    const config = tls({ tls_certificate_sds_secret_configs: [{ name: 's', ...source }] });
    expect(await found(config)).toEqual(isFound ? ['error envoy.leak sds_config.path_config_source.path'] : []);
  });

  it.each<
    [what: string, config: (path: string) => object, field: string, delivered?: (path: string) => readonly object[]]
  >([
    [
      'Lua',
      (filename) => listener(lua({ default_source_code: { filename } })),
      'typed_config.default_source_code.filename',
    ],
    [
      'Lua by name',
      (filename) => listener(lua({ source_codes: { 'a.lua': { filename } } })),
      'source_codes.a.lua.filename',
    ],
    ['Wasm', (filename) => listener(wasm({ code: { local: { filename } } })), 'code.local.filename'],
    [
      'Go',
      (path) => listener({ name: 'go', typed_config: { library_path: path } }),
      'http_filters.typed_config.library_path',
    ],
    [
      'a service of Wasm',
      (filename) => ({
        bootstrap_extensions: [{ typed_config: { config: { vm_config: { code: { local: { filename } } } } } }],
      }),
      'code.local.filename',
    ],
    [
      'Lua of a route that arrives',
      () => listener(),
      'lua.source_code.filename',
      (filename) => [
        {
          ...typed('config.route.v3.RouteConfiguration'),
          name: 'late',
          virtual_hosts: [{ name: 'h', typed_per_filter_config: { lua: { source_code: { filename } } } }],
        },
      ],
    ],
    [
      'a filter that arrives',
      () => listener({ name: 'late', config_discovery: {} }),
      'default_source_code.filename',
      (filename) => [
        {
          ...typed('config.core.v3.TypedExtensionConfig'),
          name: 'late',
          typed_config: { ...typed('extensions.filters.http.lua.v3.Lua'), default_source_code: { filename } },
        },
      ],
    ],
  ])('finds code of %s that others can write', async (_what, config, field, delivered = () => []) => {
    const path = file('code', 0o664);
    expect(await found(config(path), delivered(path))).toEqual([`error envoy.impostor ${field}`]);
    chmodSync(path, 0o644);
    expect(await found(config(path), delivered(path))).toEqual([]);
    chmodSync(at, 0o777);
    expect(await found(config(path), delivered(path))).toEqual([`error envoy.impostor ${field}`]);
  });

  it.each<[what: string, certificate: object, mode: number, isFound: boolean]>([
    ['a private key', { private_key: { inline_string: PEM } }, 0o644, true],
    ['a private key in base64', { private_key: { inline_bytes: Buffer.from(PEM).toString('base64') } }, 0o644, true],
    ['a private key, for its group alone', { private_key: { inline_string: PEM } }, 0o640, false],
    ['no private key', { certificate_chain: { inline_string: 'x' } }, 0o644, false],
  ])('looks at a bootstrap with %s in it', async (_what, certificate, mode, isFound) => {
    const path = file('envoy.yaml', mode, JSON.stringify(tls(certificate)));
    const { findings } = await diagnosed(['-f', path, '--json']);
    const leaks = findings.filter(({ code }) => code === 'envoy.leak').map(({ level, where }) => `${level} ${where}`);
    expect(leaks).toEqual(isFound ? [`error ${path}: file/${path}`] : []);
  });

  it('says that code is not on this machine', async () => {
    const config = listener(lua({ default_source_code: { filename: join(at, 'missing') } }));
    expect(await found(config)).toEqual(['info envoy.unseen typed_config.default_source_code.filename']);
  });

  it('names the file, why, and what to do', async () => {
    const path = file('a.key', 0o604);
    const config = configFromBootstrap(tls({ private_key: { filename: path } }));
    const facts = {
      prefix: '',
      config,
      live: null,
      sockets: new Map(),
      files: await namedFilesOf(config),
      remitCluster: null,
    };
    expect(ownFiles.run(facts)).toEqual([
      {
        code: 'envoy.leak',
        where: `file/${path}`,
        message: `\`tls_certificates.private_key.filename\`: \`${path}\` has mode 0604, and every user of this machine can read it: anyone who has this key can pose as this Envoy`,
        fix: expect.stringContaining('chmod o-rwx'),
      },
    ]);
  });
});

import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { createAuthority } from '../../../src/dev/authority.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { examples } from '../../e2e/domain.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { BOOTSTRAP_FAULTS } from './bootstrap-faults.ts';
import type { BootstrapFault, BrokenBootstrap } from './bootstrap-faults.ts';
import { diagnosed } from './diagnosed.ts';

const shipped = resolve(import.meta.dirname, '../../../deploy/envoy/envoy.yaml');
const folder = testFolders();

/** Bundles by the name of their file. */
const bundles = new Map<string, string>();

beforeAll(async () => {
  const [acme, renewed, other] = await Promise.all(
    ['acme.test', 'acme.test', 'other.test'].map(async (name) => (await createAuthority(name, systemPorts)).bundlePem),
  );
  bundles.set('bundle.pem', `${acme}`).set('other.pem', `${other}`);
  bundles.set('bundle-of-remit.pem', `${acme}`);
  bundles.set('both.pem', `${acme}${other}`).set('renewed.pem', `${acme}${renewed}`);
});

/** The shipped bootstrap with files of a folder of its own, broken by a fault. */
function broken(change: BootstrapFault['break']): string {
  const at = folder();
  for (const [name, pem] of bundles) {
    writeFileSync(join(at, name), pem);
    chmodSync(join(at, name), 0o644);
  }
  const config = parse(readFileSync(shipped, 'utf8'));
  const [listener] = config.static_resources.listeners;
  const [chain] = listener.filter_chains;
  const validation = chain.transport_socket.typed_config.common_tls_context.validation_context;
  validation.custom_validator_config.typed_config.trust_domains[0].trust_bundle.filename = join(at, 'bundle.pem');
  const parts: BrokenBootstrap = {
    config,
    listener,
    manager: chain.filters[0].typed_config,
    validation,
    remit: config.static_resources.clusters[0],
    folder: at,
  };
  change(parts);
  const file = join(at, 'envoy.yaml');
  writeFileSync(file, stringify(config, { aliasDuplicateObjects: false }));
  return file;
}

/** The findings about CAs where Remit has a bundle of its own. */
async function besideRemit(bundle: string, change: BootstrapFault['break']): Promise<readonly string[]> {
  const file = broken(change);
  const at = dirname(file);
  const svid = { certificate: join(at, bundle), key: join(at, bundle), bundle: join(at, bundle) };
  const extAuthz = { listen: `unix:${join(at, 'check.sock')}` };
  const config = join(at, 'remit.yaml');
  writeFileSync(config, stringify({ trustDomains: ['acme.test'], svid, extAuthz, policies: { folder: examples } }));
  const { findings, report } = await diagnosed(['-f', file, '--config', config, '--json']);
  expect(report.examined).toHaveLength(2);
  return findings.flatMap(({ code, level, where }) =>
    code === 'envoy.weak-tls' ? [`${level} ${where.replace(`${file}: `, '')}`] : [],
  );
}

/** The bundle of Envoy after the CA of its trust domain was renewed. */
const renewed = ({ folder: at }: BrokenBootstrap): void =>
  copyFileSync(join(at, 'renewed.pem'), join(at, 'bundle.pem'));

/** All codes, also those of infos. */
const codesOf = async (change: BootstrapFault['break']): Promise<readonly string[]> => {
  const { findings } = await diagnosed(['-f', broken(change), '--json']);
  return findings.map(({ code }) => code);
};

describe('remit doctor -f of a bootstrap', () => {
  it.each(BOOTSTRAP_FAULTS)('finds $name', async ({ break: change, found }) => {
    const { findings, report } = await diagnosed(['-f', broken(change), '--json']);
    expect(report.not_examined).toEqual([]);
    const codes = findings.filter(({ level }) => level !== 'info').map(({ code }) => code);
    expect([...new Set(codes)].toSorted()).toEqual(found.toSorted());
  });

  it('says that a failed check is answered without a reason, if no body is written for it', async () => {
    expect(await codesOf(() => undefined)).not.toContain('envoy.empty-error');
    expect(await codesOf(({ manager }) => void delete manager.local_reply_config)).toContain('envoy.empty-error');
  });

  it('finds a CA that the bundle of Remit does not have', async () => {
    expect(await besideRemit('bundle.pem', () => undefined)).toEqual([]);
    expect(await besideRemit('renewed.pem', renewed)).toEqual([]);
    expect(await besideRemit('bundle-of-remit.pem', renewed)).toEqual(['warning listener/agents']);
  });

  it.each(['pipe', 'a\u0000b', 'x'.repeat(9_000), 'envoy.yaml/x', ''])(
    'goes on if a bootstrap names %j as a source',
    async (name) => {
      const file = broken(({ config, folder: at }) => {
        if (name === 'pipe') execFileSync('mkfifo', [join(at, name)]);
        config.dynamic_resources = { lds_config: { path_config_source: { path: join(at, name) } } };
      });
      expect((await diagnosed(['-f', file, '--json'])).exit).toBe(0);
    },
  );

  it('names the file, the field and why others can write it', async () => {
    const file = broken(({ folder: at }) => chmodSync(join(at, 'bundle.pem'), 0o666));
    const { findings } = await diagnosed(['-f', file, '--json']);
    const bundle = join(file, '../bundle.pem');
    expect(findings.filter(({ level }) => level === 'error')).toEqual([
      expect.objectContaining({
        where: `${file}: file/${bundle}`,
        message: expect.stringMatching(
          /`trust_domains\.trust_bundle\.filename`: .* has mode 0666: anybody who adds a CA/,
        ),
        fix: expect.stringContaining('chmod go-w'),
      }),
    ]);
  });
});

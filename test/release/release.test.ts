import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { refusedLicence } from '../../.ci/release/licences.ts';
import { productionPackages } from '../../.ci/release/lock-file.ts';
import { manifestIn } from '../../.ci/release/manifest.ts';
import { notesProblem, releaseNotes } from '../../.ci/release/notes.ts';
import { testFolders } from '../builders/test-folders.ts';
import { describeWith, helmPart } from '../parts.ts';
import { until } from '../until.ts';
import { copySources, root } from './sources.ts';

const { version } = manifestIn(root);
const packages = productionPackages(root);
const folder = testFolders();

/** Node.js and its npm by name, without anything else of this project. */
const path = `${dirname(process.execPath)}:${process.env['PATH']}`;

const inShell = (script: string, cwd: string): string =>
  execFileSync('sh', ['-ec', script], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

const digestOf = (integrity: string): string => Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');

/** Starts `remit serve` of an installation until it answers, and ends it. */
async function serves(command: string): Promise<string> {
  const at = folder();
  const policies = join(root, 'cedar-policies');
  const config = `trustDomains: [acme.test]\nextAuthz: { listen: 'unix:${at}/check.sock' }\nadmin: { listen: '127.0.0.1:0' }\npolicies: ${policies}\nstate: sqlite:state.db\ndrainSeconds: 0\n`;
  writeFileSync(join(at, 'remit.yaml'), config, { mode: 0o600 });
  const child = spawn(command, ['serve', '--config', join(at, 'remit.yaml')], {
    env: { PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += String(chunk)));
  const exit = once(child, 'exit');
  await until(() => (said.includes('checks on') || child.exitCode !== null ? true : undefined));
  child.kill('SIGTERM');
  await exit;
  return said;
}

describe('`npm run release`', () => {
  const [first, second] = [folder(), folder()];
  let printed = '';

  beforeAll(() => {
    copySources(join(first, 'sources'));
    printed = inShell(`umask 022; cd sources; exec '${process.execPath}' .ci/release/release.ts --out ../out`, first);
    renameSync(join(first, 'sources'), join(second, 'sources'));
    inShell('find sources -type f -exec touch -d 2001-01-01 {} +; chmod -R go-rwx sources', second);
    inShell(`umask 077; cd sources; exec '${process.execPath}' .ci/release/release.ts --out ../out`, second);
  }, 600_000);

  const released = (file: string): string => join(first, 'out', file);

  it('makes the same bytes in two folders with other times, modes and umask', () => {
    expect(readFileSync(join(second, 'out/SHA256SUMS'), 'utf8')).toBe(readFileSync(released('SHA256SUMS'), 'utf8'));
    expect(inShell('sha256sum --check SHA256SUMS', join(second, 'out')).trim().split('\n')).toEqual(
      [
        'NOTES.md',
        'THIRD-PARTY-LICENSES.txt',
        `chart/remit-${version}.tgz`,
        `host/remit-${version}-host.tar.gz`,
        `npm/remit-${version}.tgz`,
        'sbom.cdx.json',
      ].map((file) => `${file}: OK`),
    );
  });

  it('prints how to sign, publish and verify what it made', () => {
    for (const words of [
      'cosign sign-blob',
      'npm publish --provenance',
      'cosign verify-blob',
      `npm/remit-${version}.tgz`,
    ])
      expect(printed).toContain(words);
  });

  it('refuses a folder that exists', () => {
    expect(() =>
      inShell(`exec '${process.execPath}' .ci/release/release.ts --out ../out`, join(second, 'sources')),
    ).toThrow(/`.*\/out` exists/);
  });

  it('makes an npm package that installs the packages of the lock file alone, without a registry, and serves', async () => {
    const at = folder();
    inShell(`npm install --omit=dev --offline --no-fund --no-audit '${released(`npm/remit-${version}.tgz`)}'`, at);
    const installed = JSON.parse(readFileSync(join(at, 'node_modules/.package-lock.json'), 'utf8')).packages;
    const versions = Object.entries<{ readonly version: string }>(installed).map(
      ([name, { version: of }]) => `${name.split('node_modules/').at(-1)} ${of}`,
    );
    expect(versions.toSorted()).toEqual(
      [...packages.map((one) => `${one.name} ${one.version}`), `remit ${version}`].toSorted(),
    );
    expect(await serves(join(at, 'node_modules/.bin/remit'))).toContain('checks on');
  });

  it('makes an archive for hosts that changes no folder that all hosts have, and serves without a registry', async () => {
    const at = folder();
    const archive = released(`host/remit-${version}-host.tar.gz`);
    const listed = inShell(`tar --list --verbose --numeric-owner --file '${archive}'`, at).trim().split('\n');
    expect(listed.filter((line) => !/^(?:drwxr-xr-x|-rw-r--r--|-rwxr-xr-x|l[rwx-]{9}) 0\/0 /.test(line))).toEqual([]);
    const names = listed.map((line) => line.split(/ +/)[5]?.replace(/\/$/, '') ?? '');
    for (const shared of ['usr', 'usr/bin', 'usr/lib', 'usr/lib/systemd/system']) expect(names).not.toContain(shared);
    for (const unit of ['remit.service', 'remit@.service', 'remit-agent@.service', 'remit-authority.service'])
      expect(names).toContain(`usr/lib/systemd/system/${unit}`);
    inShell(`tar --extract --file '${archive}'`, at);
    expect(statSync(join(at, 'usr/lib/remit/dist/main.js')).mode & 0o777).toBe(0o755);
    expect(inShell('usr/bin/remit --version', at)).toBe(`remit ${version}\n`);
    expect(await serves(join(at, 'usr/bin/remit'))).toContain('checks on');
  });

  describeWith(helmPart(), 'its chart', (helms) => {
    it.each(helms)('is one that %s shows and renders', (helm) => {
      const chart = released(`chart/remit-${version}.tgz`);
      expect(inShell(`'${helm}' show chart '${chart}'`, folder())).toContain(`\nversion: ${version}\n`);
      expect(inShell(`'${helm}' template remit '${chart}' --kube-version 1.37.2`, folder())).toContain(
        `ghcr.io/remit-dev/remit:${version}`,
      );
    });
  });

  it('names each package it runs with in the bill of materials, with the digest of its archive', () => {
    const bill = JSON.parse(readFileSync(released('sbom.cdx.json'), 'utf8'));
    expect([bill.bomFormat, bill.specVersion, bill.metadata.component.version]).toEqual(['CycloneDX', '1.6', version]);
    expect(
      bill.components.map(
        (one: { readonly purl: string; readonly hashes: readonly { readonly content: string }[] }) => [
          one.purl,
          one.hashes[0]?.content,
        ],
      ),
    ).toEqual(
      packages.map((one) => [`pkg:npm/${one.name.replace('@', '%40')}@${one.version}`, digestOf(one.integrity)]),
    );
    const dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[] = bill.dependencies;
    const refs = new Set(dependencies.map(({ ref }) => ref));
    expect(dependencies.flatMap(({ dependsOn }) => dependsOn).filter((ref) => !refs.has(ref))).toEqual([]);
    const reached = new Set<string>();
    const visit = (ref: string): void => {
      if (reached.has(ref)) return;
      reached.add(ref);
      for (const next of dependencies.find((one) => one.ref === ref)?.dependsOn ?? []) visit(next);
    };
    visit(`pkg:npm/remit@${version}`);
    expect([...refs].filter((ref) => !reached.has(ref))).toEqual([]);
  });

  it('has the licence of each of them', () => {
    const text = readFileSync(released('THIRD-PARTY-LICENSES.txt'), 'utf8');
    const missing = packages.filter(
      (one) => !text.includes(`\n${one.name} ${one.version}\n\nLicense: ${one.license}\n`),
    );
    expect(missing).toEqual([]);
    expect(text.match(/Copyright .* Brian Carlson/g)?.length).toBeGreaterThan(1);
  });

  it('publishes a manifest without what only a clone needs', () => {
    const at = folder();
    inShell(`tar --extract --file '${released(`npm/remit-${version}.tgz`)}'`, at);
    const manifest = JSON.parse(readFileSync(join(at, 'package/package.json'), 'utf8'));
    expect(
      Object.keys(manifest).filter((member) => ['private', 'scripts', 'devDependencies'].includes(member)),
    ).toEqual([]);
    expect(manifest.engines.node).toBe('^22.22.3 || ^24.15.0 || >=26.0.0');
  });
});

describe('refusedLicence', () => {
  it.each([
    ['MIT', null],
    ['(Apache-2.0 AND BSD-3-Clause)', null],
    ['GPL-3.0-only', 'GPL-3.0-only'],
    ['(MIT AND AGPL-3.0-only)', 'AGPL-3.0-only'],
    ['(MIT OR GPL-2.0)', 'MIT OR GPL-2.0'],
  ])('of %s is %s', (expression, refused) => {
    expect(refusedLicence(expression)).toBe(refused);
  });
});

describe('releaseNotes', () => {
  const changelog =
    '# Changelog\n\n## Unreleased\n\n- new\n\n## 0.2.0 - 2026-12-01\n\n- second\n\n## 0.1.0 - 2026-11-01\n\n- first\n';
  it('are the section of the version, else what is unreleased', () => {
    expect(releaseNotes(changelog, '0.2.0')).toBe('## 0.2.0 - 2026-12-01\n\n- second\n');
    expect(releaseNotes(changelog, '0.3.0')).toBe('## Unreleased\n\n- new\n');
    expect(() => releaseNotes('# Changelog\n', '0.1.0')).toThrow(/no section `0.1.0`/);
  });

  it('lack the changes that are unreleased if the version has a section', () => {
    expect(notesProblem(changelog, '0.2.0')).toMatch(
      /^CHANGELOG.md has 1 change under `Unreleased`, .* move them to `0.2.0`/,
    );
    expect(notesProblem(changelog, '0.3.0')).toBeNull();
    expect(notesProblem(changelog.replace('- new', ''), '0.2.0')).toBeNull();
  });
});

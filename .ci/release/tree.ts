import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { thirdPartyLicences } from './licences.ts';
import { productionPackages } from './lock-file.ts';
import { manifestIn, releasedManifest } from './manifest.ts';
import { billOfMaterials } from './sbom.ts';

/** What the product reads or shows, beside what is built of `src/`. */
const READ_AT_RUN = ['dist', 'proto', 'cedar-policies', 'deploy'];

const PAGES = ['README.md', 'CHANGELOG.md', 'LICENSE'];

/** Folders that each host has, with modes of its own. */
export const HOST_FOLDERS = [
  'usr',
  'usr/bin',
  'usr/lib',
  'usr/share',
  'usr/share/doc',
  'usr/lib/systemd',
  'usr/lib/systemd/system',
  'usr/lib/sysusers.d',
];

/** Writes the npm package: built, with all packages it needs, since a package from a file or registry cannot pin those of its packages otherwise. */
export function writePackage(root: string, to: string): void {
  writeProgram(root, to, () => true);
  for (const name of PAGES) copy(join(root, name), join(to, name));
}

/** The packages whose code the build leaves where it is, since the product reads it by path. `dist/` has the code of all others. */
const READ_BY_PATH = new Set(['@cedar-policy/cedar-wasm']);

/** Writes what runs: the built product with some of its packages. */
function writeProgram(root: string, to: string, isNeeded: (name: string) => boolean): void {
  for (const name of READ_AT_RUN) copy(join(root, name), join(to, name));
  writeJson(join(to, 'package.json'), releasedManifest(manifestIn(root)));
  for (const { name, path } of productionPackages(root)) if (isNeeded(name)) copy(join(root, path), join(to, path));
}

/**
 * Writes what a host or an image has, below `to` as below `/`: `usr/lib/remit` with what the build did not bundle, the command, the units of systemd, licences and
 * the bill of materials. It has no Node.js.
 *
 * @param seconds time of the release, since 1970
 */
export function writeTree(root: string, to: string, { seconds }: { readonly seconds: number }): void {
  const manifest = manifestIn(root);
  writeProgram(root, join(to, 'usr/lib/remit'), (name) => READ_BY_PATH.has(name));

  mkdirSync(join(to, 'usr/bin'), { recursive: true });
  symlinkSync('../lib/remit/dist/main.js', join(to, 'usr/bin/remit'));
  copy(join(root, 'deploy/systemd/system'), join(to, 'usr/lib/systemd/system'));
  copy(join(root, 'deploy/systemd/sysusers.d'), join(to, 'usr/lib/sysusers.d'));

  const pages = join(to, 'usr/share/doc/remit');
  for (const name of PAGES) copy(join(root, name), join(pages, name));
  writeFileSync(join(pages, 'THIRD-PARTY-LICENSES.txt'), thirdPartyLicences(root));
  const { dependencies, license, name, version } = manifest;
  writeJson(
    join(pages, 'sbom.cdx.json'),
    billOfMaterials(root, { name, version, license, dependencies: Object.keys(dependencies), seconds }),
  );
}

/** Writes the Helm chart as Helm packs it: without what its `.helmignore` names. */
export function writeChart(root: string, to: string): void {
  const chart = join(root, 'deploy/chart');
  const patterns = readFileSync(join(chart, '.helmignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const isIgnored = (name: string): boolean =>
    patterns.some((one) => (one.startsWith('*') ? name.endsWith(one.slice(1)) : name === one.replace(/\/$/, '')));
  cpSync(chart, to, { recursive: true, filter: (path) => !isIgnored(basename(path)) });
}

/** Without the packages inside a package, which have their own entry in the lock file, and what only a compiler or debugger reads. */
function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !/(?:^|\/)node_modules(?:\/|$)|\.map$|\.d\.[cm]?ts$/.test(relative(from, path)),
  });
}

const writeJson = (file: string, value: object): void => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);

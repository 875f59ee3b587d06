import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { writeArchive } from './archive.ts';
import { writeImage } from './image.ts';
import { manifestIn } from './manifest.ts';
import { notesProblem, releaseNotes } from './notes.ts';
import { signingSteps } from './signing.ts';
import { HOST_FOLDERS, writeChart, writePackage, writeTree } from './tree.ts';

/**
 * `npm run release`: makes everything a release has, from a clean clone after `npm ci`, and prints how to sign, publish and verify it. The same
 * commit gives the same bytes on every machine with the same Node.js. It publishes nothing and needs no key.
 *
 *   npm run release                    to `release-VERSION`, which must not exist; `--out FOLDER` for another one
 *   npm run release -- --image         also the image, by buildah; `--build-arg NAME=VALUE` for other bases than those of its Dockerfile
 *   npm run release -- --tree FOLDER   only what the image has, below FOLDER as below `/`: for the Dockerfile, after `npm run build`
 */

const root = resolve(import.meta.dirname, '../..');
const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    tree: { type: 'string' },
    image: { type: 'boolean', default: false },
    'build-arg': { type: 'string', multiple: true, default: [] },
  },
});
const { name, version } = manifestIn(root);
const hasGit = existsSync(join(root, '.git'));
const git = (...args: readonly string[]): string =>
  hasGit ? execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim() : '';

/** The time of the release: SOURCE_DATE_EPOCH, else that of the commit, else 1 January 1980, in seconds since 1970. */
function releaseSeconds(): number {
  const given = process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct');
  return /^\d{1,11}$/.test(given) ? Number(given) : 315_532_800;
}

function release(out: string): readonly string[] {
  if (existsSync(out)) throw new Error(`\`${out}\` exists: name another folder with --out`);
  if (git('status', '--porcelain', '--untracked-files=no') !== '')
    throw new Error('tracked files differ from the commit: a release is made from a clean clone');
  const seconds = releaseSeconds();
  const scratch = mkdtempSync(join(tmpdir(), 'remit-release-'));
  try {
    execFileSync(process.execPath, [join(root, '.ci/build.js')], { stdio: 'inherit' });
    for (const folder of ['npm', 'host', 'chart']) mkdirSync(join(out, folder), { recursive: true });
    writePackage(root, join(scratch, 'npm/package'));
    writeArchive(join(scratch, 'npm'), join(out, `npm/${name}-${version}.tgz`), { seconds });

    const tree = join(scratch, 'host');
    writeTree(root, tree, { seconds });
    writeArchive(tree, join(out, `host/${name}-${version}-host.tar.gz`), { seconds, shared: HOST_FOLDERS });
    for (const file of ['THIRD-PARTY-LICENSES.txt', 'sbom.cdx.json'])
      copyFileSync(join(tree, 'usr/share/doc/remit', file), join(out, file));

    writeChart(root, join(scratch, 'chart', name));
    writeArchive(join(scratch, 'chart'), join(out, `chart/${name}-${version}.tgz`), { seconds });
    writeFileSync(join(out, 'NOTES.md'), releaseNotes(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'), version));

    if (values.image) {
      mkdirSync(join(out, 'image'));
      writeImage(root, join(out, `image/${name}-${version}-image.tar`), {
        version,
        revision: git('rev-parse', 'HEAD'),
        seconds,
        args: Object.fromEntries(values['build-arg'].map((one) => one.split(/=(.*)/s, 2) as [string, string])),
      });
    }
    const sums = checksums(out);
    writeFileSync(join(out, 'SHA256SUMS'), `${sums.join('\n')}\n`);
    return sums;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** As `sha256sum --check` reads them. */
const checksums = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(folder, file)).isFile())
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map(
      (file) =>
        `${createHash('sha256')
          .update(readFileSync(join(folder, file)))
          .digest('hex')}  ${file}`,
    );

try {
  if (values.tree === undefined) {
    const out = resolve(values.out ?? `release-${version}`);
    const sums = release(out);
    const steps = signingSteps({ name, version });
    const problem = notesProblem(readFileSync(join(root, 'CHANGELOG.md'), 'utf8'), version);
    if (problem !== null) process.stderr.write(`release: ${problem}\n`);
    process.stdout.write(`${[`${name} ${version} in ${out}:`, ...sums, '', ...steps].join('\n')}\n`);
  } else writeTree(root, resolve(values.tree), { seconds: releaseSeconds() });
} catch (error) {
  process.stderr.write(`release: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

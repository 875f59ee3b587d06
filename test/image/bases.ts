import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Where the certificates of authorities are on a Debian. */
const TRUSTED = '/etc/ssl/certs/ca-certificates.crt';

/** The arguments of the Dockerfile that name these images. */
export const BASES = {
  BUILD_IMAGE: 'localhost/remit-test/node-amd64',
  NODE_IMAGE: 'localhost/remit-test/node-{arch}',
  BASE_IMAGE: 'localhost/remit-test/base-{arch}',
};

/** Variables by which buildah keeps everything in a folder, and needs no daemon and no user namespace. */
export function storageIn(folder: string): Readonly<Record<string, string>> {
  const file = join(folder, 'storage.conf');
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/graph"\nrunroot = "${folder}/run"\n`);
  return { CONTAINERS_STORAGE_CONF: file, BUILDAH_ISOLATION: 'chroot' };
}

/** Makes the images of `BASES` from the files of `makeImageBases`. `scratch` is an empty folder. */
export function importBases(files: string, scratch: string, environment: Readonly<Record<string, string>>): void {
  const npm = resolve(dirname(process.env['npm_execpath'] ?? '/usr/lib/node_modules/npm/bin/npm-cli.js'), '..');
  const tools = join(scratch, 'tools');
  mkdirSync(join(tools, 'usr/local/lib/node_modules'), { recursive: true });
  cpSync(npm, join(tools, 'usr/local/lib/node_modules/npm'), { recursive: true });
  mkdirSync(join(tools, 'tmp'), { mode: 0o1777 });
  if (existsSync(TRUSTED)) cpSync(TRUSTED, join(tools, TRUSTED), { dereference: true });
  mkdirSync(join(tools, 'usr/local/bin'));
  writeFileSync(
    join(tools, 'usr/local/bin/npm'),
    '#!/bin/sh\nexec /usr/local/bin/node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n',
    { mode: 0o755 },
  );
  const users = join(scratch, 'users');
  for (const name of ['etc', 'run', 'tmp', 'var/lib']) mkdirSync(join(users, name), { recursive: true });
  writeFileSync(join(users, 'etc/passwd'), 'root:x:0:0::/:/nologin\nnonroot:x:65532:65532::/:/nologin\n');
  writeFileSync(join(users, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n');

  const made = ({ name, arch, contents }: Image): void => {
    const container = buildah(environment, 'from', '--pull-never', `--platform=linux/${arch}`, 'scratch').trim();
    for (const [source, to] of contents) buildah(environment, 'add', '--quiet', container, source, to);
    buildah(environment, 'config', `--arch=${arch}`, '--env=PATH=/usr/local/bin:/usr/bin:/bin', container);
    if (name === 'node-amd64') buildah(environment, 'config', `--env=NODE_EXTRA_CA_CERTS=${TRUSTED}`, container);
    buildah(environment, 'commit', '--quiet', '--rm', container, `localhost/remit-test/${name}`);
  };
  const node = '/usr/local/bin/node';
  made({
    name: 'node-amd64',
    arch: 'amd64',
    contents: [
      [join(files, 'build.tar'), '/'],
      [process.execPath, node],
      [tools, '/'],
    ],
  });
  made({
    name: 'node-arm64',
    arch: 'arm64',
    contents: [
      [join(files, 'base-arm64.tar'), '/'],
      [join(files, 'node-arm64'), node],
    ],
  });
  for (const arch of ['amd64', 'arm64'])
    made({
      name: `base-${arch}`,
      arch,
      contents: [
        [join(files, `base-${arch}.tar`), '/'],
        [users, '/'],
      ],
    });
}

interface Image {
  readonly name: string;
  readonly arch: string;
  readonly contents: readonly (readonly [from: string, to: string])[];
}

/** Runs buildah to its end; returns its output. */
const buildah = (environment: Readonly<Record<string, string>>, ...words: readonly string[]): string =>
  execFileSync('buildah', words, {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26,
  });

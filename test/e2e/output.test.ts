import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const main = resolve(import.meta.dirname, '../../dist/main.js');
const shell = (command: string) =>
  spawnSync('/bin/bash', ['-c', `set -o pipefail; ${command.replace('remit', `"${process.execPath}" "${main}"`)}`]);

describe('the output of a command', () => {
  it.each([
    ['is good', 'remit --help > /dev/null', 0],
    ['is not good where it could not be written', 'remit --help > /dev/full', 1],
    ['is good where its reader wanted no more of it', 'remit --help | true', 0],
  ])('%s', (_name, command, code) => {
    const { status, stderr } = shell(command);
    expect([status, String(stderr)]).toEqual([code, '']);
  });
});

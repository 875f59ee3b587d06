import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const main = resolve(import.meta.dirname, '../../dist/main.js');
const shell = (command: string) =>
  spawnSync('/bin/bash', ['-c', `set -o pipefail; ${command.replace('remit', `"${process.execPath}" "${main}"`)}`]);

describe('the output of a command', () => {
  it.each([
    ['exits with 0', 'remit --help > /dev/null', 0],
    ['exits with 1 if output could not be written', 'remit --help > /dev/full', 1],
    ['exits with 0 if the reader closed the pipe', 'remit --help | true', 0],
  ])('%s', (_name, command, code) => {
    const { status, stderr } = shell(command);
    expect([status, String(stderr)]).toEqual([code, '']);
  });
});

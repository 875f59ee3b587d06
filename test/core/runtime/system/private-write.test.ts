import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { replacePrivateFile, writePrivateFile } from '../../../../src/core/runtime/system/private-write.ts';
import { testFolders } from '../../../builders/test-folders.ts';

const folder = testFolders();

const MODULE = join(import.meta.dirname, '../../../../src/core/runtime/system/private-write.ts');

/** Calls a function of the module in a process that may write no byte to a file. Gives the code of its error. */
const failing = (call: string, path: string): string => {
  const program = `import * as it from ${JSON.stringify(MODULE)};
try { ${call}; console.log('none'); } catch (error) { console.log(error.code); }`;
  const node = ['--input-type=module', '--eval', program, path];
  const limited = ['-c', 'ulimit -f 0; exec "$0" "$@"', process.execPath, ...node];
  return execFileSync('/bin/sh', limited, { encoding: 'utf8' }).trim();
};

describe('writePrivateFile', () => {
  it('creates a file for its owner alone, and never writes over one', () => {
    const path = join(folder(), 'key.pem');
    writePrivateFile(path, 'key');
    expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['key', 0o600]);
    expect(() => writePrivateFile(path, 'other')).toThrow('EEXIST');
    expect(readFileSync(path, 'utf8')).toBe('key');
  });

  it('leaves no file that could not be written', () => {
    const at = folder();
    expect(failing('it.writePrivateFile(process.argv[1], "key")', join(at, 'key.pem'))).toBe('EFBIG');
    expect(readdirSync(at)).toEqual([]);
  });
});

describe('replacePrivateFile', () => {
  it('leaves the old text, and nothing beside it, if the new text cannot be written', () => {
    const at = folder();
    const path = join(at, 'list.json');
    writeFileSync(path, 'old');
    expect(failing('it.replacePrivateFile(process.argv[1], "new", "1")', path)).toBe('EFBIG');
    expect([readdirSync(at), readFileSync(path, 'utf8')]).toEqual([['list.json'], 'old']);
    replacePrivateFile(path, 'new', '1');
    expect([readdirSync(at), readFileSync(path, 'utf8')]).toEqual([['list.json'], 'new']);
  });

  it('leaves nothing beside a name that cannot be replaced', () => {
    const at = folder();
    mkdirSync(join(at, 'list.json', 'x'), { recursive: true });
    expect(() => replacePrivateFile(join(at, 'list.json'), 'new', '1')).toThrow('EISDIR');
    expect(readdirSync(at)).toEqual(['list.json']);
  });
});

import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { namedFileAt } from '../../../src/tools/doctor/collect/named-files.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

const block = (name: string, text: string): string => `-----BEGIN ${name}-----\n${text}\n-----END ${name}-----\n`;

describe('the file of trust anchors that a configuration names', () => {
  it.each([
    ['no certificate', block('PRIVATE KEY', 'AAAA'), 0],
    ['a certificate', block('CERTIFICATE', 'AAAA'), 1],
    ['a certificate under a former name', block('CERTIFICATE', 'AAAA') + block('X509 CERTIFICATE', 'BBBB'), 2],
    ['a certificate with its trust', block('TRUSTED CERTIFICATE', 'AAAA'), 1],
  ])('has %s', async (_what, text, count) => {
    const path = join(folder(), 'bundle.pem');
    writeFileSync(path, text);
    const { cas, kind } = await namedFileAt(path);
    expect([kind, cas.length]).toEqual(['file', count]);
  });

  it('is not read if it is a device or is missing', async () => {
    const at = folder();
    symlinkSync('/dev/zero', join(at, 'endless'));
    expect((await namedFileAt(join(at, 'endless'))).cas).toEqual([]);
    expect((await namedFileAt(join(at, 'missing'))).kind).toBe('missing');
  });
});

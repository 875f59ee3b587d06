import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyBundle } from '../../src/commands/policy-bundle.ts';
import { exampleFolder } from './example-folder.ts';
import type { ExampleFolder } from './example-folder.ts';

let folder: ExampleFolder;
let key: string;
let keys: string;
let out: string;
beforeEach(async () => {
  folder = exampleFolder();
  [key, keys, out] = ['key.pem', 'keys.json', 'b.jws'].map((name) => join(folder.path, '..', name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(key, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const { out: lines } = await folder.run(policyBundle, '--public', key);
  writeFileSync(keys, lines.join('\n'));
});
afterEach(() => folder.remove());

const line = /^version (?:42|spring), serial 42, until \d{4}-\d\d-\d\dT\S+Z, 6 policy files, set sha-256:\S{43}$/;

describe('remit policy bundle', () => {
  it('signs a folder, and verifies the bundle', async () => {
    const made = await folder.run(policyBundle, folder.path, '--key', key, '--serial', '42', '--out', out);
    expect(made).toEqual({ code: 0, out: [expect.stringMatching(line)], err: [] });
    expect(await folder.run(policyBundle, '--verify', out, '--keys', keys)).toEqual(made);
    expect(readFileSync(keys, 'utf8')).not.toContain('"d"');
  });

  it('prints one object with --json', async () => {
    const args = ['--key', key, '--serial', '42', '--version', 'spring', '--days', '1', '--out', out, '--json'];
    const { out: lines } = await folder.run(policyBundle, folder.path, ...args);
    const { issuedAt, expiresAt, ...rest } = JSON.parse(lines.join(''));
    expect(Date.parse(expiresAt) - Date.parse(issuedAt)).toBe(86_400_000);
    expect(rest).toEqual({ version: 'spring', serial: 42, hash: expect.stringMatching(/^sha-256:/), policyFiles: 6 });
  });

  it('does not sign a folder with findings', async () => {
    writeFileSync(join(folder.path, 'x.cedar'), 'permit (principal, action, resource);\n');
    expect(await folder.run(policyBundle, folder.path, '--key', key, '--serial', '1', '--out', out)).toEqual({
      code: 1,
      out: [],
      err: [
        'p/x.cedar:1:1: the policy lacks an `@id`',
        '  1 | permit (principal, action, resource);',
        '    | ^',
        '  help: begin it with `@id("…")`, unique in the set',
        '1 finding',
      ],
    });
  });

  it('exits with 1 for a changed bundle', async () => {
    await folder.run(policyBundle, folder.path, '--key', key, '--serial', '1', '--out', out);
    writeFileSync(
      out,
      readFileSync(out, 'utf8').replace(/\.(.)/, (_all, first) => (first === 'e' ? '.f' : '.e')),
    );
    const { code, err } = await folder.run(policyBundle, '--verify', out, '--keys', keys);
    expect([code, err[0]?.replace(out, 'b.jws')]).toEqual([
      1,
      'remit policy bundle: `b.jws` has a signature that does not verify',
    ]);
  });

  it.each([
    ['no key', [], 'expected `--key`, `--serial` and `--out`, or `--verify`, or `--public`'],
    ['an invalid serial', ['--key', 'k', '--serial', '0', '--out', 'o'], '`--serial` must be a whole number above 0'],
    [
      'too many days',
      ['--key', 'k', '--serial', '1', '--out', 'o', '--days', '367'],
      '`--days` must be a whole number from 1 to 366',
    ],
    ['a missing key', ['--key', 'no/k', '--serial', '1', '--out', 'o'], '`no/k` could not be read: ENOENT'],
    ['a bundle without keys', ['--verify', 'b'], '`--verify` needs `--keys`'],
  ])('refuses %s', async (_name, args, message) => {
    expect(await folder.run(policyBundle, ...args)).toEqual({
      code: 2,
      out: [],
      err: [`remit policy bundle: ${message}`],
    });
  });
});

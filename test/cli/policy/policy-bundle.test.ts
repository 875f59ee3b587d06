import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyBundle } from '../../../src/cli/policy/policy-bundle.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';

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

const line =
  /^prod, version (?:42|spring), serial 42, until \d{4}-\d\d-\d\dT\S+Z, 6 policy files, set sha-256:\S{43}, signed by \S{43}$/;

describe('remit policy bundle', () => {
  it('signs a folder, and verifies the bundle', async () => {
    const made = await folder.run(
      policyBundle,
      folder.path,
      '--name',
      'prod',
      '--key',
      key,
      '--serial',
      '42',
      '--out',
      out,
    );
    expect(made).toEqual({ code: 0, out: [expect.stringMatching(line)], err: [] });
    expect(await folder.run(policyBundle, '--verify', out, '--keys', keys)).toEqual(made);
    expect(readFileSync(keys, 'utf8')).not.toContain('"d"');
  });

  it('prints one object with --json', async () => {
    const args = [
      '--name',
      'prod',
      '--key',
      key,
      '--serial',
      '42',
      '--version',
      'spring',
      '--days',
      '1',
      '--out',
      out,
      '--json',
    ];
    const { out: lines } = await folder.run(policyBundle, folder.path, ...args);
    const { issuedAt, expiresAt, signers, ...rest } = JSON.parse(lines.join(''));
    expect(Date.parse(expiresAt) - Date.parse(issuedAt)).toBe(86_400_000);
    expect(signers).toEqual([expect.stringMatching(/^\S{43}$/)]);
    expect(rest).toEqual({
      name: 'prod',
      version: 'spring',
      serial: 42,
      hash: expect.stringMatching(/^sha-256:/),
      policyFiles: 6,
    });
  });

  it('does not sign a folder with findings', async () => {
    writeFileSync(join(folder.path, 'x.cedar'), 'permit (principal, action, resource);\n');
    expect(
      await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', key, '--serial', '1', '--out', out),
    ).toEqual({
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

  it('adds the signature of a second person, who is shown what she signs and refuses another folder', async () => {
    const second = join(folder.path, '..', 'second.pem');
    writeFileSync(second, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const { out: own } = await folder.run(policyBundle, '--public', second, '--for', 'prod');
    const [first, other] = [JSON.parse(readFileSync(keys, 'utf8')), JSON.parse(own.join(''))];
    expect(other.keys[0].bundles).toEqual(['prod']);
    writeFileSync(keys, JSON.stringify({ keys: [...first.keys, ...other.keys] }));
    await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', key, '--serial', '42', '--out', out);
    const verify = ['--verify', out, '--keys', keys, '--name', 'prod', '--signatures', '2'];
    const early = await folder.run(policyBundle, ...verify);
    expect([early.code, early.err[0]?.replace(out, 'b.jws')]).toEqual([
      1,
      'remit policy bundle: `b.jws` is signed by 1 trusted keys, and 2 are required',
    ]);
    const sign = [folder.path, '--sign', out, '--key', second, '--out', out];
    expect((await folder.run(policyBundle, ...sign)).out[0]).toMatch(/^prod, version 42, serial 42, .* set sha-256:/);
    const both = await folder.run(policyBundle, ...verify);
    expect([both.code, both.out[0]]).toEqual([0, expect.stringMatching(/ signed by \S{43} and \S{43}$/)]);
    writeFileSync(join(folder.path, 'more.cedar'), '@id("more") permit (principal, action, resource);\n');
    const refused = await folder.run(policyBundle, ...sign);
    expect([refused.code, refused.err[0]]).toEqual([
      1,
      expect.stringMatching(/has the set sha-256:\S+, and .*: not signed$/),
    ]);
  });

  it('shows the second signer what differs from the set in force, and who signed before (issue 43, point 3)', async () => {
    await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', key, '--serial', '41', '--out', out);
    const inForce = `${out}.old`;
    cpSync(out, inForce);
    writeFileSync(join(folder.path, 'more.cedar'), '@id("more") permit (principal, action, resource);\n');
    await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', key, '--serial', '42', '--out', out);
    const second = `${key}.second`;
    writeFileSync(second, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const by = ['--key', second, '--out', out, '--keys', keys];
    const { code, out: lines } = await folder.run(policyBundle, 'sign', out, folder.path, ...by, '--against', inForce);
    expect(code).toBe(0);
    expect(lines.slice(0, 2)).toEqual(['policies: added more', 'actions: the same']);
    expect(lines.at(-1)).toMatch(/serial 42, .* signed by \S{43} and \S{43}$/);
    const others = await folder.run(policyBundle, '--public', second);
    writeFileSync(keys, others.out.join('\n'));
    cpSync(inForce, out);
    const refused = await folder.run(policyBundle, 'sign', out, ...by);
    expect(refused.code).toBe(1);
    expect(readFileSync(out, 'utf8')).toBe(readFileSync(inForce, 'utf8'));
  });

  it('signs what it verified, also if the file changes meanwhile (review of issue 43)', async () => {
    await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', key, '--serial', '41', '--out', out);
    const [good, other] = [readFileSync(out, 'utf8'), `${key}.other`];
    writeFileSync(other, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', other, '--serial', '42', '--out', out);
    // The private key is read after the bundle: a pipe lets the test wait for that.
    const pipe = `${key}.pipe`;
    execFileSync('mkfifo', [pipe]);
    const made = `${out}.made`;
    const signing = folder.run(policyBundle, 'sign', out, '--key', pipe, '--keys', keys, '--out', made);
    const writer = await open(pipe, 'w');
    writeFileSync(out, good);
    await writer.writeFile(readFileSync(key));
    await writer.close();
    const sign = await signing;
    expect([sign.code, existsSync(made)]).toEqual([1, false]);
  });

  it('exits with 1 for a changed bundle', async () => {
    await folder.run(policyBundle, folder.path, '--name', 'prod', '--key', key, '--serial', '1', '--out', out);
    writeFileSync(
      out,
      readFileSync(out, 'utf8').replace(/"payload":"(.)/, (_all, first) => `"payload":"${first === 'e' ? 'f' : 'e'}`),
    );
    const { code, err } = await folder.run(policyBundle, '--verify', out, '--keys', keys);
    expect([code, err[0]?.replace(out, 'b.jws')]).toEqual([
      1,
      'remit policy bundle: `b.jws` has a signature that does not verify',
    ]);
  });

  it.each([
    ['no key', [], 'expected `--name`, `--key`, `--serial` and `--out`, or `--sign`, or `--verify`, or `--public`'],
    [
      'an invalid name',
      ['--name', 'a b', '--key', 'k', '--serial', '1', '--out', 'o'],
      '`--name a b` must be a name of at most 128 letters, digits, `.`, `_`, `/` and `-`, such as `prod/payments`',
    ],
    ['a signature without a key', ['--sign', 'b'], '`--sign` needs `--key` and `--out`'],
    [
      'nine signatures',
      ['--verify', 'b', '--keys', 'k', '--signatures', '9'],
      '`--signatures` must be a whole number from 1 to 8',
    ],
    [
      'an invalid serial',
      ['--name', 'a', '--key', 'k', '--serial', '0', '--out', 'o'],
      '`--serial` must be a whole number above 0',
    ],
    [
      'too many days',
      ['--name', 'a', '--key', 'k', '--serial', '1', '--out', 'o', '--days', '367'],
      '`--days` must be a whole number from 1 to 366',
    ],
    [
      'a missing key',
      ['--name', 'a', '--key', 'no/k', '--serial', '1', '--out', 'o'],
      '`no/k` could not be read: ENOENT',
    ],
    ['a bundle without keys', ['--verify', 'b'], '`--verify` needs `--keys`'],
  ])('refuses %s', async (_name, args, message) => {
    expect(await folder.run(policyBundle, ...args)).toEqual({
      code: 2,
      out: [],
      err: [`remit policy bundle: ${message}`],
    });
  });
});

import { generateKeyPairSync } from 'node:crypto';
import { chmod, cp, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { entryPointOf } from '../entry-point.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';
import { soundSettings } from './sound-settings.ts';
import { killedAfterEach } from './killed.ts';
import { testFolders } from '../builders/test-folders.ts';

const root = resolve(import.meta.dirname, '../..');
const examples = join(root, 'cedar-policies');

describe('remit serve', () => {
  const folders = testFolders();
  let folder = '';
  let sound = {};
  const killed = killedAfterEach();
  beforeEach(async () => {
    folder = folders();
    sound = await soundSettings(folder);
  });

  const config = async (changed: Record<string, unknown> = {}, name = 'remit.yaml'): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, stringify({ ...sound, ...changed }));
    return file;
  };

  const serve = (file: string): Running => killed(remit(['serve', '--config', file]));

  it('starts, logs its addresses, and exits with 0 on SIGTERM without leaving a socket', async () => {
    const started = serve(await config());
    await started.said(`checks on unix:${folder}/check.sock`);
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
    expect((await ran(['serve', '--config', await config({}, 'again.yaml'), '--nonsense'])).code).toBe(2);
  });

  it('says in one line which settings of a server it was started without, and nothing as the image starts it', async () => {
    const lacking = killed(remit(['serve', '--config', await config()], {}, [], []));
    await lacking.said('checks on');
    const warnings = lacking
      .err()
      .split('\n')
      .filter((line) => line.includes('started without settings'));
    expect(warnings).toEqual([expect.stringContaining('MALLOC_ARENA_MAX=2')]);
    expect(warnings).toEqual([expect.stringContaining('--heap-growing-percent=50')]);
    const file = await config({ state: 'sqlite:other.db', ledger: { folder: 'other-ledger' } }, 'set.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace('check.sock', 'other.sock'));
    const { command, environment } = await entryPointOf(root);
    const flags = command.filter((word) => word.startsWith('--'));
    const asByImage = killed(remit(['serve', '--config', file], environment, [], flags));
    await asByImage.said('checks on');
    expect(asByImage.err()).not.toContain('started without');
  });

  it('refuses a missing configuration', async () => {
    expect(await refusal(join(folder, 'none.yaml'))).toBe(
      `remit serve: cannot read the configuration \`${folder}/none.yaml\`: ENOENT`,
    );
  });

  it('refuses an unknown key, with line and column', async () => {
    const file = join(folder, 'typo.yaml');
    await writeFile(file, 'trustDomains: acme.test\nextAuth: {}\n');
    expect(await refusal(file)).toBe(
      `remit serve: ${file}:2:1: \`extAuth\` is not a known key; did you mean \`extAuthz\`?`,
    );
  });

  it('refuses an invalid policy, with line and column', async () => {
    const policy = join(folder, 'policies/policies/payments.cedar');
    await writeFile(policy, '@id("x")\npermit (principal, action, resource) when { context.nonsense };\n');
    expect(await refusal(await config())).toMatch(new RegExp(`^remit serve: ${policy}:2:\\d+: `));
  });

  it('refuses an invalid schema, with line and column', async () => {
    const schema = join(folder, 'policies/base.cedarschema');
    await writeFile(schema, `${await readFile(schema, 'utf8')}\nentity ;\n`);
    expect(await refusal(await config())).toMatch(new RegExp(`^remit serve: ${schema}:\\d+:\\d+: `));
  });

  // Issue 14: whoever could write them decided what is allowed.
  it.each<[string, string, number, string]>([
    ['a policy that all can write', 'policies/policies/payments.cedar', 0o666, 'policies/policies/payments.cedar'],
    [
      'entities that a group can write',
      'policies/entities.cedarentities.json',
      0o664,
      'policies/entities.cedarentities.json',
    ],
    ['a policy folder that all can write', 'policies/policies', 0o1777, 'policies/policies'],
    ['a configuration that all can write', 'remit.yaml', 0o646, 'remit.yaml'],
    ['a parent folder that all can write', '.', 0o777, 'remit.yaml'],
  ])('refuses %s', async (_name, changed, mode, named) => {
    const file = await config();
    await chmod(join(folder, changed), mode);
    const bits = mode.toString(8).padStart(4, '0');
    const refused = await refusal(file);
    expect(refused).toContain(`\`${join(folder, named)}\` can be changed by others, since `);
    expect(refused).toContain(`has mode ${bits}`);
    expect(refused).toContain('`remit serve --accept-writable-files`');
  });

  it('accepts files that others can write with --accept-writable-files', async () => {
    const file = await config();
    for (const changed of ['remit.yaml', 'policies', 'policies/actions.yaml'])
      await chmod(join(folder, changed), 0o777);
    const accepted = killed(remit(['serve', '--config', file, '--accept-writable-files']));
    await accepted.said('checks on');
  });

  it('refuses keys of the policy bundle and of an issuer that others can write', async () => {
    const keys = join(folder, 'keys.json');
    await writeFile(keys, '{"keys":[]}');
    await chmod(keys, 0o666);
    const bundle = { policies: { bundle: { from: 'b.jws', name: 'prod', keys: 'keys.json' } } };
    const issuers = { acceptedIssuers: [{ issuer: 'https://other.acme.test', jwks: 'keys.json' }] };
    for (const changed of [bundle, issuers]) {
      expect(await refusal(await config(changed))).toContain(`\`${keys}\` can be changed by others`);
    }
  });

  it('keeps the last good policies when a reload meets files that others can write', async () => {
    const started = serve(await config());
    await started.said('checks on');
    const policy = join(folder, 'policies/policies/payments.cedar');
    await chmod(policy, 0o666);
    await writeFile(policy, `${await readFile(policy, 'utf8')}\n// another set\n`);
    started.child.kill('SIGHUP');
    await started.said(`${policy}:1:1: \`${policy}\` can be changed by others`);
    await chmod(policy, 0o644);
    started.child.kill('SIGHUP');
    await started.said(/(policies: \d+, actions: \d+, set sha-256:\S+ [^]*){2}/);
  });

  it('refuses a missing policy folder', async () => {
    expect(await refusal(await config({ policies: 'nowhere' }))).toBe(
      `remit serve: ${folder}/nowhere:1:1: the policy folder could not be read: ENOENT`,
    );
  });

  it('refuses a socket that is in use', async () => {
    await serve(await config()).said('checks on');
    const second = await config({ state: 'sqlite:other.db', ledger: { folder: 'other-ledger' } }, 'second.yaml');
    expect(await refusal(second)).toBe(`remit serve: address in use: \`unix:${folder}/check.sock\``);
  });

  it('refuses an invalid state file', async () => {
    await writeFile(join(folder, 'state.db'), 'not a database, but long enough to be taken for one'.repeat(40), {
      mode: 0o600,
    });
    expect(await refusal(await config())).toMatch(/^remit serve: .*state\.db/);
  });

  it('follows the policy folder, and evaluates policies on trial', async () => {
    await cp(join(folder, 'policies'), join(folder, 'next'), { recursive: true });
    const policies = { folder: 'policies', candidate: 'next', lookSeconds: 1 };
    const started = serve(await config({ policies }));
    await started.said(/candidate: policies: 18, set sha-256:\S+\n/);
    await started.said('checks on');
    const policy = join(folder, 'policies/policies/payments.cedar');
    await writeFile(policy, `${await readFile(policy, 'utf8')}\n// another set\n`);
    await started.said(/policies: 18, actions: 10, [^]*policies: 18, actions: 10, /);
    await writeFile(join(folder, 'next/policies/payments.cedar'), 'permit');
    await started.said(`candidate: ${folder}/next/policies/payments.cedar:1:`);
  });

  it('accepts signed bundles, but no older bundle after a restart', async () => {
    const [key, keys, out] = [join(folder, 'key.pem'), join(folder, 'keys.json'), join(folder, 'b.jws')];
    await writeFile(key, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await writeFile(keys, (await ran(['policy', 'bundle', '--public', key])).out);
    const sign = async (serial: string, name = 'prod') =>
      ran([
        'policy',
        'bundle',
        join(folder, 'policies'),
        '--name',
        name,
        '--key',
        key,
        '--serial',
        serial,
        '--out',
        out,
      ]);
    await sign('2');
    const file = await config({
      policies: { bundle: { from: 'b.jws', name: 'prod', keys: 'keys.json' }, lookSeconds: 1 },
    });
    const started = serve(file);
    await started.said('checks on');
    await sign('1');
    await started.said(`${out}:1:1: the bundle has the serial 1, and 2 was in force`);
    // Of a test environment, by the same key.
    await sign('3', 'dev');
    await started.said(
      `${out}:1:1: the bundle is signed, but is named \`dev\`, and \`policies.bundle.name\` is \`prod\``,
    );
    await sign('1');
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
    const again = serve(file);
    await again.said(`${out}:1:1: the bundle has the serial 1, and 2 was in force`);
    await again.said('checks on');
  });

  it('keeps the last good policies when a reload meets invalid policies, and applies valid policies', async () => {
    const started = serve(await config());
    await started.said('checks on');
    const policy = join(folder, 'policies/policies/payments.cedar');
    const good = await readFile(policy, 'utf8');
    await writeFile(policy, 'permit (principal, action, resource)');
    started.child.kill('SIGHUP');
    await started.said(`${policy}:`);
    await writeFile(policy, `${good}\n// another set\n`);
    started.child.kill('SIGHUP');
    await started.said(
      /policies: \d+, actions: \d+, set sha-256:\S+ [^]*policies: \d+, actions: \d+, set sha-256:\S+ /,
    );
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
  });
});

describe('remit', () => {
  it.each([
    ['--help', ['--help'], 0],
    ['help of a command of two words', ['policy', 'validate', '--help'], 0],
    ['help of demo', ['demo', '--help'], 0],
    ['no command', [], 2],
    ['an unknown command', ['sreve'], 2],
    ['an unknown option', ['demo', '--fast'], 2],
    ['an option without its value', ['serve', '--config'], 2],
  ])('answers %s', async (_name, args, code) => {
    const answer = await ran(args);
    expect(answer.code).toBe(code);
    expect(`${answer.out}${answer.err}`).not.toBe('');
  });

  it('validates the shipped policies', async () => {
    const { code, out } = await ran(['policy', 'validate', examples]);
    expect(code).toBe(0);
    expect(out).toContain('valid');
  });
});

/** The message with which it refuses to start. */
async function refusal(file: string): Promise<string> {
  const { code, err, out } = await ran(['serve', '--config', file]);
  expect([code, out]).toEqual([2, '']);
  // Log lines come before it.
  return err.split('\n').find((line) => line.startsWith('remit serve: ')) ?? '';
}

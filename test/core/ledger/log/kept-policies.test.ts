import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { setHashOf } from '../../../../src/core/policy/loading/set-hash.ts';
import { keepPolicies, keptPolicies, keptPoliciesFile } from '../../../../src/core/ledger/log/kept-policies.ts';
import { folderWith } from '../../../builders/policy-folder.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { describeWith, stracePart } from '../../../parts.ts';

const folder = testFolders();

const source = folderWith('@id("a") permit (principal, action, resource);', {
  entities: '[]',
  descriptorSets: new Map([['shop.binpb', Buffer.from([1, 2, 255])]]),
});
const hash = setHashOf(source);

describe('keepPolicies', () => {
  it('keeps the text of a set under its hash, once, readable only by its owner', async () => {
    const ledger = folder();
    expect(await keepPolicies(ledger, { hash, source })).toEqual({ isKept: true, beyond: [] });
    const file = keptPoliciesFile(ledger, hash);
    const { ino, mode } = statSync(file);
    expect(mode & 0o777).toBe(0o600);
    expect(await keepPolicies(ledger, { hash, source })).toEqual({ isKept: true, beyond: [] });
    expect(statSync(file).ino).toBe(ino);
    expect(readdirSync(`${ledger}/policies`)).toHaveLength(1);
    expect(keptPolicies(ledger, hash)).toMatchObject({
      policies: [{ name: 'a.cedar', text: '@id("a") permit (principal, action, resource);' }],
      descriptorSets: [{ name: 'shop.binpb', data: 'AQL_' }],
    });
  });

  it('reports why it cannot', async () => {
    const ledger = folder();
    writeFileSync(`${ledger}/policies`, '');
    expect(await keepPolicies(ledger, { hash, source })).toEqual({ problem: 'EEXIST' });
    const large = { ...source, policies: [{ name: 'a.cedar', file: 'a.cedar', text: '/'.repeat(33 * 1024 ** 2) }] };
    expect(await keepPolicies(folder(), { hash, source: large })).toEqual({
      problem: expect.stringMatching(/^its \d+ bytes are more than 33554432$/),
    });
  });
});

describeWith(stracePart(), 'keepPolicies', (strace) => {
  it('has synced the name of a text before it says that the text is kept', () => {
    const [ledger, trace] = [folder(), join(folder(), 'trace')];
    const tested = resolve(import.meta.dirname, '../../../../src/core/ledger/log/kept-policies.ts');
    const script = `import { keepPolicies } from ${JSON.stringify(tested)};
      const file = { name: 'a', text: 'a' };
      const source = { catalogs: [file], schema: file, policies: [], entities: [], descriptorSets: new Map() };
      await keepPolicies(process.argv[1], { hash: ${JSON.stringify(hash)}, source });`;
    const words = ['-f', '-y', '-qq', '-o', trace, '-e', 'trace=rename,fsync'];
    const node = [process.execPath, '--no-warnings', '--input-type=module', '-e', script, ledger];
    expect(spawnSync(strace, [...words, ...node], { encoding: 'utf8' }).stderr).toBe('');
    const calls = readFileSync(trace, 'utf8');
    const renamed = calls.indexOf('rename("');
    expect(renamed).toBeGreaterThan(0);
    for (const synced of [`${ledger}/policies>`, `${ledger}>`])
      expect(calls.indexOf(synced, renamed)).toBeGreaterThan(0);
  });
});

/** The hash of `source` in the form of earlier versions. */
const FORMER = 'sha-256:ew83kIgKaH0GPaRe_QnE_EF4y7_-M7zIzb8bYbvBAA4';

describe('keptPolicies', () => {
  it('returns the text of a set that an earlier version kept, and not with a policy among the entities', async () => {
    const ledger = folder();
    await keepPolicies(ledger, { hash: FORMER, source });
    expect(keptPolicies(ledger, FORMER)).toMatchObject({ policies: [{ name: 'a.cedar' }] });
    const file = keptPoliciesFile(ledger, FORMER);
    const { policies, entities, ...rest } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...rest, policies: [], entities: [...entities, ...policies] }));
    expect(keptPolicies(ledger, FORMER)).toEqual({ problem: 'does not have the hash it is kept under' });
  });

  it.each([
    ['enforcement', 'observe: []\n'],
    ['limits', 'limits: []\n'],
  ])('returns the %s of a set', async (kind, text) => {
    const ledger = folder();
    const observing = { ...source, [kind]: { name: `${kind}.yaml`, file: 'p', text } };
    const own = setHashOf(observing);
    await keepPolicies(ledger, { hash: own, source: observing });
    expect(keptPolicies(ledger, own)).toMatchObject({ [kind]: { text } });
    const file = keptPoliciesFile(ledger, own);
    writeFileSync(file, readFileSync(file, 'utf8').replace(': []', ':   '));
    expect(keptPolicies(ledger, own)).toEqual({ problem: 'does not have the hash it is kept under' });
  });

  it('returns all files of the catalog (issue 43, point 2)', async () => {
    const ledger = folder();
    const own = folderWith('@id("a") permit (principal, action, resource);', {
      catalogs: { 'crm.yaml': 'servers: {}\n' },
    });
    await keepPolicies(ledger, { hash: setHashOf(own), source: own });
    expect(keptPolicies(ledger, setHashOf(own))).toMatchObject({
      catalogs: [{ name: 'actions.yaml' }, { name: 'actions/crm.yaml', text: 'servers: {}\n' }],
    });
    const file = keptPoliciesFile(ledger, setHashOf(own));
    writeFileSync(file, readFileSync(file, 'utf8').replace('servers: {}', 'servers: { }'));
    expect(keptPolicies(ledger, setHashOf(own))).toEqual({ problem: 'does not have the hash it is kept under' });
  });

  it('returns no text for a set that was not kept', async () => {
    expect(keptPolicies(folder(), hash)).toBeNull();
  });

  it.each<[string, (text: string) => string, string]>([
    ['changed', (text) => text.replace('permit', 'forbid'), 'does not have the hash it is kept under'],
    ['cut', (text) => text.slice(0, 100), 'cannot be read: it is not JSON'],
    ['another thing', () => '{}', 'member `catalog` is required'],
  ])('refuses a file that is %s', async (_name, change, problem) => {
    const ledger = folder();
    await keepPolicies(ledger, { hash, source });
    const file = keptPoliciesFile(ledger, hash);
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    expect(keptPolicies(ledger, hash)).toEqual({ problem });
  });
});

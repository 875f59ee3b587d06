import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { compileForTool } from '../../../../src/core/policy/loading/compile.ts';
import { provedSetFrom, whileProved } from '../../../../src/core/policy/loading/proved-set.ts';
import type { Findings, ProvedSet, ReadSet } from '../../../../src/core/policy/loading/proved-set.ts';
import { readPolicySource } from '../../../../src/core/policy/loading/source.ts';
import type { PolicySource } from '../../../../src/core/policy/loading/source.ts';
import { compileHere, folderWith } from '../../../builders/policy-folder.ts';

const permit = '@id("p") permit (principal, action, resource);';
const ofNoType =
  '@id("q") permit (principal, action == Remit::Action::"files.read", resource) when { context.risc == "low" };';

const shipped = async (): Promise<PolicySource> => {
  const source = await readPolicySource('cedar-policies');
  if (!('catalogs' in source)) throw new Error('the shipped folder is read');
  return source;
};

const linked = (): PolicySource => {
  const template = '@id("t") permit (principal == ?principal, action == Remit::Action::"files.read", resource);';
  const links = [
    { templateId: 't', newId: 'l1', values: { '?principal': { type: 'Remit::Agent', id: 'spiffe://acme.test/a' } } },
    { templateId: 't', newId: 'l1', values: { '?principal': { type: 'Remit::Agent', id: 'spiffe://acme.test/b' } } },
  ];
  const folder = folderWith(`${template}\n${ofNoType}`);
  const file = { name: 'l.cedarlinks.json', file: 'p/l.cedarlinks.json', text: JSON.stringify(links) };
  return { ...folder, policies: [...folder.policies, file] };
};

/** Everything except the catalog, which contains functions. */
const contentOf = (result: ProvedSet | Findings): unknown => ({ ...result, catalog: null });

const examples = readdirSync('cedar-policies/examples').filter((name) => name.endsWith('.cedar'));

describe('provedSetFrom', () => {
  it.each<readonly [string, () => PolicySource | Promise<PolicySource>]>([
    ['the shipped folder', shipped],
    [
      'every example',
      () => folderWith(examples.map((name) => readFileSync(`cedar-policies/examples/${name}`, 'utf8')).join('\n')),
    ],
    ['one policy', () => folderWith(permit)],
    ['no policy', () => folderWith('')],
    ['a policy of no type', () => folderWith(`${permit}\n${ofNoType}`)],
    ['an id that is taken, twice', () => folderWith(`${permit}\n${permit}\n${ofNoType}\n${permit}`)],
    ['a policy without an id', () => folderWith(permit.replace('@id("p")', ''))],
    ['what is no policy', () => folderWith(`${permit}\npermit (principal`)],
    [
      'a policy that nests too deeply',
      () =>
        folderWith(`@id("p") permit (principal, action, resource) when { ${'('.repeat(200)}true${')'.repeat(200)} };`),
    ],
    ['links, one of them twice', linked],
    [
      'an entity of no type',
      () => folderWith(permit, { entities: '[{"uid":{"type":"Remit::Nothing","id":"a"},"attrs":{},"parents":[]}]' }),
    ],
    ['entities that are none', () => folderWith(permit, { entities: '[{"uid":1}]' })],
    ['a catalog that is none', () => folderWith(ofNoType, { catalog: 'servers: 1' })],
    ['a base that is none', () => folderWith(ofNoType, { base: 'namespace Remit {' })],
    ['a base without the namespace', () => folderWith(ofNoType, { base: '' })],
  ])('says the same of %s for a tool in steps as by the engine at once', async (_name, folder) => {
    const source = await folder();
    const read: ReadSet[] = [];
    const inSteps = await provedSetFrom(source, compileForTool(), (set) => read.push(set));
    const atOnce = await provedSetFrom(source, compileHere);
    expect(contentOf(inSteps)).toEqual(contentOf(atOnce));
    if ('findings' in inSteps) return;
    const { warnings: _later, ...before } = inSteps;
    expect(read).toEqual([before]);
  });
});

describe('whileProved', () => {
  it('returns the result of the work and the set', async () => {
    const source = folderWith(permit);
    for (const compile of [compileForTool(), compileHere]) {
      const result = await whileProved(source, compile, ({ policies }) => policies.map(({ id }) => id));
      expect(result).toMatchObject({ done: ['p'], set: { warnings: [] } });
    }
  });

  it('returns the findings of an invalid folder, whatever the work did', async () => {
    let seen = 0;
    const result = await whileProved(folderWith(ofNoType), compileForTool(), () => {
      seen += 1;
      throw new Error('the engine refused a question');
    });
    expect(seen).toBe(1);
    expect(result).toEqual({ findings: [expect.objectContaining({ message: expect.stringContaining('risc') })] });
  });

  it('rejects with the error of the work if the folder is valid', async () => {
    const failed = whileProved(folderWith(permit), compileForTool(), () => Promise.reject(new Error('a bug')));
    await expect(failed).rejects.toThrow('a bug');
  });

  it('does not start the work if there are findings before type checking', async () => {
    let seen = 0;
    const result = await whileProved(folderWith(`${permit}\n${permit}`), compileForTool(), () => (seen += 1));
    expect(seen).toBe(0);
    expect(result).toEqual({ findings: [expect.objectContaining({ message: expect.stringContaining('is taken') })] });
  });
});

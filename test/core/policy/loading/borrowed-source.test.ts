import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { borrowingDisk } from '../../../../src/core/policy/loading/borrowed-source.ts';
import { loadPolicies } from '../../../../src/core/policy/loading/load.ts';
import { compileHere } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { scratch } from '../../../builders/scratch.ts';

const EXAMPLES = 'cedar-policies/examples';
const load = (name: string) => {
  const folder = `${EXAMPLES}/${name}`;
  return loadPolicies(folder, { disk: borrowingDisk(folder, 'cedar-policies'), compile: compileHere });
};

describe('borrowingDisk', () => {
  it('lends catalog, base schema and entities, and no policy', async () => {
    const set = must(await load('amount-limits'));
    expect(set.policies.map(({ id }) => id)).toEqual(['payments-small', 'payments-approved', 'payments-most']);
    expect([set.catalog.servers.size, set.facts.entities.size]).toEqual([3, 4]);
  });

  it('leaves a folder what it has of its own', async () => {
    const set = must(await load('legacy-exception'));
    expect([[...set.catalog.servers.keys()], set.facts.entities.size]).toEqual([['reports'], 2]);
  });

  it('lends catalog and entities in folders of their own, all or none (issue 43, point 2)', async () => {
    const { folder, remove } = scratch();
    try {
      const [own, base] = [folder(), folder()];
      for (const name of ['actions', 'entities']) mkdirSync(join(base, name));
      for (const [from, to] of [
        ['actions.yaml', 'actions/all.yaml'],
        ['entities.cedarentities.json', 'entities/all.cedarentities.json'],
      ] as const)
        cpSync(join('cedar-policies', from), join(base, to));
      writeFileSync(join(own, 'a.cedar'), '@id("a") permit (principal, action, resource);');
      const loaded = () => loadPolicies(own, { disk: borrowingDisk(own, base), compile: compileHere });
      const lent = must(await loaded());
      expect(lent.source.catalogs.map(({ name }) => name)).toEqual(['actions/all.yaml']);
      expect([lent.catalog.servers.size, lent.source.entities.length]).toEqual([3, 1]);
      writeFileSync(join(own, 'actions.yaml'), 'servers: {}');
      expect(must(await loaded()).catalog.servers.size).toBe(0);
    } finally {
      remove();
    }
  });

  it('has nothing to lend if there is no base', async () => {
    const disk = borrowingDisk(`${EXAMPLES}/amount-limits`, 'no/such');
    expect(await loadPolicies(`${EXAMPLES}/amount-limits`, { disk, compile: compileHere })).toMatchObject({
      findings: [{ message: 'the policy folder could not be read: ENOENT' }],
    });
  });
});

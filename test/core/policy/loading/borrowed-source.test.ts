import { describe, expect, it } from '@jest/globals';
import { borrowingDisk } from '../../../../src/core/policy/loading/borrowed-source.ts';
import { loadPolicies } from '../../../../src/core/policy/loading/load.ts';
import { compileHere } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';

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

  it('has nothing to lend if there is no base', async () => {
    const disk = borrowingDisk(`${EXAMPLES}/amount-limits`, 'no/such');
    expect(await loadPolicies(`${EXAMPLES}/amount-limits`, { disk, compile: compileHere })).toMatchObject({
      findings: [{ message: 'the policy folder could not be read: ENOENT' }],
    });
  });
});

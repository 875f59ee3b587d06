import { describe, expect, it } from '@jest/globals';
import { readsContext } from '../../../../src/tools/policy/compare/context-read.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const permit = (when: string): string =>
  `@id("p") permit (principal, action == Remit::Action::"payments.create", resource) when { ${when} };`;

describe('readsContext', () => {
  it.each<[string, string, readonly string[], boolean]>([
    ['a value that is compared', 'context.args.amount > 5', ['args', 'amount'], true],
    ['a value beside it', 'context.args.amount > 5', ['args', 'currency'], false],
    ['whether a value is there', 'context.args has currency', ['args', 'currency'], true],
    ['what is below a value that is there', 'context has task', ['task', 'labels'], false],
    ['a value in one that is compared whole', 'context.credential == context.credential', ['credential', 'uses'], true],
    ['a value of a context that is not read', 'principal in Remit::AgentGroup::"agents"', ['risk'], false],
  ])('says of %s', async (_name, when, path, expected) => {
    const [policy] = (await mustLoad(folderWith(permit(when)))).policies;
    expect(policy && readsContext(policy.reads, path)).toBe(expected);
  });

  it('is true for policies that may read anything', () => {
    expect(readsContext({ everything: true, roots: new Map() }, ['risk'])).toBe(true);
  });
});

import { beforeAll, describe, expect, it } from '@jest/globals';
import { issuerUrl } from '../../authority/issuer/bench.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator } from '../../builders/task.ts';
import { until } from '../../until.ts';
import { comesTrue } from '../run/domain.ts';
import { seenAt, type ServiceDomain, startServiceDomain } from './service-domain.ts';

const folder = testFolders(() => domain.close());
let domain: ServiceDomain;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
});

const apply = (id: string, kind: 'revoke' | 'suspend' | 'resume'): void =>
  void domain.run.store.applyTaskEvent({ issuer: issuerUrl, id }, byOperator(kind, 'by the test'), 'operator');

// Issue 44, point 1.
describe('a unit of several resources', () => {
  it('is suspended, resumed and ended together, whichever of its tasks an operator changes', async () => {
    const helper = await domain.helper();
    const { end, forward, tasks = {} } = await helper.declare({ intent: 'both.yaml' });
    const ids = Object.values(tasks);
    const [one = '', other = ''] = ids;
    const become = (state: string): Promise<boolean> =>
      comesTrue(() => ids.every((id) => domain.run.stateOf(id) === state), 90_000);
    apply(one, 'suspend');
    expect(await become('suspended')).toBe(true);
    const reasonAt = async (name: string): Promise<string> =>
      ((await (await fetch(`${forward[name]}/x`)).json()) as { readonly reason: string }).reason;
    await until(async () => (await reasonAt('files')) === 'task.suspended');
    apply(one, 'resume');
    expect(await become('active')).toBe(true);
    await until(async () => (await seenAt(`${forward['files']}/x`)).status === 200);
    apply(other, 'revoke');
    expect(await comesTrue(() => ids.map(domain.run.stateOf).toSorted().join() === 'cancelled,revoked', 90_000)).toBe(
      true,
    );
    // What the other task met tells more than that this one was cancelled for it.
    await until(async () => (await reasonAt('tools')) === 'task.revoked');
    expect((await fetch(end, { method: 'DELETE' })).status).toBe(409);
  });
});

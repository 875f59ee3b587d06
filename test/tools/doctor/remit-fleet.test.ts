import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { CATEGORIES, isOfRemit } from '../../../src/tools/doctor/codes.ts';
import { testFolder } from '../../builders/test-folders.ts';
import { Fleet, SIDECARS } from '../../e2e/fleet.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { diagnosed } from './diagnosed.ts';

const OWN = CATEGORIES.filter(isOfRemit).join(',');

describeWith(envoyPart(), '`remit doctor` about an authority and its sidecars', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder);
  });

  type Name = Parameters<Fleet['admin']>[0];
  const examined = (name: Name) =>
    diagnosed(['--json', '--config', join(fleet.folder, `${name}.yaml`), '--remit', fleet.admin(name), '--only', OWN]);
  const serious = async (name: Name): Promise<readonly string[]> =>
    (await examined(name)).findings.filter(({ level }) => level !== 'info').map(({ code }) => code);
  const isHealthy = (name: Name): Promise<unknown> =>
    until(async () => (await serious(name)).length === 0, { what: `nothing to warn of at ${name}` });
  const isFound = (name: Name, code: string): Promise<unknown> =>
    until(async () => (await serious(name)).includes(code), { what: `${code} at ${name}` });

  it('warns of nothing at any of them', async () => {
    for (const name of ['authority', ...SIDECARS] as const) await isHealthy(name);
  });

  it('finds a sidecar with other policies', async () => {
    const file = join(fleet.folder, 'policies', 'policies', 'more.cedar');
    await writeFile(file, '@id("more") forbid (principal, action, resource) when { false };\n');
    await isFound('authority', 'policy.skew');
    await fleet.policies.publish(2);
    await isHealthy('authority');
  });

  it('finds a sidecar that was killed, and an authority that was', async () => {
    fleet.signal('remote', 'SIGKILL');
    await isFound('authority', 'lease.sidecar-gone');
    await isHealthy('authority');
    fleet.signal('authority', 'SIGKILL');
    await isFound('local', 'lease.detached');
    await isFound('local', 'lease.lost');
    expect((await examined('authority')).exit).not.toBe(0);
    await fleet.serve('authority');
    await isHealthy('local');
  });
});

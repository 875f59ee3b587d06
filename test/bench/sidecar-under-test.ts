import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EXAMPLE_POLICIES } from '../../src/cli/dev/domain.ts';
import type { Bench } from './bench.ts';
import { audiences } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';

/** A sidecar, and the authority that issues its tokens and has nothing else to do. Both in processes of their own. */
export interface SidecarUnderTest {
  readonly authority: RemitUnderTest;
  readonly sidecar: RemitUnderTest;
}

/**
 * The shipped policies without the one that reads the history in every use, which makes every use of a sidecar settle. In a folder of the
 * stage, of this name.
 */
export async function policiesWithoutHistory({ stage }: Bench, name: string): Promise<string> {
  const policies = join(stage.folder, name);
  await cp(EXAMPLE_POLICIES, policies, { recursive: true });
  await rm(join(policies, 'policies', 'history.cedar'));
  return policies;
}

/**
 * @param options.flags Node flags of the sidecar
 * @param options.collectorPort destination of spans; default none
 */
export async function startSidecar(
  { domain, stage }: Bench,
  {
    collectorPort = null,
    flags = [],
    policies,
  }: { readonly policies: string; readonly flags?: readonly string[]; readonly collectorPort?: number | null },
): Promise<SidecarUnderTest> {
  const listen = join(stage.folder, 'authority.sock');
  const shared = { collectorPort, policies } as const;
  const authority = await RemitUnderTest.start(stage, domain, {
    ...shared,
    name: 'authority-of-sidecar',
    authority: {
      listen: [`unix:${listen}`],
      sidecars: [{ id: 'spiffe://acme.test/none', audiences: [audiences.files] }],
    },
  });
  const sidecar = await RemitUnderTest.start(stage, domain, {
    ...shared,
    name: 'sidecar',
    flags,
    sidecarOf: `authority:unix:${listen}`,
  });
  return { authority, sidecar };
}

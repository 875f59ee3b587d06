import { expect, it } from '@jest/globals';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { startRemit } from '../../../src/serve/remit.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { AuthorityServer } from '../../sidecar/state/authority-server.ts';
import { until } from '../../until.ts';
import { sidecarIn } from '../sidecars.ts';

const folder = testFolders();

it('a sidecar starts without its authority and without a state file, and is ready while it has a lease', async () => {
  const at = folder();
  const log: string[] = [];
  const remit = must(
    await startRemit(sidecarIn(at), {
      ports: systemPorts,
      environment: {},
      log: (line) => log.push(line),
      guard: async () => null,
      onFatal: () => undefined,
    }),
  );
  const leaseGate = () => remit.unmet().find((unmet) => unmet.startsWith('lease'));
  expect([remit.stateFile, remit.issuerPort, leaseGate()]).toEqual([
    null,
    null,
    expect.stringMatching(/^lease: no authority has answered yet/),
  ]);
  const authority = await AuthorityServer.listen(`unix:${at}/authority.sock`);
  authority.leaseMs = 1_000;
  try {
    await until(() => leaseGate() === undefined, { what: 'a lease' });
    authority.close();
    const cause =
      /^lease: no authority has confirmed the state of tasks for a lease: the authority `unix:.*` cannot be followed/;
    await until(() => cause.test(leaseGate() ?? ''), { what: 'the end of the lease' });
    expect(log).toContainEqual(expect.stringContaining('state of tasks: the authority `unix:'));
  } finally {
    await remit.close();
    authority.close();
  }
});

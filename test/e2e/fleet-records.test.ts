import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerEvidence } from '../../src/cli/ledger/ledger-evidence.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import type { EvidenceReport } from '../../src/tools/evidence/report.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet, SIDECARS } from './fleet.ts';
import { carelessEnvoy } from './outcome-envoy.ts';

/** A record in the log of a sidecar, as far as it is looked at here. */
interface Found {
  readonly log?: string;
}

describeWith(envoyPart(), 'the records of two sidecars at their authority', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder, { envoyConfig: carelessEnvoy });
  });

  const of = () => ['--config', join(fleet.folder, 'authority.yaml')];
  const records = async (...asked: readonly string[]): Promise<readonly Found[]> => {
    const { out } = await ran(ledgerQuery, ...of(), '--json', ...asked);
    return out.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  };
  /** Waits until there is such a record in the log of each sidecar. */
  const recordedAtBoth = (what: string, ...asked: readonly string[]) =>
    until(
      async () => {
        const found = new Set((await records(...asked)).map(({ log }) => log?.split('/')[1]));
        return SIDECARS.every((name) => found.has(name));
      },
      { what },
    );
  const evidence = async () => {
    const asked = ['--framework', 'csf-2.0', '--from', '-1h', '--key', fleet.ledgerKey(), '--format', 'json'];
    const { exit, out } = await ran(ledgerEvidence, ...of(), ...asked);
    return { exit, report: JSON.parse(out) as EvidenceReport };
  };

  /** Counted is what the ledger of the authority says: up to the last checkpoint of each sidecar. */
  const hasBothBypasses = async (): Promise<boolean> => {
    const { exit, report } = await evidence();
    const bypasses = report.classes.flatMap(({ exceptions }) => exceptions).filter(({ code }) => code === 'bypass');
    return exit === 0 && bypasses.some(({ count }) => count === SIDECARS.length);
  };

  it('have what became of each use, and what passed without a check, by the access log of the Envoy beside each', async () => {
    const { token, taskId } = await fleet.declare();
    for (const name of SIDECARS) {
      await until(async () => (await fleet.call(name, token)) === '200', { what: `a use at ${name}` });
      // The server behind Envoy has no such file, and was asked.
      expect(await fleet.status(name, 'files.acme.test', '/v1/files/open')).toBe(404);
    }
    await recordedAtBoth('the outcomes of both', '--kind', 'outcome', '--task', taskId);
    await recordedAtBoth('the findings of both', '--kind', 'finding', '--reason', 'bypass');
    await until(hasBothBypasses, { what: 'evidence of both findings' });
  });
});

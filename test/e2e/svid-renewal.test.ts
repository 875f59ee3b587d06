import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { writeCredential } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { diagnosed } from '../tools/doctor/diagnosed.ts';
import { refusedRenewals } from '../core/identity/refused-renewals.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { declare, startDomain } from './domain.ts';

const HOUR_MS = 3_600_000;

/** Issue 37, point 15: a renewal that is not good now replaces nothing. */
describeWith(envoyPart(), 'the SVID of Remit in files', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  const clock = { offMs: 0 };
  const said: string[] = [];

  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      ports: { ...systemPorts, nowMs: () => Date.now() + clock.offMs },
      log: (line) => said.push(line),
    });
  });

  const ready = (): Promise<number> =>
    fetch(`http://127.0.0.1:${domain.remit.adminPort}/readyz`).then(({ status }) => status);
  const refused = async (): Promise<string | undefined> => {
    const text = await (await fetch(`http://127.0.0.1:${domain.remit.adminPort}/metrics`)).text();
    return /^remit_svid_refused\{cause="([\w-]+)"\} 1$/m.exec(text)?.[1];
  };

  it('stays the good SVID for each that is not, with one event, a sample and a line of the doctor; clients notice nothing', async () => {
    const { authority } = domain;
    const names = { dns: ['localhost', 'issuer.acme.test'], ips: ['127.0.0.1'] };
    for (const [cause, { svid, bundlePem }] of await refusedRenewals(Date.now(), {
      authority,
      path: '/remit',
      names,
    })) {
      said.length = 0;
      await writeCredential(scratch.folder, 'remit', svid);
      await writeFile(join(scratch.folder, 'bundle.pem'), bundlePem);
      await until(async () => (await refused()) === cause, { what: `${cause} is counted` });
      const client = await authority.svid('/ns/agents/sa/planner');
      expect(client.id).toBe(domain.stage.planner.id);
      expect([await ready(), (await declare(domain.stage.planner, domain)).status]).toEqual([200, 200]);
      expect(said.filter((line) => line.startsWith('svid: not taken over'))).toHaveLength(1);
      const { findings } = await diagnosed(['--json', '--remit', `http://127.0.0.1:${domain.remit.adminPort}`]);
      expect(findings.filter(({ code }) => code === 'identity.refused')).toMatchObject([{ where: `svid/${cause}` }]);
    }
  });

  it('is the new SVID once that is valid, without another change of the files', async () => {
    clock.offMs = HOUR_MS + 1_000;
    await until(async () => (await refused()) === undefined, { what: 'the new one is taken over' });
    expect(said.filter((line) => line.includes('is valid until'))).toHaveLength(1);
  });
});

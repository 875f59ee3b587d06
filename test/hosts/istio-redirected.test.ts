import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { takenPort } from '../../src/serve/mesh-sidecar.ts';
import { diagnosed } from '../tools/doctor/diagnosed.ts';
import { both, describeWith, envoyPart, istiodPart, kubernetesPart, spirePart } from '../parts.ts';
import { until } from '../until.ts';
import { doctorCodes } from './doctor-codes.ts';
import { HostDomain } from './host-domain.ts';
import { Istio } from './istio.ts';

// Issue 39, point 7.
describeWith(
  both(both(spirePart(), envoyPart()), both(kubernetesPart(), istiodPart())),
  'an Istio sidecar as of a pod whose connections are redirected to it',
  ([[spire, envoy], [kube, istiod]]) => {
    let domain: HostDomain;
    let istio: Istio;
    beforeAll(async () => {
      domain = await HostDomain.start({ spire, envoy, extAuthz: { identity: 'peer', binding: 'spiffe-id' } });
      istio = await Istio.start(domain, { kube, istio: istiod, envoy }, { isRedirected: true });
    });
    afterAll(() => domain?.stop());

    it('is sound to the doctor: its own calls, connections of TCP that are asked about, and the reason of a failed check', async () => {
      expect(await infos(istio)).toContain('envoy.empty-error');
      await istio.apply('envoyfilter');
      await until(async () => !(await infos(istio)).includes('envoy.empty-error'));
      const { body } = await istio.envoy.admin('/config_dump?resource=dynamic_listeners');
      for (const made of ['virtualOutbound', 'virtualInbound', '240.0.0.1_5432', 'envoy.filters.network.ext_authz'])
        expect(body).toContain(made);
      expect(await doctorCodes(istio.admin)).toEqual([]);
    });

    // Issue 39, point 5.
    it('ends the TLS of a port of Remit, were it in the pod of an authority', async () => {
      const info = await read(istio, '/server_info');
      const inbound = await read(istio, '/config_dump?resource=dynamic_listeners&name_regex=virtualInbound');
      expect(takenPort({ info, inbound }, [9472])).toBe(9472);
    });

    // Issue 39, point 3.
    it('has another trust domain than a Remit of `other.test`, as the doctor finds', async () => {
      const config = join(domain.folder, 'other.yaml');
      await writeFile(config, 'trustDomains: [other.test]\npolicies: { folder: policies }\n');
      const { findings } = await diagnosed(['--envoy', istio.admin, '--config', config, '--json']);
      expect(findings.map(({ code }) => code)).toContain('envoy.other-domain');
    });

    it('is unsound if the check of connections is taken away by another provider', async () => {
      await istio.apply('policy', (text) =>
        text.replace('rules: [{}]', 'rules: [{ to: [{ operation: { ports: ["8080"] } }] }]'),
      );
      await until(async () => (await doctorCodes(istio.admin)).includes('envoy.direct-path'));
    });

    it('is before an authority, and asks nobody, without an error for each of its filter chains', async () => {
      await istio.kube.kubectl(['delete', 'authorizationpolicy', '--all', '-n', 'demo']);
      const levels = async (...words: readonly string[]): Promise<readonly string[]> => {
        const { findings } = await diagnosed(['--envoy', istio.admin, ...words, '--json']);
        return findings.flatMap(({ code, level, where }) =>
          code === 'envoy.never-asked' && where.includes('virtualInbound') ? [level] : [],
        );
      };
      await until(async () => (await levels()).includes('error'));
      const config = join(domain.folder, 'authority.yaml');
      // 8080 is a port of this workload that the mesh knows.
      const sidecars = '{ id: spiffe://acme.test/tools, audiences: https://payments.acme.test }';
      await writeFile(
        config,
        `trustDomains: [acme.test]
svid: { workloadApi: unix:///run/spire.sock }
issuer: { url: https://issuer.acme.test, listen: 0.0.0.0:9472 }
authority: { listen: 0.0.0.0:8080, sidecars: ${sidecars} }
policies: { folder: policies }
`,
      );
      const asOfAuthority = await levels('--config', config);
      expect(asOfAuthority).toEqual(['info']);
      expect((await levels()).length).toBeGreaterThan(1);
    });
  },
);

const read = async ({ envoy }: Istio, path: string): Promise<unknown> => JSON.parse((await envoy.admin(path)).body);

async function infos(istio: Istio): Promise<readonly string[]> {
  const { findings } = await diagnosed(['--envoy', istio.admin, '--json']);
  return findings.map(({ code }) => code);
}

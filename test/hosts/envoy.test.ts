import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { envoyConfigWithSpire, shippedSpireConfig } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { withTimeForChecks } from '../dev/time-for-checks.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { until } from '../until.ts';
import { doctorCodes } from './doctor-codes.ts';
import { certificateAt, itDecidesCalls, itRotates } from './host-cases.ts';
import { HostDomain, PROXY } from './host-domain.ts';

describeWith(
  both(spirePart(), envoyPart()),
  'raw Envoy with `envoy-spire.yaml`, and certificates from SPIRE',
  ([spire, binary]) => {
    let domain: HostDomain;
    let envoy: EnvoyProcess;
    let first: string;
    const host = () => ({ domain, port: envoy.address.port, first });

    beforeAll(async () => {
      domain = await HostDomain.start({ spire, envoy: binary, extAuthz: { identity: 'peer', binding: 'certificate' } });
      const { address } = domain.payments;
      const shipped = withTimeForChecks(await shippedSpireConfig());
      const config = (adminSocket: string): string =>
        envoyConfigWithSpire(
          shipped,
          {
            listener: { host: '127.0.0.1', port: 0 },
            adminSocket,
            remitSocket: domain.checkSocket,
            payments: address,
            files: address,
            collector: null,
          },
          { socket: domain.spire.workloadSocket, id: `spiffe://acme.test${PROXY}`, trustDomain: 'acme.test' },
        );
      const started = await EnvoyProcess.start({ binary, config, readyWithinMs: 90_000 });
      if (isBinaryProblem(started)) throw new Error(started.problem);
      envoy = started;
      domain.onStop(() => started.stop());
      first = await certificateAt(envoy.address.port);
    });
    afterAll(() => domain?.stop());

    it('is sound to the doctor', async () => {
      const admin = `unix:${envoy.adminSocket}`;
      expect(await doctorCodes(admin)).not.toContain('envoy.never-asked');
      // Once its first health check of Remit is over.
      await until(async () => (await doctorCodes(admin)).length === 0, { what: 'a sound Envoy' });
    });

    itDecidesCalls(host, { awayReason: 'envoy.no-decision' });

    itRotates(host);
  },
);

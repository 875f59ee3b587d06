import { get } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { payment } from '../e2e/domain.ts';
import { both, describeWith, envoyGatewayPart, envoyPart, spirePart } from '../parts.ts';
import { until } from '../until.ts';
import { doctorCodes, fileCodes, passesTrailers } from './doctor-codes.ts';
import { EnvoyGateway } from './envoy-gateway.ts';
import { statusAndReason, withToken } from './host-calls.ts';
import { certificateAt, itDecidesCalls, itRotates } from './host-cases.ts';
import { HOST, HostDomain, PROXY } from './host-domain.ts';

const read = { host: HOST, path: '/v1/payments/p-1' };

describeWith(
  both(both(spirePart(), envoyPart()), envoyGatewayPart()),
  'Envoy Gateway with the shipped files, and certificates from SPIRE',
  ([[spire, envoy], { binary }]) => {
    let domain: HostDomain;
    let gateway: EnvoyGateway;
    let first: string;
    const host = () => ({ domain, port: gateway.port, first });

    beforeAll(async () => {
      domain = await HostDomain.start({
        spire,
        envoy,
        extAuthz: { identity: 'xfcc', proxyId: `spiffe://acme.test${PROXY}`, binding: 'certificate' },
      });
      gateway = await EnvoyGateway.start(domain, { gateway: binary, envoy }, ['proxy', 'gateway', 'security', 'remit']);
      await answers(401);
      first = await certificateAt(gateway.port);
    });
    afterAll(() => domain?.stop());

    const call = async (): Promise<number | null> => {
      domain.reconnect();
      try {
        return (await domain.planner.agent.call(gateway.port, read)).status;
      } catch {
        return null;
      }
    };
    /** Waits until a call without a token is answered so. */
    const answers = async (status: number): Promise<void> => {
      let last: number | null = null;
      await until(async () => (last = await call()) === status, { what: `an answer ${status}` }).catch(() => {
        throw new Error(`the last answer was ${last}: ${gateway.log().slice(-15).join('\n')}`);
      });
    };

    describe('on a Unix socket', () => {
      itDecidesCalls(host);

      it('is sound to the doctor', async () => {
        await answers(401);
        expect(await doctorCodes(await gateway.admin())).toEqual([]);
        expect(await fileCodes(gateway.resources)).toEqual([]);
      });

      it('sets no limit on answers of MCP, which can be streams', async () => {
        const dump = await (await fetch(`http://${await gateway.admin()}/config_dump`)).text();
        expect(dump.replaceAll(/\s/g, '')).toMatch(/"match":\{"path":"\/mcp"\},"route":\{[^{}]*"timeout":"0s"/);
      });

      it('refuses a client without a certificate', async () => {
        const refused = new Promise((resolve, reject) => {
          const options = { host: '127.0.0.1', port: gateway.port, servername: HOST, rejectUnauthorized: false };
          get(options, resolve).on('error', reject);
        });
        await expect(refused).rejects.toThrow(/certificate required|ECONNRESET/);
      });

      it('reports what became of a call, by its access log', async () => {
        await answers(401);
        const token = await domain.declare(['payments.read']);
        await domain.planner.agent.call(gateway.port, withToken(token));
        await until(async () =>
          (await domain.records()).some((record) => record.kind === 'outcome' && record.status === 200),
        );
      });

      it('answers no path that has two readings', async () => {
        const token = await domain.declare(['payments.read']);
        for (const path of ['/v1%2Fpayments/p-1', '/v1/payments/p-1%5Cx']) {
          expect((await domain.planner.agent.call(gateway.port, withToken(token, { path }))).status).toBe(400);
        }
      });
    });

    describe('on a loopback address', () => {
      beforeAll(async () => {
        await domain.stopRemit();
        await gateway.apply('remit-tcp');
        await domain.startRemit({ listen: [`127.0.0.1:${domain.checkPort}`] });
        await answers(401);
      });
      itDecidesCalls(host);
      afterAll(async () => {
        await gateway.apply('remit');
        await domain.stopRemit();
        await domain.startRemit();
        await answers(401);
      });
    });

    it('with patch.yaml sends the certificate, which `identity: peer` needs, and bodies as bytes', async () => {
      await domain.stopRemit();
      await domain.startRemit({ identity: 'peer', proxyId: undefined });
      const token = await domain.declare(['payments.create']);
      const pay = () => {
        domain.reconnect();
        return domain.planner.agent.call(gateway.port, withToken(token, payment(100)));
      };
      expect(statusAndReason(await pay())).toEqual([403, 'identity.missing']);
      expect(await passesTrailers(await gateway.admin())).toBe(true);
      await gateway.apply('patch');
      await until(async () => (await pay()).status === 201);
      await until(async () => !(await passesTrailers(await gateway.admin())));
      await gateway.remove('patch');
      await domain.stopRemit();
      await domain.startRemit();
    });

    itRotates(host);

    describe('broken, as the doctor finds', () => {
      it('answers 500 if the Backend of Remit is missing or misnamed', async () => {
        await gateway.apply('security', (text) => text.replace('name: remit }] }', 'name: remitt }] }'));
        await answers(500);
        expect(await doctorCodes(await gateway.admin())).toContain('envoy.bad-provider');
        expect(await fileCodes(gateway.resources)).toEqual(['envoy-gateway.backend-missing']);
      });

      it('lets every call pass if that meets `failOpen: true`', async () => {
        await gateway.apply('security', (text) =>
          text.replace('name: remit }] }', 'name: remitt }] }').replace('failOpen: false', 'failOpen: true'),
        );
        await answers(200);
        expect(await doctorCodes(await gateway.admin())).toEqual(['envoy.never-asked']);
        expect(await fileCodes(gateway.resources)).toEqual([
          'envoy-gateway.backend-missing',
          'envoy-gateway.fails-open',
        ]);
        await gateway.apply('security');
        await answers(401);
      });

      it('lets calls pass while Remit is stopped with `failOpen: true`', async () => {
        await gateway.apply('security', (text) => text.replace('failOpen: false', 'failOpen: true'));
        await until(async () => (await doctorCodes(await gateway.admin())).includes('envoy.fails-open'));
        await domain.stopRemit();
        await answers(200);
        await domain.startRemit();
        await gateway.apply('security');
        await answers(401);
      });

      it('lets every call pass if a SecurityPolicy of a route takes the place of that of the Gateway', async () => {
        await gateway.apply('security', (text) => `${text}---\n${ofRoute}`);
        await answers(200);
        expect(await doctorCodes(await gateway.admin())).toEqual(['envoy.never-asked']);
        expect(await fileCodes(gateway.resources)).toEqual(['envoy-gateway.overridden']);
        await gateway.apply('security');
        await answers(401);
      });
    });
  },
);

/** A SecurityPolicy for something else. */
const ofRoute = `apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: { name: cors, namespace: default }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: payments }]
  cors: { allowOrigins: ['https://*.acme.test'] }
`;

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AgentReply } from '../../src/dev/agent.ts';
import { tlsMaterialOf } from '../../src/core/identity/svid.ts';
import { diagnosed } from '../tools/doctor/diagnosed.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { RotatingAgent } from '../spire/rotating-agent.ts';
import { SpireDomain } from '../spire/spire-domain.ts';

const HOST = 'payments.acme.test';
const payment = { host: HOST, path: '/v1/payments/p-1' };
const intent = {
  resource: 'https://payments.acme.test',
  detail: {
    type: 'urn:remit:task',
    locations: ['https://payments.acme.test'],
    actions: ['payments.read'],
    purpose: 'watch payment p-1',
  },
};

const settingsOf = (domain: SpireDomain, binding: 'certificate' | 'spiffe-id') => ({
  ...intent,
  binding,
  envoyPort: domain.envoy.address.port,
  issuerPort: domain.issuerPort,
});

/** Between two calls of a caller, so that they leave the processors to what is tested. */
const PAUSE_MS = 10;

const reasonOf = ({ body }: AgentReply): unknown => JSON.parse(body).reason;

describeWith(both(spirePart(), envoyPart()), 'Envoy, Remit and an agent on SVIDs from SPIRE', ([spire, envoy]) => {
  describe('one task', () => {
    let domain: SpireDomain;
    let agent: RotatingAgent;

    beforeAll(async () => {
      domain = await SpireDomain.start({ spire, envoy, binding: 'certificate', ttlSeconds: 3600 });
      agent = await RotatingAgent.start(domain.planner, settingsOf(domain, 'certificate'));
    });
    afterAll(async () => {
      await agent?.close();
      await domain?.stop();
    });

    it('allows a call with the token of a declared intent, and its reuse', async () => {
      expect((await agent.call(payment)).status).toBe(200);
      expect((await agent.call(payment)).status).toBe(200);
      expect(domain.payments.received().length).toBe(2);
    });

    it('leaves the doctor nothing to find', async () => {
      const args = [
        '--only',
        'envoy',
        '--envoy',
        `unix:${domain.envoy.adminSocket}`,
        '--suppress',
        'envoy.long-timeout=*',
        '--json',
      ];
      const { exit, findings } = await diagnosed(args);
      expect(findings.filter(({ level }) => level !== 'info')).toEqual([]);
      expect(exit).toBe(0);
    });

    it('refuses a call outside the intent', async () => {
      const reply = await agent.call({ host: HOST, path: '/v1/payments/p-1/refund', method: 'POST' });
      expect([reply.status, reasonOf(reply)]).toEqual([403, 'action.outside-intent']);
    });

    it('refuses the very next call once the task is complete', async () => {
      expect((await agent.complete()).status).toBe(200);
      const reply = await agent.call(payment);
      expect([reply.status, reasonOf(reply)]).toEqual([403, 'task.completed']);
      expect(domain.payments.received().length).toBe(2);
    });
  });

  describe('fails no call while every SVID rotates more than twice under load', () => {
    const bindings = ['spiffe-id', 'certificate'] as const;
    let seen: ReadonlyMap<string, Awaited<ReturnType<typeof rotatedUnderLoad>>>;

    // Rotations are waited for: both domains wait at the same time.
    beforeAll(async () => {
      const rotated = bindings.map(async (binding) => {
        const domain = await SpireDomain.start({ spire, envoy, binding, ttlSeconds: 20 });
        try {
          return [binding, await rotatedUnderLoad(domain, binding)] as const;
        } finally {
          await domain.stop();
        }
      });
      seen = new Map(await Promise.all(rotated));
    });

    it.each(bindings)('with tokens bound by %s', (binding) => {
      const one = seen.get(binding);
      expect(one?.failures).toEqual([]);
      expect(one?.calls).toBeGreaterThan(200);
      expect(one?.handshakes).toBeGreaterThan(20);
      // The first certificate and those of three rotations.
      expect(Math.min(one?.envoyCertificates ?? 0, one?.issuerCertificates ?? 0)).toBeGreaterThanOrEqual(4);
      expect(one?.rotations).toBeGreaterThanOrEqual(3);
      expect(one?.rebinds ?? -1).toBeGreaterThanOrEqual(binding === 'certificate' ? 3 : 0);
    });
  });
});

/** Calls through Envoy and to the issuer all the time until everybody has had three rotations, for at most 40 s. */
async function rotatedUnderLoad(domain: SpireDomain, binding: 'certificate' | 'spiffe-id') {
  const agent = await RotatingAgent.start(domain.planner, settingsOf(domain, binding));
  const load = { failures: agent.problems, calls: 0, handshakes: 0, isOver: false };
  const envoyCertificates = new Set<string>();
  const issuerCertificates = new Set<string>();

  const untilOver = async (pauseMs: number, turn: () => Promise<void>): Promise<void> => {
    while (!load.isOver) {
      await turn().catch((error: unknown) => load.failures.push(String(error)));
      await delay(pauseMs);
    }
  };
  const callOnce = async (): Promise<void> => {
    const number = (load.calls += 1);
    const beganMs = performance.now();
    const { status, body } = await agent.call(payment);
    const tookMs = Math.round(performance.now() - beganMs);
    if (status !== 200) load.failures.push(`call ${number}: ${status} ${body} after ${tookMs} ms`);
  };
  const shakeHands = async (): Promise<void> => {
    load.handshakes += 2;
    envoyCertificates.add(await certificateAt(domain, domain.envoy.address.port, HOST));
    issuerCertificates.add(await certificateAt(domain, domain.issuerPort, 'localhost'));
  };
  const isEnough = (): boolean =>
    Math.min(agent.rotations, envoyCertificates.size - 1, issuerCertificates.size - 1) >= 3;
  const watch = async (): Promise<void> => {
    const deadlineMs = Date.now() + 150_000;
    while (Date.now() < deadlineMs && !isEnough()) await delay(100);
    load.isOver = true;
  };
  const callers = Array.from({ length: 4 }, () => untilOver(PAUSE_MS, callOnce));
  await Promise.all([watch(), ...callers, untilOver(250, shakeHands)]);
  await agent.close();
  return {
    ...load,
    rotations: agent.rotations,
    rebinds: agent.rebinds,
    envoyCertificates: envoyCertificates.size,
    issuerCertificates: issuerCertificates.size,
  };
}

/** Opens a new connection with the planner's SVID, and returns the server certificate once HTTP was answered. */
async function certificateAt(domain: SpireDomain, port: number, name: string): Promise<string> {
  const svid = domain.planner.current();
  if (svid === null) throw new Error(domain.planner.problem() ?? 'no svid');
  const { certificate, key, bundle } = tlsMaterialOf(svid);
  const asked = request({
    host: '127.0.0.1',
    port,
    path: '/.well-known/jwks.json',
    agent: false,
    ca: bundle,
    cert: certificate,
    key,
    servername: name,
    headers: { host: name },
  });
  asked.end();
  const [response] = await once(asked, 'response');
  const { raw } = (response.socket as TLSSocket).getPeerCertificate();
  response.resume();
  await once(response, 'end');
  return new X509Certificate(raw).fingerprint256;
}

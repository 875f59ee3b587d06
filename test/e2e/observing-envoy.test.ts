import { request } from 'node:https';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../src/dev/authority.ts';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { observingEnvoyConfig } from '../../src/tools/init/observing.ts';
import { freePorts } from '../free-port.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { callPayments, mustDeclare, payment, scratchFolder, startDomain } from './domain.ts';

/** Makes a call without a certificate; returns its status. */
const callOfNobody = (port: number, path = '/v1/payments/p-1'): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = { host: 'payments.acme.test' };
    // The name in Envoy's certificate is not what this is about.
    request({ host: '127.0.0.1', port, path, headers, agent: false, rejectUnauthorized: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    })
      .on('error', reject)
      .end();
  });

/** Longer than Envoy sends to Remit. */
const LARGE = JSON.stringify({ amount: 5, currency: 'EUR', note: 'x'.repeat(200_000) });

const shadowed = (text: string): string =>
  text.replace('failure_mode_allow: true', 'failure_mode_allow: true\n                      shadow_mode: true');

/** Issue 41, point 3: the configuration for a listener whose calls are all observed, in a real Envoy. */
describeWith(envoyPart(), 'an Envoy whose calls are all observed', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let domain: DevDomain;
  /** Of the listener for agents without a certificate. */
  let portOfNobody = 0;
  const start = async (envoyConfig: (text: string) => string): Promise<void> => {
    [portOfNobody = 0] = await freePorts(1);
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      envoyConfig: (text) => envoyConfig(text).replace('port_value: 8444', `port_value: ${portOfNobody}`),
    });
  };
  beforeEach(async () => {
    scratch = await scratchFolder('remit-observing-');
  });
  afterEach(async () => {
    await domain?.stop();
    await scratch?.remove();
  });

  /** A token whose task has ended. */
  const endedToken = async (): Promise<string> => {
    const { planner, issuerPort, issuerHost } = domain.stage;
    const { token, taskId } = await mustDeclare(planner, domain);
    expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
    const ended = { host: issuerHost, method: 'POST', path: `/tasks/${taskId}/complete` };
    expect((await planner.call(issuerPort, ended)).status).toBe(200);
    return token;
  };

  it('obeys a denial, and lets every call pass while Remit is away', async () => {
    await start(observingEnvoyConfig);
    const { stage } = domain;
    const token = await endedToken();
    expect(await callPayments(stage.planner, domain, { token })).toEqual([403, 'task.completed']);
    expect(await callOfNobody(portOfNobody)).toBe(403);
    await domain.remit.close();
    expect(await callPayments(stage.planner, domain, { token })).toEqual([200, null]);
    expect(await callOfNobody(portOfNobody)).toBe(200);
    // The example server takes 64 KiB.
    const large = await stage.planner.call(stage.envoyPort, { host: 'payments.acme.test', ...payment(5), body: LARGE });
    expect(JSON.parse(large.body)).toEqual({ error: 'the body is too long' });
  });

  it('obeys no denial in `shadow_mode`, which therefore is not used: the token of an ended task passes', async () => {
    await start((text) => shadowed(observingEnvoyConfig(text)));
    const token = await endedToken();
    expect(await callPayments(domain.stage.planner, domain, { token })).toEqual([200, null]);
  });

  it('asks Remit about a body of which it sent the beginning, and about a path with two readings', async () => {
    await start(observingEnvoyConfig);
    const { stage } = domain;
    const { token } = await mustDeclare(stage.planner, domain);
    expect(await callPayments(stage.planner, domain, { token, ...payment(5), body: LARGE })).toEqual([
      413,
      'request.body-incomplete',
    ]);
    expect((await callPayments(stage.planner, domain, { token, path: '/v1/x%2Fy' }))[1]).toMatch(/^request\./);
  });

  it('lets nobody connect whose certificate is of another authority', async () => {
    await start(observingEnvoyConfig);
    const forged = await (await createAuthority('acme.test', systemPorts)).svid('/agents/planner');
    const thief = new Agent(forged, domain.authority.bundlePem);
    await expect(
      thief.call(domain.stage.envoyPort, { host: 'payments.acme.test', path: '/v1/payments/p-1' }),
    ).rejects.toThrow(/alert|certificate|ECONNRESET|EPIPE|socket/i);
    thief.close();
  });
});

describe('the helper of this file', () => {
  it('switches the shadow on', () => {
    expect(shadowed('x\nfailure_mode_allow: true\n')).toContain('shadow_mode: true');
  });
});

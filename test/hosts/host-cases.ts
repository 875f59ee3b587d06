import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:tls';
import { expect, it } from '@jest/globals';
import type { AgentCall } from '../../src/dev/agent.ts';
import { payment } from '../e2e/domain.ts';
import { until } from '../until.ts';
import { statusAndReason, withToken } from './host-calls.ts';
import { HOST, PROXY, type HostAgent, type HostDomain } from './host-domain.ts';

/** A host that is up, and the port at which its Envoy takes calls. */
export interface StartedHost {
  readonly domain: HostDomain;
  readonly port: number;
}

/**
 * What every host must do, as tests. Remit is stopped and started by the last of them.
 *
 * @param awayReason the reason in the host's own answer while Remit is away; default none
 */
export function itDecidesCalls(
  host: () => StartedHost,
  { awayReason = null }: { readonly awayReason?: string | null } = {},
): void {
  let token: string;

  it('allows a call with the token of its own task, and takes the token out of it', async () => {
    const { domain, port } = host();
    token = await domain.declare(['payments.read', 'payments.create']);
    const reply = await domain.planner.agent.call(port, withToken(token));
    expect(statusAndReason(reply)).toEqual([200, null]);
    const { headers } = domain.payments.received().at(-1) ?? { headers: {} };
    expect(headers).toMatchObject({ 'x-remit-agent': domain.planner.agent.id });
    expect(headers).not.toHaveProperty('authorization');
    expect(headers).not.toHaveProperty('x-forwarded-client-cert');
  });

  it('denies a call without a token, and a call outside the task, with their reasons', async () => {
    const { domain, port } = host();
    expect(statusAndReason(await domain.planner.agent.call(port, { host: HOST, path: '/v1/payments/p-1' }))).toEqual([
      401,
      'token.missing',
    ]);
    const refund = withToken(token, { method: 'POST', path: '/v1/payments/p-1/refund' });
    expect(statusAndReason(await domain.planner.agent.call(port, refund))).toEqual([403, 'action.outside-intent']);
  });

  it('decides on the arguments of a body', async () => {
    const { domain, port } = host();
    expect((await domain.planner.agent.call(port, withToken(token, payment(100)))).status).toBe(201);
    const without = withToken(token, { ...payment(100), body: JSON.stringify({ currency: 'EUR' }) });
    expect(statusAndReason(await domain.planner.agent.call(port, without))).toEqual([403, 'action.arguments']);
    expect(domain.payments.received().at(-1)?.body).toBe(JSON.stringify({ amount: 100, currency: 'EUR' }));
  });

  it('denies a thief, also with an XFCC header of the owner', async () => {
    const { domain, port } = host();
    const stolen = await domain.declare(['payments.read']);
    expect(statusAndReason(await domain.thief.agent.call(port, withToken(stolen)))).toEqual([401, 'token.binding']);
    const forged = `By=spiffe://acme.test${PROXY};URI=${domain.planner.agent.id}`;
    const call = withToken(await domain.declare(['payments.read']), { headers: { 'x-forwarded-client-cert': forged } });
    const [status, reason] = statusAndReason(await domain.thief.agent.call(port, call));
    expect([401, 403]).toContain(status);
    expect(reason).toMatch(/^(token\.binding|identity\.)/);
  });

  it('lets no body pass that is longer than what Remit is asked about, over HTTP/1.1 and HTTP/2', async () => {
    const { domain, port } = host();
    const long = { ...payment(100), body: JSON.stringify({ amount: 100, currency: 'EUR', note: 'x'.repeat(70_000) }) };
    const before = domain.payments.received().length;
    expect((await domain.planner.agent.call(port, withToken(token, long))).status).toBe(413);
    expect(await overHttp2(port, domain.planner.tls, withToken(token, long))).toBe(413);
    expect(domain.payments.received().length).toBe(before);
  });

  it('answers 503 while Remit is stopped, and decides again once it is back', async () => {
    const { domain, port } = host();
    const before = domain.payments.received().length;
    await domain.stopRemit();
    const call = { host: HOST, path: '/v1/payments/p-1' };
    expect(statusAndReason(await domain.planner.agent.call(port, call))).toEqual([503, awayReason]);
    expect(domain.payments.received().length).toBe(before);
    await domain.startRemit();
  });
}

/** The status of a call over HTTP/2. */
async function overHttp2(
  port: number,
  tls: HostAgent['tls'],
  { method, path, headers, body }: AgentCall,
): Promise<number> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ...tls, servername: HOST });
  try {
    const sent = session.request({ ...headers, ':method': method ?? 'GET', ':path': path ?? '/', ':authority': HOST });
    const response = once(sent, 'response');
    sent.end(body);
    const [answer] = await response;
    return answer[':status'];
  } finally {
    session.destroy();
  }
}

/** The certificate that the proxy shows at a port. */
export async function certificateAt(port: number): Promise<string> {
  // The certificate is there before a client's own is asked for.
  const socket = connect({ host: '127.0.0.1', port, servername: HOST, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return new X509Certificate(raw).fingerprint256;
}

/** Adds the test that the certificate of a proxy is followed by SPIRE's next one, and calls go on. */
export function itRotates(host: () => StartedHost & { readonly first: string }): void {
  it('shows the next SVID of SPIRE, and decides on', async () => {
    const { domain, port, first } = host();
    await domain.renewProxy();
    await until(async () => (await certificateAt(port)) !== first, { what: 'the next certificate of the proxy' });
    const call = withToken(await domain.declare(['payments.read']));
    expect(statusAndReason(await domain.planner.agent.call(port, call))).toEqual([200, null]);
  });
}

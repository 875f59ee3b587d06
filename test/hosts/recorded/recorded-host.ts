import { expect, it } from '@jest/globals';
import { payment } from '../../e2e/domain.ts';
import { checkClient } from '../../sidecar/envoy/client.ts';
import { envoyCheckRequestType, readAsEnvoy } from '../../sidecar/envoy/protos.ts';
import { type HostAgent, type HostDomain, PROXY } from '../host-domain.ts';
import type { RecordedCall, Shape } from './shape.ts';

/** Status and reason of Remit's answer to a check. */
export type Answer = readonly [status: number, reason: string | null];

const read: RecordedCall = { method: 'GET', path: '/v1/payments/p-1', headers: {}, body: null };

/** A call of a payment with a token. */
export const callWith = (token: string | null, call: Partial<RecordedCall> = {}): RecordedCall => ({
  ...read,
  ...call,
  headers: { ...call.headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
});

/** Asks Remit about a call of an agent, as a host of that shape does. */
export async function asked(
  domain: HostDomain,
  shape: Shape,
  { by, call }: { readonly by: Pick<HostAgent, 'agent' | 'certPem'>; readonly call: RecordedCall },
): Promise<Answer> {
  const proxyId = `spiffe://${domain.spire.trustDomain}${PROXY}`;
  const message = shape(call, { id: by.agent.id, certPem: by.certPem, proxyId });
  const client = checkClient(`unix:${domain.checkSocket}`);
  try {
    const answer = readAsEnvoy(await client.check(envoyCheckRequestType.serialize(message), { timeoutMs: 30_000 }));
    if (answer.status?.code === 0) return [200, null];
    const { status, body = '{}' } = answer.denied_response ?? {};
    return [status?.code ?? 403, JSON.parse(body).reason];
  } finally {
    client.close();
  }
}

/**
 * What every recorded host must do, as tests.
 *
 * @param highRisk the answer to a payment, which the shipped policies forbid without a bound certificate; default an allow
 */
export function itDecidesRecorded(
  host: () => HostDomain,
  shape: Shape,
  { highRisk = [200, null] }: { readonly highRisk?: Answer } = {},
): void {
  let token: string;
  const asks = (call: RecordedCall): Promise<Answer> => asked(host(), shape, { by: host().planner, call });

  it('allows a call with the token of its own task', async () => {
    token = await host().declare(['payments.read', 'payments.create']);
    expect(await asks(callWith(token))).toEqual([200, null]);
  });

  it('denies a call without a token, and a call outside the task, with their reasons', async () => {
    expect(await asks(callWith(null))).toEqual([401, 'token.missing']);
    expect(await asks(callWith(token, { method: 'POST', path: '/v1/payments/p-1/refund' }))).toEqual([
      403,
      'action.outside-intent',
    ]);
  });

  it('decides on the arguments of a body', async () => {
    expect(await asks(callWith(token, payment(100)))).toEqual(highRisk);
    const without = { ...payment(100), body: JSON.stringify({ currency: 'EUR' }) };
    expect(await asks(callWith(token, without))).toEqual([403, 'action.arguments']);
  });

  it('denies a thief, also with an XFCC header of the owner', async () => {
    const { planner, thief } = host();
    const stolen = await host().declare(['payments.read']);
    const forged = {
      'x-forwarded-client-cert': `By=spiffe://acme.test${PROXY};URI=${planner.agent.id}`,
    };
    const [status] = await asked(host(), shape, { by: thief, call: callWith(stolen, { headers: forged }) });
    expect([401, 403]).toContain(status);
    const again = await host().declare(['payments.read']);
    expect(await asked(host(), shape, { by: thief, call: callWith(again) })).toEqual([401, 'token.binding']);
  });

  it('has no answer for a host while it is stopped, which the host then refuses', async () => {
    await host().stopRemit();
    await expect(asks(callWith(token))).rejects.toMatchObject({ code: 14 });
    await host().startRemit();
  });
}

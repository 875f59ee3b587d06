import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { AgentReply } from '../../src/dev/agent.ts';
import { timelineFrom } from '../../src/core/ledger/timeline.ts';
import { must } from '../builders/must.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { RotatingAgent } from '../spire/rotating-agent.ts';
import { SpireDomain } from '../spire/spire-domain.ts';
import { until } from '../until.ts';

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
const reasonOf = ({ body }: AgentReply): unknown => JSON.parse(body).reason;

describeWith(both(spirePart(), envoyPart()), 'Envoy that asks Remit over the network', ([spire, envoy]) => {
  const start = async (remitId?: string): Promise<{ domain: SpireDomain; agent: RotatingAgent }> => {
    const named = remitId === undefined ? {} : { remitId };
    const domain = await SpireDomain.start({
      spire,
      envoy,
      binding: 'certificate',
      ttlSeconds: 20,
      asks: 'network',
      ...named,
    });
    const ports = { envoyPort: domain.envoy.address.port, issuerPort: domain.issuerPort };
    const agent = await RotatingAgent.start(domain.planner, { ...intent, ...ports, binding: 'certificate' });
    return { domain, agent };
  };
  let domain: SpireDomain;
  let agent: RotatingAgent;
  beforeAll(async () => {
    ({ domain, agent } = await start());
  });
  afterAll(async () => {
    await agent?.close();
    await domain?.stop();
  });

  it('has its calls allowed and denied as over a socket, with their outcomes', async () => {
    expect((await agent.call(payment)).status).toBe(200);
    const denied = await agent.call({ host: HOST, path: '/v1/payments/p-1/refund', method: 'POST' });
    expect([denied.status, reasonOf(denied)]).toEqual([403, 'action.outside-intent']);
    expect(domain.payments.received()).toHaveLength(1);
    const statuses = await until(
      async () => {
        await domain.remit.flush();
        const outcomes = must(timelineFrom(must(await domain.remit.recordsOf(agent.taskId, 100)))).flatMap((record) =>
          record.kind === 'outcome' ? [record.status] : [],
        );
        return outcomes.length === 2 ? outcomes : undefined;
      },
      { what: 'two outcomes' },
    );
    expect(statuses).toEqual(expect.arrayContaining([200, 403]));
  });

  it('loses no call while the SVIDs of all three rotate three times', async () => {
    const failures: string[] = [];
    const before = agent.rotations;
    const handshakes = async (): Promise<number> =>
      Number(
        /upstream_cx_total: (\d+)/.exec(
          (await domain.envoy.admin('/stats?filter=cluster.remit.upstream_cx_total')).body,
        )?.[1],
      );
    const opened = await handshakes();
    const deadlineMs = Date.now() + 200_000;
    for (let calls = 0; agent.rotations - before < 3 && Date.now() < deadlineMs; calls += 1) {
      const { status, body } = await agent.call(payment);
      if (status !== 200) failures.push(`${calls}: ${status} ${body}`);
      await delay(10);
    }
    expect(failures).toEqual([]);
    expect(agent.rotations - before).toBeGreaterThanOrEqual(3);
    // Of each renewed SVID.
    expect((await handshakes()) - opened).toBeGreaterThanOrEqual(3);
    expect(domain.log.filter((line) => line.includes('refused a connection'))).toEqual([]);
  });

  it('does not take another workload of the trust domain for Remit', async () => {
    const mistaken = await start('spiffe://acme.test/ns/remit/sa/somebody-else');
    try {
      const reply = await mistaken.agent.call(payment);
      expect([reply.status, reasonOf(reply)]).toEqual([503, 'envoy.no-decision']);
      expect(mistaken.domain.payments.received()).toEqual([]);
    } finally {
      await mistaken.agent.close();
      await mistaken.domain.stop();
    }
  });

  it('denies each call once Remit is gone', async () => {
    await domain.remit.close();
    const reply = await agent.call(payment);
    expect([reply.status, reasonOf(reply)]).toEqual([503, 'envoy.no-decision']);
  });
});

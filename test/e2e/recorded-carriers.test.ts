import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ledgerTimeline } from '../builders/ledger-timeline.ts';
import { mustDeclare, startDomain } from './domain.ts';

const DIGEST = expect.stringMatching(/^[\w-]{43}$/);

/** Rows HTTP 2 and 4 of the threat model. Issue 37, point 2. */
describeWith(envoyPart(), 'the record of what the catalog does not name, through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    agent?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let agent: Agent;

  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    agent = new Agent(await domain.authority.svid('/ns/agents/sa/planner'), domain.authority.bundlePem);
  });

  it('has names and digests of query and headers, and nothing of a call that is as every client makes it', async () => {
    const { token } = await mustDeclare(agent, domain, { actions: ['payments.read'] });
    const usual = { authorization: `Bearer ${token}`, accept: '*/*', 'user-agent': 'agent/1' };
    const call = { host: 'payments.acme.test', path: '/v1/payments/p-1' };
    const replies = [
      await agent.call(domain.stage.envoyPort, { ...call, headers: usual }),
      await agent.call(domain.stage.envoyPort, {
        ...call,
        path: `${call.path}?amount=1000000`,
        headers: { ...usual, 'x-user-id': 'admin', cookie: 'session=1' },
      }),
      await agent.call(domain.stage.envoyPort, { ...call, headers: { ...usual, 'x-user-id': 'admin' } }),
    ];
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    await domain.remit.flush();
    expect(ledgerTimeline(scratch.folder).flatMap((record) => (record.kind === 'use' ? [record.carried] : []))).toEqual(
      [
        undefined,
        {
          headers: { names: ['x-user-id', 'cookie'], withheld: 'secret' },
          names: ['query/amount'],
          'sha-256': DIGEST,
        },
        { headers: { names: ['x-user-id'], 'sha-256': DIGEST } },
      ],
    );
  });
});

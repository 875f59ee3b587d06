import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { startDomain } from './domain.ts';
import { dpopProof, newKey } from './dpop-proof.ts';

const AUDIENCE = 'https://payments.acme.test';
const PER_SECOND = 5;

/** An agent behind the hop: its key and the token bound to it. */
interface Behind {
  readonly key: ReturnType<typeof newKey>;
  readonly token: string;
}

/** Issue 14, point 8: agents behind one hop that terminates TLS share its connection, but not its rate. */
describeWith(envoyPart(), 'the rate of agents behind a hop, through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    hop?.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let hop: Agent;
  let planner: Behind;
  let reporter: Behind;

  const declare = async (agent: Agent): Promise<Behind> => {
    const key = newKey();
    const { issuerPort, issuerHost } = domain.stage;
    const dpop = await dpopProof({ key, method: 'POST', url: 'https://issuer.acme.test/oauth/token' });
    const request = tokenRequest(AUDIENCE, { actions: ['payments.read'], purpose: 'look' }, { dpop });
    const reply = await agent.call(issuerPort, { host: issuerHost, ...request });
    expect([reply.status, reply.body]).toEqual([200, expect.any(String)]);
    return { key, token: JSON.parse(reply.body).access_token };
  };

  const call = async ({ key, token }: Behind): Promise<string> => {
    const url = `${AUDIENCE}/v1/payments/p-1`;
    const dpop = await dpopProof({ key, method: 'GET', url, token });
    const { status, body } = await hop.call(domain.stage.envoyPort, {
      host: 'payments.acme.test',
      path: '/v1/payments/p-1',
      headers: { authorization: `DPoP ${token}`, dpop },
    });
    return status === 200 ? '200' : `${status} ${JSON.parse(body).reason}`;
  };

  /** Calls until `work` is done, which starts once calls were refused for their rate; returns the results. */
  const beside = async (flooding: Behind, work: () => Promise<unknown>): Promise<ReadonlySet<string>> => {
    const answers = new Set<string>();
    const refused = Promise.withResolvers<void>();
    const state = { isOver: false };
    const floods = Array.from({ length: 8 }, async () => {
      while (!state.isOver) {
        const answer = await call(flooding);
        answers.add(answer);
        if (answer === '503 overloaded') refused.resolve();
      }
    });
    try {
      await refused.promise;
      await work();
    } finally {
      state.isOver = true;
      await Promise.all(floods);
    }
    return answers;
  };

  const calmly = async (behind: Behind): Promise<readonly string[]> => {
    const answers: string[] = [];
    for (let n = 0; n < PER_SECOND - 1; n += 1) answers.push(await call(behind));
    return answers;
  };
  const allowed = Array.from({ length: PER_SECOND - 1 }, () => '200');

  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      settings: { extAuthz: { binding: 'dpop', maxChecksPerSecondPerAgent: PER_SECOND, onBindingViolation: 'ignore' } },
    });
    hop = new Agent(await domain.authority.svid('/ns/mesh/sa/hop'), domain.authority.bundlePem);
    // The issuer refuses proofs from before its start.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    [planner, reporter] = [await declare(domain.stage.planner), await declare(domain.stage.reporter)];
  });

  it("is not used up by somebody who sends another agent's token without its key", async () => {
    let answers: readonly string[] = [];
    const thief = { key: newKey(), token: planner.token };
    const flood = await beside(thief, async () => (answers = await calmly(planner)));
    expect(answers).toEqual(allowed);
    expect(flood).toEqual(new Set(['401 token.binding', '503 overloaded']));
  });

  it('is not used up by another agent', async () => {
    let answers: readonly string[] = [];
    const flood = await beside(planner, async () => (answers = await calmly(reporter)));
    expect(answers).toEqual(allowed);
    expect(flood).toEqual(new Set(['200', '503 overloaded']));
  });
});

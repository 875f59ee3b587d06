// A task is asked about again with what it was issued with.
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import { mustFind } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { type Answer, audience, type Bench, details, type Parameters, startBench } from '../bench.ts';
import { type Idp, idpUrl, plannerId, reporterId, startIdp } from '../idp.ts';

const folder = testFolders(() => bench.close());
const monitorId = 'spiffe://acme.test/ns/agents/sa/monitor' as SpiffeId;
/** It stands still, so that both questions are of one second. */
const nowMs = Date.now();
const idp: Idp = startIdp(() => nowMs);
const asked: Question[] = [];
let bench: Bench;
let monitor: IssuedCertificate;
beforeAll(async () => {
  const { subjectIssuers, subjectKeys } = idp;
  bench = await startBench(folder(), {
    ports: { ...systemPorts, nowMs: () => nowMs },
    subjectKeys,
    settings: { subjectIssuers, contextWriters: new Set([monitorId]) },
    grant: (question) => {
      asked.push(question);
      return bench.grant(question);
    },
  });
  monitor = await bench.authority.svid('/ns/agents/sa/monitor');
});

const asking: Parameters = {
  resource: audience,
  authorization_details: details({ constraints: { not_after: Math.floor(nowMs / 1_000) + 300 } }),
  task_context: '{"model":"m-1"}',
};
const tokenOf = ({ json }: Answer): string => String(json['access_token']);
const ofUser = async (claims = {}): Promise<Answer> => bench.exchange(await idp.accessToken(claims), asking);
const part = async (): Promise<Answer> => {
  const whole = await ofUser({ act: { sub: 'portal', iss: idpUrl } });
  const handed = await bench.exchange(tokenOf(whole), { delegate: reporterId });
  return bench.exchange(tokenOf(handed), {}, bench.reporter);
};

describe('`askAgain`', () => {
  it.each<[string, () => Promise<Answer>, readonly string[]]>([
    ['an agent of its own', () => bench.token(asking), []],
    ['a user', ofUser, [plannerId]],
    ['a user, with an actor before', () => ofUser({ act: { sub: 'portal', iss: idpUrl } }), ['portal', plannerId]],
    ['a user, in a part', part, ['portal', plannerId, reporterId]],
  ])('asks about the task of %s what its issuance asked', async (_name, issue, actors) => {
    asked.length = 0;
    const answer = await issue();
    expect(answer.status).toBe(200);
    const issued = mustFind(asked.at(-1));
    expect(issued.context['actors']).toEqual(actors);
    asked.length = 0;
    const reply = await bench.ask(`/tasks/${String(answer.json['txn'])}/context`, {
      method: 'PUT',
      body: '{"context":{"approval":"finance"}}',
      headers: { 'content-type': 'application/json' },
      as: monitor,
    });
    expect([reply.status, reply.json['state']]).toEqual([200, 'active']);
    const attested = [{ name: 'approval', value: 'finance', by: monitorId }];
    const context = { ...issued.context, ttlSeconds: expect.any(Number), attested };
    expect(asked).toEqual([{ ...issued, context, inTermsOf: expect.any(Function) }]);
  });
});

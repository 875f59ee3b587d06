import { expect, it } from '@jest/globals';
import { allowBy } from '../../../../src/core/decision/allow.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { jtiDigestOf } from '../../../../src/core/token/jti-digest.ts';
import { transactionTokenSigner } from '../../../../src/core/token/transaction-token-signer.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustSpiffeId, mustTrustDomain } from '../../../builders/spiffe-id.ts';
import { es256Key } from '../../../builders/tokens.ts';
import { mixedRing } from '../../../core/token/external-tokens.ts';
import { stopOrder } from '../../../builders/order.ts';
import { must } from '../../../builders/must.ts';
import { details, startBench } from '../bench.ts';
import { newTask } from '../signals/transmitter.ts';

const folder = testFolders();

const planner = 'spiffe://acme.test/ns/agents/sa/planner';
const reporter = mustSpiffeId('spiffe://acme.test/ns/agents/sa/reporter');
const acme = mustTrustDomain('acme.test');

// Issue 42, point 2.
it('a part that comes from a transaction token names all agents above it, and stops with each of them', async () => {
  const key = es256Key('txn-1');
  const ring = mixedRing({ remit: es256Key('remit-1'), external: es256Key('iam-1'), transaction: key });
  const bench = await startBench(folder(), {
    transactions: { keys: ring, jwks: { keys: [] }, trustDomain: acme },
    grant: () => allowBy(['p']),
  });
  const root = newTask(bench.store, { subject: 'alice' });
  const part = newTask(bench.store, {
    subject: 'alice',
    agent: reporter,
    parentId: root.task.id,
    deadlineMs: root.task.deadlineMs,
  });
  const sign = transactionTokenSigner({
    key,
    issuer: 'https://txn.acme.test',
    trustDomain: acme,
    ttlSeconds: 60,
    nowMs: systemPorts.nowMs,
    randomBytes: systemPorts.randomBytes,
  });
  const subject = await sign({
    taskId: part.task.id,
    subject: 'alice',
    agent: reporter,
    scope: ['payments.read'],
    action: 'payments.read',
    resource: 'https://payments.acme.test',
    tokenDigest: jtiDigestOf(part.tokenId),
    argsDigest: null,
    requestIp: null,
    traceparent: null,
  });
  const service = await bench.authority.svid('/ns/agents/sa/service');
  const asked = {
    subject_token_type: 'urn:ietf:params:oauth:token-type:txn_token',
    resource: 'https://payments.acme.test',
    authorization_details: details(),
  };
  const answer = await bench.exchange(subject, asked, service);
  expect([answer.status, answer.json['error_description']]).toEqual([200, undefined]);
  const [, claims = ''] = String(answer.json['access_token']).split('.');
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
    sub: 'alice',
    act: { sub: 'spiffe://acme.test/ns/agents/sa/service', act: { sub: reporter, act: { sub: planner } } },
  });
  must(bench.store.putOrder(stopOrder({ kind: 'agent', what: planner }), []));
  expect(await bench.exchange(subject, asked, service)).toMatchObject({
    status: 403,
    json: { reason: 'stopped.agent' },
  });
  await bench.close();
});

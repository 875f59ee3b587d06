import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { decide } from '../../../src/core/decide/decide.ts';
import { heldWhileObserved } from '../../../src/core/decide/held-while-observed.ts';
import { holdsWhileObserved } from '../../../src/core/decide/enforce.ts';
import type { CallFacts } from '../../../src/core/decide/facts.ts';
import { deny, isDeny } from '../../../src/core/decision/decision.ts';
import { RISK_CEILING_MS } from '../../../src/core/policy/answers/cache.ts';
import type { Keep } from '../../../src/core/policy/engine.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { workloadIdentity } from '../../../src/core/token/credential.ts';
import {
  accepting,
  action,
  answering,
  caller,
  change,
  external,
  facts,
  issued,
  nowMs,
  rules,
  server,
  task,
  token,
} from '../../builders/decided-call.ts';

const secret = {
  kind: 'api-key',
  where: 'header',
  name: 'x-api-key',
  digest: 'hmac-sha-256:x',
  sha256: 'sha-256:x',
} as const;

describe('decide', () => {
  it('allows what every stage lets through', () => {
    expect(decide(facts, rules)).toEqual({ kind: 'allow', policyIds: ['p'], observed: null });
  });

  it.each([
    ['an unreadable request', change({ call: deny('request.malformed', 'd') }), rules, 'request.malformed'],
    ['no identity', change({ caller: deny('identity.missing', 'd') }), rules, 'identity.missing'],
    [
      'a static secret, before its credential is judged',
      change({ secrets: [secret], credential: deny('token.malformed', 'd') }),
      rules,
      'token.static-secret',
    ],
    ['no token', change({ credential: deny('token.missing', 'd') }), rules, 'token.missing'],
    ['a stolen token', change({ caller: { ...caller, certificateSha256: 'e'.repeat(43) } }), rules, 'token.binding'],
    ['an unreadable store', change({ task: deny('task.state-unavailable', 'd') }), rules, 'task.state-unavailable'],
    ['a task that is not there', change({ task: undefined }), rules, 'task.unknown'],
    ['a completed task', change({ task: { ...task, state: 'completed', endedAtMs: 1 } }), rules, 'task.completed'],
    ['a task at its deadline', change({ task: { ...task, deadlineMs: nowMs } }), rules, 'task.expired'],
    ['a token that was revoked', change({ issued: { ...issued, revokedAtMs: 1 } }), rules, 'token.revoked'],
    ['no policies', facts, { ...rules, policies: deny('policy.unavailable', 'd') }, 'policy.unavailable'],
    ['an unknown action', change({ action: deny('action.unknown', 'd') }), rules, 'action.unknown'],
    [
      'the token of another server',
      change({ action: { ...action, server: { ...server, audience: 'https://x.test' } } }),
      rules,
      'token.audience',
    ],
    [
      'an action outside the intent',
      change({ action: { ...action, id: 'payments.read' } }),
      rules,
      'action.outside-intent',
    ],
    ['a forbid', facts, { ...rules, policies: answering({ kind: 'forbidden', policyIds: ['f'] }) }, 'policy.forbidden'],
    ['no permit', facts, { ...rules, policies: answering({ kind: 'not-permitted' }) }, 'policy.not-permitted'],
    [
      'a policy that errs',
      facts,
      { ...rules, policies: answering({ kind: 'error', policyIds: ['f'], detail: 'd' }) },
      'policy.error',
    ],
    [
      'an empty policy set that would permit',
      facts,
      { ...rules, policies: answering({ kind: 'permitted', policyIds: ['p'] }, false) },
      'policy.unavailable',
    ],
  ] as const)('denies %s', (_name, given, by, reason) => {
    expect(decide(given, by)).toMatchObject({ kind: 'deny', reason });
  });

  it.each([
    [
      'an external token if the action accepts external tokens',
      { credential: external, action: accepting('external-token') },
    ],
    [
      'an identity alone if the action accepts it',
      { credential: workloadIdentity, action: accepting('workload-identity') },
    ],
  ] as const)('asks the policies about %s, without a task', (_name, changed) => {
    expect(decide(change({ ...changed, task: undefined, issued: undefined }), rules)).toMatchObject({ kind: 'allow' });
  });

  it.each([
    ['a proof that is not good', { presented: { scheme: 'DPoP', proof: deny('token.proof', 'old') } }, 'token.proof'],
    ['an external token if the action takes a task token', { credential: external }, 'token.issuer'],
    ['an identity alone if the action takes a task token', { credential: workloadIdentity }, 'token.missing'],
    [
      'an identity alone at an unknown action',
      { credential: workloadIdentity, action: deny('action.unknown', '') },
      'token.missing',
    ],
    [
      'the external token of another server',
      { credential: { ...external, audience: 'https://x.test' }, action: accepting('external-token') },
      'token.audience',
    ],
    [
      'an external token bound to another certificate',
      {
        credential: { ...external, confirmation: { kind: 'x5t#S256', thumbprint: 'e'.repeat(43) } },
        action: accepting('external-token'),
      },
      'token.binding',
    ],
  ] as const)('denies %s', (_name, changed, reason) => {
    expect(decide(change(changed), rules)).toMatchObject({ kind: 'deny', reason });
  });

  it('lets a static secret pass by an exception of the action until its last day is over', () => {
    const place = { file: 'actions.yaml', line: 1, column: 1 };
    const exception = { digest: null, header: 'x-api-key', owner: 'team payments', untilMs: nowMs + 1, place };
    const excepted = change({ secrets: [secret], action: { ...action, staticSecrets: [exception] } });
    expect(decide(excepted, rules)).toMatchObject({ kind: 'allow' });
    expect(decide({ ...excepted, nowMs: nowMs + 1 }, rules)).toEqual(
      deny('token.static-secret', 'a long-lived secret (`api-key`) in the header `x-api-key`'),
    );
  });

  it('answers by the first stage that refuses, in the order of the data path', () => {
    const refusals = [
      { call: deny('request.malformed', '') },
      { caller: deny('identity.missing', '') },
      { credential: deny('token.missing', '') },
      { task: deny('task.state-unavailable', '') },
      { action: deny('action.unknown', '') },
    ] as const;
    const seen = refusals.map((_, index) => decide(Object.assign({}, facts, ...refusals.slice(index)), rules));
    expect(seen.map((decision) => isDeny(decision) && decision.reason)).toEqual([
      'request.malformed',
      'identity.missing',
      'token.missing',
      'task.state-unavailable',
      'action.unknown',
    ]);
  });

  it('shows the reason of the policy that forbids, and nothing else of it', () => {
    const decision = decide(facts, { ...rules, policies: answering({ kind: 'forbidden', policyIds: ['f'] }) });
    expect(decision).toMatchObject({ advice: 'ask a person', policyIds: ['f'] });
  });

  it('keeps no answer past the end of the token or the deadline of the task, nor longer than the risk allows', () => {
    const risk = fc.constantFrom('low', 'medium', 'high');
    const aheadMs = fc.oneof(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 200_000 }));
    const carried = fc.constantFrom('task-token', 'external-token', 'workload-identity');
    fc.assert(
      fc.property(risk, aheadMs, aheadMs, carried, (ofRisk, tokenMs, taskMs, kind) => {
        const kept: Keep[] = [];
        const policies = {
          ready: true,
          ask: (_question: unknown, keep: Keep) => {
            kept.push(keep);
            return { kind: 'permitted', policyIds: ['p'] };
          },
        } as unknown as PolicySet;
        const expiresAtSeconds = Math.ceil((nowMs + tokenMs) / 1000);
        const given = {
          'task-token': { ...token, expiresAtSeconds },
          'external-token': { ...external, expiresAtSeconds },
          'workload-identity': workloadIdentity,
        }[kind];
        const isOfTask = kind === 'task-token';
        const asked = change({
          credential: given,
          action: { ...accepting(kind), risk: ofRisk },
          ...(isOfTask ? { task: { ...task, deadlineMs: nowMs + taskMs } } : { task: undefined, issued: undefined }),
        });
        expect(decide(asked, { ...rules, policies })).toMatchObject({ kind: 'allow' });
        const ends = [
          nowMs + RISK_CEILING_MS[ofRisk],
          kind === 'workload-identity' ? Infinity : expiresAtSeconds * 1000,
          isOfTask ? nowMs + taskMs : Infinity,
        ];
        expect(kept).toMatchObject([{ nowMs, untilMs: Math.min(...ends) }]);
      }),
    );
  });
});

// Issue 41, point 2: what is wrong with a call besides its token must not let a token pass that is denied also while observing.
describe('heldWhileObserved', () => {
  const ended = { ...task, state: 'cancelled', endedAtMs: nowMs } as const;
  const unread = deny('request.body-incomplete', 'cut');
  const nobody = deny('identity.missing', 'no certificate');
  const thief = { ...caller, id: mustSpiffeId('spiffe://acme.test/thief') };
  const renewed = { ...caller, certificateSha256: 'd'.repeat(43) };
  const forged = { ...deny('token.signature', 'forged'), isOfRemit: true } as const;

  it.each<[string, Partial<CallFacts>, string]>([
    ['an ended token beside a static secret', { secrets: [secret], task: ended }, 'task.cancelled'],
    ['a stolen token beside a static secret', { secrets: [secret], caller: thief }, 'token.binding'],
    ['a forged token beside a static secret', { secrets: [secret], credential: forged }, 'token.signature'],
    ['an ended token of an unread request', { call: unread, caller: unread, task: ended }, 'task.cancelled'],
    [
      'a stolen token of an unread request',
      { call: unread, caller: unread, seen: { caller: thief, host: null } },
      'token.binding',
    ],
    ['an ended token of nobody', { caller: nobody, task: ended }, 'task.cancelled'],
    ['an ended token with another certificate of its agent', { caller: renewed, task: ended }, 'task.cancelled'],
  ])('finds %s', (_name, changed, reason) => {
    const asked = change(changed);
    const first = decide(asked, rules);
    expect(isDeny(first) && !holdsWhileObserved(first)).toBe(true);
    expect(heldWhileObserved(asked, rules)).toMatchObject({ reason });
  });

  it.each<[string, Partial<CallFacts>]>([
    ['a live token beside a static secret', { secrets: [secret] }],
    ['a live token of an unread request', { call: unread, caller: unread, seen: { caller, host: null } }],
    ['a live token of nobody', { caller: nobody }],
    ['a live token with another certificate of its agent', { caller: renewed }],
    ['no token', { credential: workloadIdentity, task: undefined, issued: undefined }],
    [
      'a token of another issuer that is bound to another certificate',
      { credential: { ...external, confirmation: { kind: 'x5t#S256', thumbprint: 'd'.repeat(43) } } },
    ],
  ])('finds nothing wrong with %s', (_name, changed) => {
    expect(heldWhileObserved(change(changed), rules)).toBeNull();
  });
});

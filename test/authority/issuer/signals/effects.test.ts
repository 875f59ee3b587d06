import { describe, expect, it } from '@jest/globals';
import { deny, isDeny } from '../../../../src/core/decision/decision.ts';
import type { ReasonCode } from '../../../../src/core/decision/reasons.ts';
import type { SignalEffect } from '../../../../src/authority/issuer/signals/effects.ts';
import { jtiDigestOf } from '../../../../src/core/token/jti-digest.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../../src/core/state/store.ts';
import { taskPermits, type Task } from '../../../../src/core/task/task.ts';
import { taskClaimsFrom } from '../../../../src/core/token/claims.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { tokenNumber } from '../../../builders/task.ts';
import { soundClaims } from '../../../builders/tokens.ts';
import { type Bench, issuerUrl, startBench } from '../bench.ts';
import {
  eventUri,
  newTask,
  push,
  recordsOf,
  setOf,
  signalServices,
  taskNow,
  transmitterIssuer,
} from './transmitter.ts';

const folder = testFolders();

/** An event with a configured effect. */
async function withEffect(
  effect: SignalEffect,
  bench: Bench,
  payload: object = {},
): Promise<ReturnType<typeof newTask>> {
  const made = newTask(bench.store, { subject: 'alice' });
  const events = { [eventUri('session-revoked')]: payload };
  expect((await push(bench, setOf({ events }))).status).toBe(202);
  expect(bench.spans.at(-1)?.attributes).toMatchObject({ 'remit.signal.effect': effect });
  return made;
}

const start = (effect: SignalEffect, refusal: ReasonCode | null = null): Promise<Bench> =>
  startBench(folder(), {
    signals: signalServices({ 'session-revoked': effect, 'risk-level-change': effect }),
    ...(refusal === null ? {} : { grant: () => deny(refusal, 'no') }),
  });

describe('the configured effect of an event', () => {
  it.each<[SignalEffect, ReasonCode | null, string, string]>([
    ['revoke', null, 'revoked', 'low'],
    ['suspend', null, 'suspended', 'low'],
    ['risk', null, 'active', 'high'],
    ['ignore', null, 'active', 'low'],
    ['ask', null, 'active', 'low'],
    ['ask', 'policy.not-permitted', 'revoked', 'low'],
    ['ask', 'policy.forbidden', 'revoked', 'low'],
    ['ask', 'policy.error', 'suspended', 'low'],
    ['ask', 'policy.unavailable', 'suspended', 'low'],
  ])('%s, if the policies answer %s, leaves the task %s with risk %s', async (effect, refusal, state, risk) => {
    const bench = await start(effect, refusal);
    const { task } = await withEffect(effect, bench);
    const now = taskNow(bench.store, task);
    expect([now.state, now.risk]).toEqual([state, risk]);
    await bench.close();
  });

  it('ask records the answer of the policies', async () => {
    const bench = await start('ask', 'policy.forbidden');
    const { task } = await withEffect('ask', bench);
    expect(recordsOf(bench.store, task.id).at(-1)).toMatchObject({
      kind: 'end',
      state: 'revoked',
      cause: 'signal.session-revoked',
      note: 'signal session-revoked: the policies no longer grant the task',
      by: transmitterIssuer,
    });
    await bench.close();
  });

  it('ask sets the risk before asking', async () => {
    const bench = await start('ask', 'policy.error');
    const { task } = newTask(bench.store, { subject: 'alice' });
    const events = { [eventUri('risk-level-change')]: { principal: 'USER', current_level: 'HIGH' } };
    await push(bench, setOf({ events }));
    const now = taskNow(bench.store, task);
    expect([now.state, now.risk]).toEqual(['suspended', 'high']);
    await bench.close();
  });

  it('ask revokes a task whose action the catalog no longer has', async () => {
    const bench = await start('ask');
    const details = [{ type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.gone'] }];
    const { task } = newTask(bench.store, { subject: 'alice', detailsJson: JSON.stringify(details) });
    await push(bench, setOf());
    expect(taskNow(bench.store, task).state).toBe('revoked');
    await bench.close();
  });

  it.each<[SignalEffect, string, string]>([
    ['suspend', 'task.suspended', 'token.revoked'],
    ['revoke', 'task.revoked', 'task.revoked'],
  ])(
    '%s refuses the token at the next check: %s, and if the task is resumed: %s',
    async (effect, reason, afterResume) => {
      const bench = await start(effect);
      const { store } = bench;
      const { task, tokenId } = newTask(store, { subject: 'alice' });
      expect(nextCheck(store, task, tokenId)).toMatchObject({ id: task.id });
      await push(bench, setOf());
      expect(nextCheck(store, task, tokenId)).toMatchObject({ kind: 'deny', reason });
      store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', 'looked at') }, 'operator');
      expect(nextCheck(store, task, tokenId)).toMatchObject({ kind: 'deny', reason: afterResume });
      await bench.close();
    },
  );

  it('revoke of a jwt_id refuses that token at the next check, and no other of the task', async () => {
    const bench = await start('revoke');
    const { store } = bench;
    const { task, tokenId } = newTask(store);
    const other = 'another-token-of-the-task';
    store.insertToken(task, { ...tokenNumber(0), jtiDigest: jtiDigestOf(other), expiresAtMs: task.deadlineMs }, []);
    await push(bench, setOf({ sub_id: { format: 'jwt_id', iss: issuerUrl, jti: tokenId } }));
    expect(nextCheck(store, task, tokenId)).toMatchObject({ kind: 'deny', reason: 'token.revoked' });
    expect(nextCheck(store, task, other)).toMatchObject({ id: task.id });
    await bench.close();
  });
});

const attesting = async (refusal: ReasonCode | null = null): Promise<Bench> =>
  startBench(folder(), {
    signals: signalServices({
      'device-compliance-change': 'attest',
      'token-claims-change': 'attest',
      'assurance-level-change': 'attest',
    }),
    ...(refusal === null ? {} : { grant: () => deny(refusal, 'no') }),
  });
const attested = (name: string, value: string) => ({ name, value, by: transmitterIssuer, kind: 'signal' });
const device = (current: string) => ({
  [eventUri('device-compliance-change')]: { previous_status: 'compliant', current_status: current },
});
const claimsChange = (claims: object) => ({ [eventUri('token-claims-change')]: { claims } });

describe('attest', () => {
  it('attests the values of the event by its transmitter, and records both', async () => {
    const bench = await attesting();
    const { store } = bench;
    const { task } = newTask(store, { subject: 'alice' });
    expect((await push(bench, setOf({ events: device('not-compliant') }))).status).toBe(202);
    expect(taskNow(store, task)).toMatchObject({
      state: 'active',
      attested: [attested('device-compliance', 'not-compliant')],
    });
    expect(recordsOf(store, task.id).at(-1)).toMatchObject({
      event: 'context',
      by: transmitterIssuer,
      details: {
        kind: 'signal',
        attested: [{ name: 'device-compliance', value: 'not-compliant', by: transmitterIssuer }],
      },
    });
    await push(bench, setOf({ events: device('compliant') }));
    expect(taskNow(store, task)).toMatchObject({
      state: 'active',
      attested: [attested('device-compliance', 'compliant')],
    });
    await bench.close();
  });

  it('attests claims by name, and removes values that no longer hold', async () => {
    const bench = await attesting();
    const { store } = bench;
    const { task } = newTask(store, { subject: 'alice' });
    await push(
      bench,
      setOf({ events: claimsChange({ role: 'admin', tier: 2, vip: true, 'not a name': 'x', groups: ['a'] }) }),
    );
    const first = [attested('role', 'admin'), attested('tier', '2'), attested('vip', 'true')];
    expect(taskNow(store, task).attested).toEqual(first);
    await push(
      bench,
      setOf({ events: claimsChange({ role: ['admin', 'auditor'], vip: null, tier: 'x'.repeat(257) }) }),
    );
    expect(taskNow(store, task).attested).toEqual([]);
    await bench.close();
  });

  it('distinguishes levels of assurance by namespace', async () => {
    const bench = await attesting();
    const { store } = bench;
    const { task } = newTask(store, { subject: 'alice' });
    const level = { namespace: 'NIST-AAL', current_level: 'nist-aal2', change_direction: 'increase' };
    await push(bench, setOf({ events: { [eventUri('assurance-level-change')]: level } }));
    expect(taskNow(store, task).attested).toEqual([attested('assurance-level.NIST-AAL', 'nist-aal2')]);
    await bench.close();
  });

  it.each<[ReasonCode, string]>([
    ['policy.forbidden', 'revoked'],
    ['policy.unavailable', 'suspended'],
  ])('asks the policies: %s leaves the task %s', async (refusal, state) => {
    const bench = await attesting(refusal);
    const { task } = newTask(bench.store, { subject: 'alice' });
    await push(bench, setOf({ events: device('not-compliant') }));
    expect(taskNow(bench.store, task).state).toBe(state);
    expect(recordsOf(bench.store, task.id).at(-1)).toMatchObject({
      cause: 'signal.device-compliance-change',
      by: transmitterIssuer,
    });
    await bench.close();
  });

  it("applies the task's rule for the name", async () => {
    const bench = await attesting();
    const { store } = bench;
    const { task } = newTask(store, { subject: 'alice', contextRules: { 'device-compliance': 'suspend' } });
    await push(bench, setOf({ events: device('not-compliant') }));
    expect(taskNow(store, task).state).toBe('suspended');
    await bench.close();
  });

  it('suspends a task without room for the values', async () => {
    const bench = await attesting();
    const { store } = bench;
    const { task } = newTask(store, { subject: 'alice' });
    const claims = Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`claim-${n}`, 'x']));
    await push(bench, setOf({ events: claimsChange(claims) }));
    expect(taskNow(store, task)).toMatchObject({ state: 'suspended', attested: [] });
    await bench.close();
  });
});

/** The result of the task stage for a use of that token. */
function nextCheck(store: Store, task: Task, tokenId: string): unknown {
  const payload = { ...soundClaims, iss: issuerUrl, txn: task.id, jti: tokenId };
  const claims = taskClaimsFrom(payload, { keyId: 'k' });
  if (isDeny(claims)) return claims;
  const state = store.useStateOf(issuerUrl, task.id, jtiDigestOf(tokenId));
  if (isStoreFailure(state)) return state;
  return taskPermits(state?.task, claims.token, state?.issued, store.clocks());
}

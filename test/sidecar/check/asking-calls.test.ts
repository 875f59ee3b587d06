import { describe, expect, it } from '@jest/globals';
import { actionFrom } from '../../../src/core/action/action.ts';
import type { Action } from '../../../src/core/action/http/http.ts';
import { AskingCalls } from '../../../src/sidecar/check/asking-calls.ts';
import type { SessionOf } from '../../../src/sidecar/check/asking-calls.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import type { Caller } from '../../../src/core/identity/caller.ts';
import { workloadIdentity } from '../../../src/core/token/credential.ts';
import { accepted, answer, at11, bankCatalog, transferred } from '../../core/action/bank-calls.ts';
import { mustSpiffeId, mustTrustDomain } from '../../builders/spiffe-id.ts';

const HOUR_MS = 3_600_000;
const callerOf = (name: string): Caller => ({
  id: mustSpiffeId(`spiffe://acme.test/ns/agents/sa/${name}`),
  trustDomain: mustTrustDomain('acme.test'),
  source: 'peer',
  certificateSha256: 'c'.repeat(43),
  certificateNotAfterMs: 1,
});
const planner = callerOf('planner');
const of = { caller: planner, credential: workloadIdentity };
const session: SessionOf = { ...of, server: 'bank', session: 's' };

function mustAct(...of: Parameters<typeof actionFrom>): Action {
  const action = actionFrom(...of);
  if (isDeny(action)) throw new Error(action.detail);
  return action;
}
const transfer = (amount: number): Action =>
  mustAct(at11('tools/call', { name: 'transfer', arguments: { amount } }), bankCatalog);
const wide = (amount: number): Action => ({
  ...transfer(amount),
  args: new Map([['iban', `${amount}${'x'.repeat(4_000)}`]]),
});
const report = (): Action => mustAct(at11('tools/call', { name: 'report', arguments: {} }), bankCatalog);

const known = (calls: AskingCalls, where: SessionOf = session, nowMs = 0): unknown =>
  calls.of(where, nowMs).calls.map(({ action, args }) => [action, Object.fromEntries(args)]);

const allowedIn = (calls: AskingCalls, name: string, action: Action, nowMs = 0): void =>
  calls.allowed({ ...action, asks: { session: name } }, of, nowMs);
const isCut = (calls: AskingCalls, name: string, nowMs = 0): boolean =>
  calls.of({ ...session, session: name }, nowMs).isCut;

describe('AskingCalls', () => {
  it('knows each different call that a server may ask back about, in its session', () => {
    const calls = new AskingCalls();
    for (const amount of [1, 2, 1]) calls.allowed(transfer(amount), of, 0);
    calls.allowed(mustAct(at11('tools/call', { name: 'balance' }), bankCatalog), of, 0);
    expect(known(calls)).toEqual([
      ['bank.transfer', { amount: 1 }],
      ['bank.transfer', { amount: 2 }],
    ]);
  });

  it.each<[string, Partial<SessionOf>]>([
    ['another session', { session: 't' }],
    ['no session', { session: null }],
    ['another server', { server: 'wiki' }],
    ['another caller', { caller: callerOf('thief') }],
    ['another task', { credential: { ...externalOf('alice') } }],
  ])('knows nothing of them in %s', (_name, other) => {
    const calls = new AskingCalls();
    calls.allowed(transfer(1), of, 0);
    expect(known(calls, { ...session, ...other })).toEqual([]);
  });

  it('forgets a call after an hour, and a task an hour after it was asked for', () => {
    const calls = new AskingCalls();
    calls.allowed(transfer(1), of, 0);
    calls.allowed(report(), of, 0);
    const asked = mustAct(at11('tasks/get', { taskId: 't' }), bankCatalog, calls.of(session, HOUR_MS / 2));
    calls.allowed(asked, of, HOUR_MS / 2);
    expect(known(calls, session, HOUR_MS - 1)).toHaveLength(2);
    expect(known(calls, session, HOUR_MS)).toEqual([['bank.report', {}]]);
    expect(known(calls, session, HOUR_MS * 1.5)).toEqual([]);
  });

  it('is cut by more calls than it remembers, or by longer calls, until those are over', () => {
    const many = new AskingCalls();
    for (let amount = 0; amount < 17; amount += 1) many.allowed(transfer(amount), of, amount);
    expect([many.of(session, 16).calls.length, many.of(session, 16).isCut]).toEqual([16, true]);
    expect(many.of(session, 16 + HOUR_MS).isCut).toBe(false);
    const long = new AskingCalls();
    long.allowed({ ...transfer(1), args: new Map([['iban', 'x'.repeat(4_096)]]) }, of, 0);
    expect(long.of(session, 0)).toMatchObject({ calls: [], isCut: true });
  });

  it('remembers a session that is as full as it can be', () => {
    const calls = new AskingCalls();
    for (let amount = 0; amount < 16; amount += 1)
      calls.allowed({ ...transfer(amount), args: new Map([['iban', `${amount}${'x'.repeat(4_000)}`]]) }, of, 0);
    expect(known(calls)).toHaveLength(16);
  });

  it('takes one answer to a request of the server', () => {
    const calls = new AskingCalls();
    calls.allowed(transfer(1), of, 0);
    const first = mustAct(answer(accepted({ amount: 2 })), bankCatalog, transferred);
    calls.allowed(first, of, 0);
    expect([
      calls.of(session, 0).isAnswered(0),
      calls.of(session, 0).isAnswered('0'),
      calls.of(session, 0).isAnswered(1),
    ]).toEqual([true, true, false]);
  });

  it('has room for each caller, whose oldest sessions go first, whatever others do', () => {
    const calls = new AskingCalls();
    calls.allowed(transfer(1), of, 0);
    const greedy = { caller: callerOf('greedy'), credential: workloadIdentity };
    const at = (index: number): SessionOf => ({ ...greedy, server: 'bank', session: `s${index}` });
    const wide = { ...transfer(1), args: new Map([['iban', 'x'.repeat(4_000)]]) };
    for (let index = 0; index < 1000; index += 1) calls.allowed({ ...wide, asks: { session: `s${index}` } }, greedy, 0);
    expect(known(calls, at(0))).toEqual([]);
    expect(known(calls, at(999))).toHaveLength(1);
    expect(known(calls)).toHaveLength(1);
  });

  it('bounds the room of a caller also as its sessions grow', () => {
    const calls = new AskingCalls();
    for (let index = 0; index < 8; index += 1) allowedIn(calls, `s${index}`, transfer(1));
    for (let amount = 0; amount < 15; amount += 1)
      for (let index = 0; index < 8; index += 1) allowedIn(calls, `s${index}`, wide(amount));
    const chars = Array.from({ length: 8 }, (_, index) =>
      JSON.stringify(known(calls, { ...session, session: `s${index}` })),
    );
    expect(2 * chars.join('').length).toBeLessThan(250_000);
  });

  it('continues nothing in a session that was forgotten for lack of room, until its calls are over', () => {
    const calls = new AskingCalls();
    allowedIn(calls, 'old', transfer(1));
    for (let index = 0; index < 256; index += 1) allowedIn(calls, `s${index}`, transfer(1), 1);
    allowedIn(calls, 'old', report(), 2);
    allowedIn(calls, 'new', report(), 2);
    expect([isCut(calls, 'old', 2), isCut(calls, 'old', HOUR_MS), isCut(calls, 'new', 2)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('continues nothing in a new session of a caller that had more sessions than are noted', () => {
    const calls = new AskingCalls();
    for (let index = 0; index < 256 + 4_096; index += 1) allowedIn(calls, `s${index}`, transfer(1));
    allowedIn(calls, 'new', transfer(1));
    expect(isCut(calls, 'new')).toBe(false);
    allowedIn(calls, 'newer', transfer(1));
    expect([isCut(calls, 'newer'), isCut(calls, 'newer', HOUR_MS)]).toEqual([true, false]);
  });
});

function externalOf(subject: string): Extract<SessionOf['credential'], { readonly kind: 'external-token' }> {
  return {
    kind: 'external-token',
    issuer: 'https://idp.acme.test',
    audience: 'https://bank.acme.test',
    subject,
    clientId: null,
    scope: [],
    issuedAtSeconds: 0,
    expiresAtSeconds: 1,
    tokenId: null,
    useKey: 'x',
    confirmation: null,
  };
}

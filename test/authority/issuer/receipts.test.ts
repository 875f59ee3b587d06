import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { sqliteEngine } from '../../../src/authority/feed/engine.ts';
import { startAuthority } from '../../../src/authority/feed/start-authority.ts';
import type { ServingAuthority } from '../../../src/authority/feed/start-authority.ts';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import type { SidecarState } from '../../../src/sidecar/state/sidecar-state.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { openStoreForReading } from '../../../src/authority/state/sqlite/open-store.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';
import { until } from '../../until.ts';
import { audience, issuerUrl, startBench } from './bench.ts';
import type { Answer, Bench } from './bench.ts';
import { eventUri, newTask, push, setOf, signalServices } from './signals/transmitter.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders(async () => {
  for (const close of closers.reverse()) await close();
});
const closers: (() => unknown)[] = [];
let bench: Bench;
let sidecar: SidecarState;

/** The real issuer, whose changes are enforced by a real authority on the same state file, and a sidecar that follows it. */
beforeAll(async () => {
  const place = folder();
  const file = join(place, 'state.db');
  const store = mustOpen(file, { nowMs: Date.now });
  const { authority, feed, settling } = directAuthority(store);
  const reader = must(openStoreForReading(file, systemPorts));
  const serving = (await startAuthority({
    listen: [{ kind: 'unix', path: join(place, 'authority.sock') }],
    sidecars: () => [{ id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: [audience] }],
    // The first end waits until leases of an earlier process would be over.
    leaseMs: 5_000,
    engine: sqliteEngine({ authority, feed, reader, settling }),
    reports: authority,
    digestKey: Buffer.alloc(32),
    issuer: issuerUrl,
    jwks: () => ({ keys: [] }),
    svid: null,
    version: '0.2.0',
    ports: systemPorts,
    after,
    onProblem: () => undefined,
  })) as ServingAuthority;
  const { monotonicMs } = systemPorts;
  bench = await startBench(place, {
    store,
    signals: signalServices(),
    enforcement: { enforced: serving.enforced, monotonicMs },
    settings: { operators: new Set(['spiffe://acme.test/ns/agents/sa/reporter' as SpiffeId]) },
  });
  sidecar = openSidecar(serving.targets);
  closers.push(
    () => reader.close(),
    () => bench.close(),
    () => serving.close(),
    () => sidecar.close(),
  );
  await until(() => sidecar.problem() === null, { what: 'a lease' });
});

/** A task of a token, as the sidecar holds it. */
interface Held {
  readonly key: { readonly issuer: string; readonly id: string };
  readonly jtiDigest: string;
  readonly token: string;
}

const atSidecar = ({ key, jtiDigest }: Held) => {
  const use = sidecar.states.of(key, jtiDigest);
  if (use === undefined || 'code' in use) throw new Error(`the sidecar does not hold it: ${JSON.stringify(use)}`);
  return use;
};

async function opened(held: Held): Promise<Held> {
  await until(
    async () => {
      await sidecar.states.open(held.key, held.jtiDigest);
      const use = sidecar.states.of(held.key, held.jtiDigest);
      return use !== undefined && !('code' in use);
    },
    { what: 'the card' },
  );
  expect(atSidecar(held)).toMatchObject({ task: { state: 'active' }, issued: { revokedAtMs: null } });
  return held;
}

async function declared(): Promise<Held> {
  const issued = await bench.token();
  const token = String(issued.json['access_token']);
  const { jti } = JSON.parse(Buffer.from(mustFind(token.split('.')[1]), 'base64url').toString()) as { jti: string };
  return opened({ token, key: { issuer: issuerUrl, id: String(issued.json['txn']) }, jtiDigest: jtiDigestOf(jti) });
}

/** A task that was accepted with these facts. */
async function accepted(change: Partial<Task>): Promise<Held> {
  const { task, tokenId } = newTask(bench.store, change);
  return opened({ key: { issuer: issuerUrl, id: task.id }, jtiDigest: jtiDigestOf(tokenId), token: '' });
}

const post = ({ key }: Held, what: string, as = bench.planner): Promise<Answer> =>
  bench.ask(`/tasks/${key.id}/${what}`, { method: 'POST', as });
const context = ({ key }: Held, values: object): Promise<Answer> =>
  bench.ask(`/tasks/${key.id}/context`, {
    method: 'PUT',
    body: JSON.stringify({ context: values }),
    headers: { 'content-type': 'application/json' },
  });
const RECEIPT = { enforced: true, holders: 1, acknowledged: 1, fenced: 0 };
const receiptsOf = ({ key }: Held): readonly unknown[] => {
  const waiting = must(bench.store.recordsOf(key.id, 100)).map(({ bytes }) =>
    JSON.parse(Buffer.from(bytes).toString()),
  );
  return waiting.filter((record) => record.task === key.id && record.event === 'receipt');
};

describe('a change that ends or narrows, over a sidecar', () => {
  it.each<[string, () => Promise<Held>, (held: Held) => Promise<Answer>, string, object]>([
    ['complete', declared, (held) => post(held, 'complete'), 'completed', { task: { state: 'completed' } }],
    ['cancel', declared, (held) => post(held, 'cancel'), 'cancelled', { task: { state: 'cancelled' } }],
    ['suspend', declared, (held) => post(held, 'suspend'), 'suspended', { task: { state: 'suspended' } }],
    [
      'cancel by an operator',
      declared,
      (held) => post(held, 'cancel', bench.reporter),
      'cancelled',
      { task: { state: 'cancelled' } },
    ],
    [
      'revoke of a token',
      declared,
      ({ token }) => bench.form('/oauth/revoke', { token }),
      'token-revoked',
      { task: { state: 'active' }, issued: { revokedAtMs: expect.any(Number) } },
    ],
    [
      'revoke of a task',
      declared,
      ({ key }) => bench.form('/oauth/revoke', { token: key.id, token_type_hint: 'urn:remit:task' }),
      'revoked',
      { task: { state: 'revoked' } },
    ],
    [
      'a changed context without effect',
      () => accepted({ claimed: { model: 'm-1' }, contextRules: { model: 'ask' } }),
      (held) => context(held, { model: 'm-2' }),
      'context',
      { task: { state: 'active', claimed: { model: 'm-2' } } },
    ],
    [
      'a changed context that suspends',
      () => accepted({ claimed: { node: 'n-1' }, contextRules: { node: 'suspend' } }),
      (held) => context(held, { node: 'n-2' }),
      'context',
      { task: { state: 'suspended' } },
    ],
    [
      'a changed context that revokes',
      () => accepted({ claimed: { posture: 'good' }, contextRules: { posture: 'revoke' } }),
      (held) => context(held, { posture: 'bad' }),
      'context',
      { task: { state: 'revoked' } },
    ],
  ])(
    '%s: answers once the sidecar has it, with a receipt that is recorded',
    async (_what, made, change, name, state) => {
      const held = await made();
      const answer = await change(held);
      // INVARIANT: nothing is awaited before the look.
      expect(atSidecar(held)).toMatchObject(state);
      expect([answer.status, answer.json['enforcement']]).toEqual([200, { ...RECEIPT, ms: expect.any(Number) }]);
      expect(receiptsOf(held)).toMatchObject([
        { kind: 'event', by: 'remit', cause: null, details: { change: name, ...RECEIPT, tasks: 1 } },
      ]);
    },
  );

  it.each<[string, string, object, object]>([
    ['that revokes', 'session-revoked', {}, { task: { state: 'revoked' } }],
    [
      'that raises the risk',
      'risk-level-change',
      { principal: 'USER', current_level: 'HIGH' },
      { task: { risk: 'high' } },
    ],
    ['that suspends', 'token-claims-change', { claims: { role: 'ro-admin' } }, { task: { state: 'suspended' } }],
  ])(
    'a signal %s: answers once the sidecar has it, and records the receipt for each of its tasks',
    async (_what, type, payload, state) => {
      const subject = `user-${type}`;
      const tasks = [await accepted({ subject }), await accepted({ subject })];
      const sub = { format: 'iss_sub', iss: 'https://idp.acme.test', sub: subject };
      const answer = await push(bench, setOf({ sub_id: sub, events: { [eventUri(type)]: payload } }));
      for (const held of tasks) expect(atSidecar(held)).toMatchObject(state);
      expect([answer.status, answer.text]).toEqual([202, '']);
      for (const held of tasks) {
        const both = { ...RECEIPT, holders: 2, acknowledged: 2, tasks: 2 };
        expect(receiptsOf(held)).toMatchObject([{ details: { change: 'signal', ...both } }]);
      }
    },
  );

  it('has no receipt if the commit alone is waited for', async () => {
    const held = await declared();
    const answer = await post(held, 'cancel?wait=committed');
    expect([answer.status, 'enforcement' in answer.json]).toEqual([200, false]);
    expect(receiptsOf(held)).toEqual([]);
    await until(() => atSidecar(held).task.state === 'cancelled', { what: 'the end at the sidecar' });
  });
});

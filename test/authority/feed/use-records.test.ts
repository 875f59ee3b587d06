import { beforeAll, describe, expect, it } from '@jest/globals';
import { limitSpendMessage } from '../../../src/core/fleet/limit-message.ts';
import type { UseMessage } from '../../../src/core/fleet/messages.ts';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { allowedUse } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { authority as receivedBy, nameOf, sidecarLog } from '../records/receivers.ts';
import { RawClient, tlsWith } from './raw-client.ts';
import { digestOf, heldSvid, keyOf, serving, svidOf, trustDomain } from './serving.ts';

const folder = testFolders(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
const closers: (() => unknown)[] = [];

const SIDECAR = 'spiffe://acme.test/ns/prod/sa/tools-1';
const DECISION = '0198c0de-0000-7000-8000-000000000001';
const LOG = `remit.acme.test/tools-1/${'0a'.repeat(16)}`;

/** The record of the use of `useWith`, and what a sidecar could send instead. */
const recordWith = (change: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
  ...JSON.parse(Buffer.from(allowedUse(1, Date.now(), 'allow', DECISION).bytes).toString('utf8')),
  origin: LOG,
  ...change,
});
const bytesOf = (record: object): Buffer => Buffer.from(must(canonicalJson(record as never)));

const useWith = (record: Buffer, decision = DECISION): UseMessage => ({
  decision_id: decision,
  key: keyOf(1),
  jti_digest: digestOf(1),
  generation: 1,
  spends: [{ kind: 'calls', name: '', amount: 1, limit: 1 }],
  entry: null,
  record,
});

/** The use of no task, and its record. */
const bare = recordWith({ task: null, jtiDigest: null, credential: 'workload-identity', tokenUse: null });
const alone = (record: Buffer): UseMessage => ({
  ...useWith(record),
  key: null,
  jti_digest: '',
  spends: [],
});

/** The use of no task that a limit counts. */
const limited = (record: Buffer, decision: string, amount = 1): UseMessage => ({
  ...alone(record),
  decision_id: decision,
  agent: 'spiffe://acme.test/ns/agents/sa/planner',
  spends: [
    limitSpendMessage({
      kind: 'limit',
      limit: 'a-day',
      measure: 'calls',
      who: '[]',
      windowMs: 86_400_000,
      max: 3,
      amount,
      effect: 'deny',
    }),
  ],
});

/** An authority over TLS that receives records, with a declared task, and a sidecar with a valid SVID. */
async function served(path = '/ns/prod/sa/tools-1', change: Parameters<typeof serving>[1] = {}) {
  const acme = await trustDomain('acme.test');
  const own = heldSvid(svidOf(await acme.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }), acme));
  const received = await receivedBy(folder(), { after, ports: systemPorts });
  const { targets, declared, state, close } = await serving(folder(), {
    listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
    svid: own,
    records: { receiver: received.receiver, trustDomain: 'acme.test' },
    sidecars: () => [
      { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: ['https://payments.acme.test'] },
      { id: 'spiffe://acme.test/ns/*/sa/files-*', audiences: ['https://files.acme.test'] },
    ],
    ...change,
  });
  const client = new RawClient(targets[0] ?? '', tlsWith(await acme.svid(path), acme.bundlePem));
  closers.push(
    () => received.close(),
    close,
    () => client.close(),
  );
  await declared(1);
  const settle = (uses: readonly UseMessage[]) => client.call('Settle', { instance: 'i', uses });
  const outbox = (): readonly unknown[] =>
    must(state.reader.outbox(0, 9)).map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')));
  return { settle, outbox, received };
}

const settled = { problem: '' };

describe('the record of a use of high risk', () => {
  it('is in the outbox of the authority with the use: once, as it was sent, with the identity of its sidecar', async () => {
    const { settle, outbox } = await served();
    const record = recordWith({ ofALaterVersion: true });
    for (let times = 0; times < 2; times += 1) {
      expect(await settle([useWith(bytesOf(record))])).toMatchObject({ settled: [settled] });
    }
    expect(outbox()).toEqual([{ ...record, by: SIDECAR }]);
  });

  it('is not written if the use is not settled', async () => {
    const { settle, outbox } = await served();
    const other = '0198c0de-0000-7000-8000-000000000002';
    expect(await settle([useWith(Buffer.alloc(0))])).toMatchObject({ settled: [settled] });
    const second = useWith(bytesOf(recordWith({ decisionId: other })), other);
    expect(await settle([second])).toMatchObject({ settled: [{ problem: 'exhausted' }] });
    expect(outbox()).toEqual([]);
  });

  it('is not written for a task of another audience', async () => {
    const { settle, outbox } = await served('/ns/prod/sa/files-1');
    expect(await settle([useWith(bytesOf(recordWith()))])).toMatchObject({ settled: [{ problem: 'ended' }] });
    expect(outbox()).toEqual([]);
  });
});

describe('the record of a use of high risk without a task token', () => {
  it('is in the outbox of the authority, once, with the identity of its sidecar', async () => {
    const { settle, outbox } = await served();
    for (let times = 0; times < 2; times += 1) {
      expect(await settle([alone(bytesOf(bare))])).toMatchObject({ settled: [settled] });
    }
    expect(outbox()).toEqual([{ ...bare, by: SIDECAR }]);
  });

  it('is in the outbox with what the use takes from a limit over all tasks, and not if it takes too much', async () => {
    const { settle, outbox } = await served();
    const record = { ...bare, limits: [{ id: 'a-day', counts: 'calls' }] };
    expect(await settle([limited(bytesOf(record), DECISION)])).toMatchObject({ settled: [{ ...settled, left: [2] }] });
    expect(await settle([limited(bytesOf(record), DECISION)])).toMatchObject({ settled: [{ ...settled, left: [] }] });
    const other = '0198c0de-0000-7000-8000-000000000002';
    expect(await settle([limited(bytesOf({ ...record, decisionId: other }), other, 3)])).toMatchObject({
      settled: [{ problem: 'limit', over: { limit: 'a-day', measure: 'calls', max: 3, used: 1 } }],
    });
    // With what that commit left of the limit.
    expect(outbox()).toEqual([{ ...record, by: SIDECAR, limits: [{ id: 'a-day', counts: 'calls', left: 2 }] }]);
    // No record of a task comes with such a use.
    expect(await settle([limited(bytesOf(recordWith()), DECISION)])).toBe('INVALID_ARGUMENT');
  });

  it('is refused if it names a task or token, whose use would have to be settled', async () => {
    const { settle, outbox } = await served();
    const forged = [
      alone(bytesOf(recordWith())),
      alone(bytesOf({ ...bare, task: keyOf(1).id })),
      alone(bytesOf({ ...bare, jtiDigest: digestOf(1) })),
      { ...alone(bytesOf(bare)), spends: useWith(Buffer.alloc(0)).spends },
      { ...alone(bytesOf(bare)), jti_digest: digestOf(1) },
      { ...alone(bytesOf(bare)), decision_id: 'x' },
      alone(Buffer.alloc(0)),
    ];
    for (const use of forged) expect(await settle([use])).toBe('INVALID_ARGUMENT');
    expect(outbox()).toEqual([]);
  });
});

describe('a sidecar with a valid SVID that forges a record', () => {
  let attacked: Awaited<ReturnType<typeof served>>;
  beforeAll(async () => {
    attacked = await served();
  });

  it.each<[string, Buffer]>([
    ['of another decision', bytesOf(recordWith({ decisionId: '0198c0de-0000-7000-8000-000000000009' }))],
    ['of another task', bytesOf(recordWith({ task: keyOf(2).id }))],
    ['of no task', bytesOf(recordWith({ task: null }))],
    ['of another token', bytesOf(recordWith({ jtiDigest: digestOf(2) }))],
    ['of a denial', bytesOf(recordWith({ decision: 'deny', reason: 'policy.forbidden' }))],
    ['that withdraws another decision', bytesOf(recordWith({ withdraws: '0198c0de-0000-7000-8000-000000000009' }))],
    ['in the name of another sidecar', bytesOf(recordWith({ by: 'spiffe://acme.test/ns/prod/sa/tools-2' }))],
    ['that says itself what a limit has left', bytesOf(recordWith({ limits: [{ id: 'a-day', left: 9 }] }))],
    ['that names a share of a limit', bytesOf(recordWith({ limits: [{ id: 'a-day', share: 9 }] }))],
    ['from no log', bytesOf(recordWith({ origin: undefined }))],
    ['from a log of another trust domain', bytesOf(recordWith({ origin: LOG.replace('acme.test', 'other.test') }))],
    ['of another kind', bytesOf({ kind: 'end', at: 1, task: keyOf(1).id, state: 'completed', note: '', by: 'remit' })],
    ['whose instant is no number', bytesOf(recordWith({ at: 'now' }))],
    ['that is not canonical', Buffer.from(JSON.stringify(recordWith(), null, 1))],
    ['that is no JSON', Buffer.from('{"kind":"use"')],
    ['that is a list', Buffer.from('[]')],
    ['that is nested 1,000 levels deep', Buffer.from('['.repeat(1_000) + ']'.repeat(1_000))],
    ['of more bytes than a record has', bytesOf(recordWith({ path: `/${'a'.repeat(65_000)}` }))],
  ])('%s is refused, and its use is not settled', async (_what, record) => {
    const { settle, outbox } = attacked;
    expect(await settle([useWith(record)])).toBe('INVALID_ARGUMENT');
    expect(outbox()).toEqual([]);
  });

  it('cannot name the log of another sidecar that this authority receives', async () => {
    const { settle, outbox, received } = attacked;
    const log = sidecarLog(folder(), 1);
    closers.push(() => log.close());
    const name = nameOf(log, 'spiffe://acme.test/ns/prod/sa/tools-2');
    expect(
      await received.receiver.connect(name, 1, { onKept: () => undefined, onOver: () => undefined }),
    ).toMatchObject({
      size: 0,
    });
    expect(await settle([useWith(bytesOf(recordWith({ origin: log.origin })))])).toBe('INVALID_ARGUMENT');
    expect(outbox()).toEqual([]);
  });

  it('sends no more bytes a second than one identity may', async () => {
    const { settle } = await served('/ns/prod/sa/tools-1', { ports: { ...systemPorts, monotonicMs: () => 0 } });
    const filled = bytesOf(recordWith({ path: `/${'a'.repeat(60_000)}` }));
    const uses = Array.from({ length: 50 }, () => useWith(filled));
    const replies: unknown[] = [];
    for (let calls = 0; calls < 7; calls += 1) replies.push(await settle(uses));
    expect(replies.map((reply) => typeof reply)).toEqual([
      ...Array.from({ length: 5 }, () => 'object'),
      'string',
      'string',
    ]);
    expect(replies.at(-1)).toBe('RESOURCE_EXHAUSTED');
  });

  it('leaves the use to be settled by its own record', async () => {
    const { settle, outbox } = attacked;
    expect(await settle([useWith(bytesOf(recordWith()))])).toMatchObject({ settled: [settled] });
    expect(outbox()).toMatchObject([{ decisionId: DECISION, by: SIDECAR }]);
  });
});

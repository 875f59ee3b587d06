import { connect } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { rightsOf } from '../../../src/authority/feed/authorize.ts';
import type { AuthorityParts } from '../../../src/authority/feed/start-authority.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import type { Limit } from '../../../src/core/limit/limit.ts';
import { must } from '../../builders/must.ts';
import { byOperator, taskNumber } from '../../builders/task.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { until } from '../../until.ts';
import {
  deafStream,
  endOf,
  heldCall,
  hello,
  RawClient,
  tlsSession,
  tlsWith,
  unixSession,
  welcomed,
} from './raw-client.ts';
import { digestOf, heldSvid, keyOf, serving, svidOf, trustDomain } from './serving.ts';

const folder = testFolders();
const closers: (() => unknown)[] = [];
const closeAll = async (): Promise<void> => {
  for (const close of closers.splice(0).reverse()) await close();
};
afterEach(closeAll);

async function authority(change: Partial<AuthorityParts> = {}) {
  const started = await serving(folder(), change);
  closers.push(() => started.close());
  return { ...started, target: started.targets[0] ?? '' };
}

function client(...input: ConstructorParameters<typeof RawClient>): RawClient {
  const made = new RawClient(...input);
  closers.push(() => made.close());
  return made;
}

const tokenOf = (n: number) => ({ key: keyOf(n), jti_digest: digestOf(n) });
const useOf = (n: number) => ({
  decision_id: '0198c0de-0000-7000-8000-000000000001',
  ...tokenOf(n),
  generation: 1,
  spends: [{ kind: 'calls', name: '', amount: 1, limit: 1 }],
  entry: null,
  record: Buffer.alloc(0),
});

const spend = (kind: string, name: string, amount: number, limit: number) => ({ kind, name, amount, limit });

/** A use of its own decision, of a task with two calls. */
const use = (n: number, amount = 1) => ({
  ...useOf(1),
  decision_id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
  spends: [spend('calls', '', amount, 2)],
});

/** Timers by which no call ends because it takes long. */
const patient: AuthorityParts['after'] = (ms, then) => (ms === 10_000 ? () => undefined : after(ms, then));

/** 2 million entries of a list, without content. */
const entries = (field: number): Buffer => Buffer.alloc(4_194_302, Buffer.from([field * 8 + 2, 0]));

const secretsOf = (id: number) =>
  Array.from({ length: 1_024 }, (_, n) => ({
    digest: `digest-${n}`,
    kind: 'aws',
    place: 'header',
    agent: 'spiffe://acme.test/a',
    action: `action-${id}`,
    times: 1,
  }));

const nodeAt = (address: string) => ({ address, certificate: 'c', servers: ['payments'], risks: [], traces: [] });

/** A client with an open stream. */
async function follower(target: string, instance = 'instance-1', using?: ChannelCredentials) {
  const made = client(target, using);
  const stream = made.follow();
  stream.send(hello(instance));
  const welcome = await welcomed(stream);
  return { client: made, stream, welcome, instance };
}

/** The authority over TLS, with its trust domain. */
async function overTls(change: Partial<AuthorityParts> = {}) {
  const acme = await trustDomain('acme.test');
  const own = heldSvid(svidOf(await acme.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }), acme));
  const listen = [{ kind: 'tcp', host: '127.0.0.1', port: 0 }] as const;
  return { acme, ...(await authority({ listen, svid: own, ...change })) };
}

/** An authority, and what its clients connect with. */
const transports = [
  [
    'TLS',
    async () => {
      const { acme, ...started } = await overTls({ leaseMs: 1_000 });
      const svid = (name: string) => acme.svid(`/ns/prod/sa/tools-${name}`);
      return {
        ...started,
        using: async (name: string) => tlsWith(await svid(name), acme.bundlePem),
        session: async (name: string) => tlsSession(started.target, await svid(name), acme),
        open: () => connect(Number(started.target.split(':')[1]), '127.0.0.1'),
      };
    },
  ],
  [
    'a Unix socket',
    async () => {
      const started = await authority({ leaseMs: 1_000 });
      return {
        ...started,
        using: async () => undefined,
        session: async () => unixSession(started.target),
        open: () => connect(started.target.slice('unix:'.length)),
      };
    },
  ],
] as const;

describe('rightsOf', () => {
  const rules = [
    { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: ['a'] },
    { id: 'spiffe://acme.test/ns/prod/sa/*-*-x', audiences: ['b'] },
  ];
  it.each([
    ['spiffe://acme.test/ns/prod/sa/tools-1', ['a']],
    ['spiffe://acme.test/ns/prod/sa/tools-', ['a']],
    ['spiffe://acme.test/ns/prod/sa/tools-1-x', ['a', 'b']],
    ['spiffe://acme.test/ns/prod/sa/-x', null],
    ['spiffe://acme.test/ns/prod/sa/tool', null],
    ['spiffe://acme.test/ns/prod/sa/tools-1/more', null],
    ['spiffe://acme.test/ns/a/b/sa/tools-1', null],
    ['spiffe://other.test/ns/prod/sa/tools-1', null],
    ['spiffe://acme.test/NS/prod/sa/tools-1', null],
  ])('gives `%s` the audiences %p', (id, audiences) => {
    const rights = rightsOf(rules, mustSpiffeId(id));
    expect(rights === null ? null : [...rights.audiences]).toEqual(audiences);
  });
});

describe('a client that no rule admits', () => {
  it('may do nothing with a valid SVID of another pattern', async () => {
    const { acme, target, declared } = await overTls();
    await declared(1);
    const using = tlsWith(await acme.svid('/ns/agents/sa/planner'), acme.bundlePem);
    const stream = client(target, using).follow();
    stream.send(hello('instance-1'));
    expect(await endOf(stream)).toBe('PERMISSION_DENIED');
    const open = { instance: 'instance-1', tokens: [tokenOf(1)], n: 1 };
    const settle = { instance: 'instance-1', uses: [useOf(1)] };
    // Each over a connection of its own, since a refused client loses it.
    expect(await client(target, using).call('Open', open)).toBe('PERMISSION_DENIED');
    expect(await client(target, using).call('Confirm', open)).toBe('PERMISSION_DENIED');
    expect(await client(target, using).call('Settle', settle)).toBe('PERMISSION_DENIED');
    expect(await client(target, using).call('GiveBack', settle)).toBe('PERMISSION_DENIED');
    expect(await client(target, using).call('UseProofs', { proofs: [] })).toBe('PERMISSION_DENIED');
  });

  it.each(['Follow', 'Open', 'Confirm', 'Settle', 'GiveBack', 'UseProofs', 'Append', 'Bundle'] as const)(
    'is refused %s before its message is read, and loses its connection (issue 37, found)',
    async (name) => {
      const { acme, target } = await overTls();
      const stranger = tlsSession(target, await acme.svid('/ns/agents/sa/planner'), acme);
      closers.push(() => stranger.destroy());
      let isClosed = false;
      stranger.on('close', () => (isClosed = true));
      const { status } = heldCall(stranger, name);
      expect(await until(() => status() ?? undefined, { what: 'an answer' })).toBe('PERMISSION_DENIED');
      await until(() => isClosed, { what: 'the end of its connection' });
    },
  );

  it.each(['another trust domain', 'no certificate'])('does not get through the handshake with %s', async (what) => {
    const { acme, target } = await overTls();
    const other = await trustDomain('acme.test');
    const svid = what === 'no certificate' ? null : await other.svid('/ns/prod/sa/tools-1');
    const stranger = client(target, tlsWith(svid, acme.bundlePem));
    expect(await stranger.call('Open', { instance: 'instance-1', tokens: [tokenOf(1)], n: 1 })).toBe('UNAVAILABLE');
  });

  it('cannot speak for the instance of another sidecar', async () => {
    const { acme, target, declared } = await overTls();
    await declared(1);
    const [one, two] = await Promise.all(
      ['tools-1', 'tools-2'].map(async (name) =>
        client(target, tlsWith(await acme.svid(`/ns/prod/sa/${name}`), acme.bundlePem)),
      ),
    );
    const stream = one?.follow();
    stream?.send(hello('instance-1'));
    if (stream === undefined) throw new Error('no stream');
    await welcomed(stream);
    const open = { instance: 'instance-1', tokens: [tokenOf(1)], n: 1 };
    expect(await two?.call('Open', open)).toBe('FAILED_PRECONDITION');
    expect(await one?.call('Open', open)).toMatchObject({ opened: [{ card: { task: { id: keyOf(1).id } } }] });
  });
});

describe('a sidecar of another audience', () => {
  it('finds no such task, whatever it asks, and changes nothing of it', async () => {
    const { target, declared, state } = await authority({ sidecars: ofFiles });
    await declared(1);
    const { client: made, stream, instance } = await follower(target);
    const nothing = { opened: [{ card: null }] };
    expect(await made.call('Open', { instance, tokens: [tokenOf(1)], n: 1 })).toMatchObject(nothing);
    expect(await made.call('Confirm', { instance, tokens: [tokenOf(1)], n: 2 })).toMatchObject(nothing);
    expect(await made.call('Settle', { instance, uses: [useOf(1)] })).toMatchObject({
      settled: [{ problem: 'ended', card: null }],
    });
    const stolen = [{ ...tokenOf(1), is_of_task: true, cause: 'operator.revoked', note: '' }];
    stream.send({ of: 'report', report: { id: 7, touched: [], stolen, secrets: [], uses: [] } });
    await until(() => stream.downs.some((down) => down.of === 'reported'), { what: 'the answer to the report' });
    const forged = { jti_digest: digestOf(1), uses: 99, trace_id: '', span_id: '', allowed: nodeAt('10.6.6.6') };
    stream.send({ of: 'report', report: { id: 8, touched: [], stolen: [], secrets: [], uses: [forged] } });
    await until(() => stream.downs.filter((down) => down.of === 'reported').length === 2, {
      what: 'the second answer',
    });
    expect(state.reader.reportedUses(digestOf(1))).toEqual([]);
    expect(await state.authority.tokenOf(digestOf(1))).toMatchObject({ revokedAtMs: null });
    expect(await state.authority.taskOf(keyOf(1).issuer, keyOf(1).id)).toMatchObject({ state: 'active' });
    expect(await state.settling.settle({ ...takenOf(1), spends: [{ kind: 'calls', limit: 1 }] })).toBeNull();
  });

  it('learns that a card it claims to hold does not exist, with or without the digest of a token', async () => {
    const { target, declared } = await authority({ sidecars: ofFiles });
    await Promise.all([declared(1), declared(2)]);
    const stream = client(target).follow();
    const held = [1, 2].map((n) => ({
      key: keyOf(n),
      jti_digests: n === 1 ? [digestOf(1)] : [],
      state: 'active',
      generation: 1,
      history_version: 0,
    }));
    stream.send(hello('instance-1', { held }));
    const down = await until(() => stream.downs.find((one) => one.of === 'changes'), { what: 'the changes' });
    expect(down).toMatchObject({ changes: { cards: [], gone: [keyOf(1), keyOf(2)] } });
  });
});

const ofFiles = () => [{ id: 'spiffe://acme.test/ns/*/sa/*', audiences: ['https://files.acme.test'] }];

const takenOf = (n: number) => ({
  decisionId: '0198c0de-0000-7000-8000-000000000009',
  key: keyOf(n),
  jtiDigest: digestOf(n),
});

/** As an attacker can leave it. */
const keyless = {
  key: null as unknown as ReturnType<typeof keyOf>,
  jti_digests: ['x'],
  state: '',
  generation: 0,
  history_version: 0,
};

describe('a sidecar that lies', () => {
  it('loses its stream if it acknowledges what was not sent', async () => {
    const { target } = await authority();
    const { stream } = await follower(target);
    stream.send({ of: 'ack', ack: { seq: 1_000 } });
    expect(await endOf(stream)).toBe('INVALID_ARGUMENT');
  });

  it('starts from nothing with a position of another epoch', async () => {
    const { target } = await authority();
    const stream = client(target).follow();
    stream.send(hello('instance-1', { resume: { epoch: 'forged', seq: 1_000_000, mark: '' } }));
    expect(await welcomed(stream)).toMatchObject({ position: { seq: 0 } });
  });

  it('delays no end beyond lease and margin, though it pings, holds the task and acknowledges nothing', async () => {
    const { target, declared, state, enforced } = await authority({ leaseMs: 1_000 });
    const task = await declared(1);
    const { client: made, stream, instance } = await follower(target);
    await made.call('Open', { instance, tokens: [tokenOf(1)], n: 1 });
    let n = 0;
    const pings = setInterval(() => stream.send({ of: 'ping', ping: { n: (n += 1), status: null } }), 100);
    closers.push(() => clearInterval(pings));
    await until(() => stream.downs.some((down) => down.of === 'fresh'), { what: 'a lease' });
    await state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    const before = stream.downs.filter((down) => down.of === 'fresh').length;
    expect(await enforced([task.id])).toEqual({ enforced: true, holders: 1, acknowledged: 0, fenced: 1 });
    // At most the answer to a ping from before the end.
    expect(stream.downs.filter((down) => down.of === 'fresh').length).toBeLessThanOrEqual(before + 1);
  });

  it('harms itself alone if it pretends to have seen changes that the database does not have', async () => {
    const { target, problem, problems } = await authority();
    const { welcome, stream: other } = await follower(target, 'instance-2');
    const { epoch } = welcome.position;
    for (const mark of ['', 'forged.forged']) {
      const stream = client(target).follow();
      stream.send(hello('instance-1', { resume: { epoch, seq: 77, mark } }));
      expect(await endOf(stream)).toBe('FAILED_PRECONDITION');
    }
    expect(problem()).toBeNull();
    expect(problems[0]).toMatch(/^the sidecar `.* instance-1` is refused: its position was not given by this database/);
    other.send({ of: 'ping', ping: { n: 1, status: null } });
    await until(() => other.downs.some((down) => down.of === 'fresh'), { what: 'a lease of the other sidecar' });
  });

  it.each([
    ['no Hello first', () => ({ of: 'ping', ping: { n: 1, status: null } }) as const],
    ['a bad instance', () => hello('no spaces, please')],
    ['an empty instance', () => hello('')],
    ['a held card without a key', () => hello('instance-1', { held: [keyless] })],
  ])('is refused: %s', async (_what, first) => {
    const { target } = await authority();
    const stream = client(target).follow();
    stream.send(first());
    expect(await endOf(stream)).toBe('INVALID_ARGUMENT');
  });
});

describe('bad input', () => {
  it('ends a call with a message of 100 MB, and nothing else', async () => {
    const { target, declared } = await authority();
    await declared(1);
    const { client: made, stream, instance } = await follower(target);
    const huge = { instance: 'x'.repeat(100_000_000), tokens: [], n: 1 };
    expect(await client(target).call('Open', huge)).toBe('RESOURCE_EXHAUSTED');
    const big = client(target).follow();
    big.send(hello('y'.repeat(100_000_000)));
    expect(await endOf(big)).toBe('RESOURCE_EXHAUSTED');
    expect(await made.call('Open', { instance, tokens: [tokenOf(1)], n: 1 })).toMatchObject({ opened: [{ card: {} }] });
    expect(stream.ended()).toBeNull();
  });

  it('answers 30,000 opens of tokens that do not exist within its rates, holds nothing of them, and serves others', async () => {
    const { target, declared, state, enforced } = await authority();
    const task = await declared(1);
    const [attacker, honest] = [await follower(target, 'attacker-1'), await follower(target, 'honest-one')];
    const batches = Array.from({ length: 120 }, (_, batch) =>
      attacker.client.call('Open', {
        instance: 'attacker-1',
        tokens: Array.from({ length: 250 }, (_unused, at) => ({
          key: { issuer: keyOf(1).issuer, id: `nothing-${batch}-${at}` },
          jti_digest: `nothing-${batch}-${at}`,
        })),
        n: batch + 1,
      }),
    );
    const opened = honest.client.call('Open', { instance: 'honest-one', tokens: [tokenOf(1)], n: 1 });
    expect(await opened).toMatchObject({ opened: [{ card: { task: { id: task.id } } }] });
    const answers = await Promise.all(batches);
    const refused = answers.filter((answer) => answer === 'RESOURCE_EXHAUSTED').length;
    expect(refused).toBeGreaterThan(0);
    const cards = answers.flatMap((answer) => (typeof answer === 'string' ? [] : answer.opened));
    expect(cards.length).toBe((120 - refused) * 250);
    expect(cards.every(({ card }) => card === null)).toBe(true);
    await state.authority.applyTaskEvent(task, byOperator('cancel'), 'operator');
    await until(() => honest.stream.downs.some((down) => down.of === 'changes'), { what: 'the change' });
    honest.stream.send({ of: 'ack', ack: { seq: await until(() => lastChange(honest), { what: 'the change' }) } });
    expect(await enforced([task.id])).toMatchObject({ enforced: true, holders: 1 });
  });

  it.each(['Open', 'Confirm', 'Settle', 'UseProofs'] as const)(
    'has no %s of 4 MiB decoded, whose entries have two bytes each (issue 37, point 7)',
    async (name) => {
      const { target } = await authority();
      expect(await client(target).bytes(name, entries(name === 'UseProofs' ? 1 : 2))).toBe('INTERNAL');
    },
  );

  it('refuses what is too much or malformed in a call, and goes on', async () => {
    const { target, declared } = await authority();
    await declared(1);
    const { client: made, stream, instance } = await follower(target);
    const tokens = Array.from({ length: 257 }, () => tokenOf(1));
    // It is not decoded.
    expect(await made.call('Open', { instance, tokens, n: 1 })).toBe('INTERNAL');
    // The key is absent, as an attacker can leave it.
    const bare = { key: null, jti_digest: 'x' } as unknown as ReturnType<typeof tokenOf>;
    expect(await made.call('Open', { instance, tokens: [bare], n: 1 })).toBe('INVALID_ARGUMENT');
    const uses = [
      { ...useOf(1), decision_id: 'not-a-uuid' },
      { ...useOf(1), key: null as unknown as ReturnType<typeof keyOf> },
      { ...useOf(1), spends: [{ kind: 'gold', name: '', amount: 1, limit: 1 }] },
      { ...useOf(1), spends: [{ kind: 'calls', name: '', amount: 2 ** 53, limit: 2 ** 53 }] },
    ];
    for (const use of uses) expect(await made.call('Settle', { instance, uses: [use] })).toBe('INVALID_ARGUMENT');
    const odd = await made.call('Settle', { instance, uses: [{ ...useOf(1), jti_digest: 'nul\0' }] });
    expect(typeof odd === 'string' ? odd : odd.settled[0]?.problem).toMatch(/^(?:ended|unavailable)$/);
    const stolen = [{ key: keyless.key, jti_digest: 'x', is_of_task: true, cause: '', note: '' }];
    stream.send({ of: 'report', report: { id: 1, touched: [], stolen, secrets: [], uses: [] } });
    await until(() => stream.downs.some((down) => down.of === 'reported'), { what: 'the answer to the report' });
    expect(await made.call('Open', { instance, tokens: [tokenOf(1)], n: 2 })).toMatchObject({ opened: [{ card: {} }] });
  });

  it('bounds the connections that one address begins, before any handshake (issue 37, point 7)', async () => {
    const acme = await trustDomain('acme.test');
    const own = heldSvid(svidOf(await acme.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }), acme));
    const listen = [{ kind: 'tcp', host: '127.0.0.1', port: 0 }] as const;
    // Within one moment.
    const ports = { ...systemPorts, monotonicMs: () => 0 };
    const { target } = await authority({ listen, svid: own, ports });
    const [host, port] = target.split(':');
    const met = { connected: 0, closed: 0 };
    for (let n = 0; n < 300; n += 1) {
      const socket = connect({ host, port: Number(port), localAddress: '127.0.0.9' });
      closers.push(() => socket.destroy());
      socket.on('error', () => undefined).resume();
      socket.once('connect', () => (met.connected += 1)).once('close', () => (met.closed += 1));
    }
    await until(() => met.connected === 300 && met.closed >= 44, { what: 'the connections beyond 256 are closed' });
    expect(met.closed).toBe(44);
  });

  it('lets an identity begin a stream, however often another says Hello (issue 37, point 7)', async () => {
    // A tenth as fast, so that no rate is met by a slow machine.
    const ports = { ...systemPorts, monotonicMs: () => performance.now() / 10 };
    const { acme, target } = await overTls({ ports });
    const [hostile, honest] = await Promise.all(
      ['a', 'b'].map(async (name) => tlsWith(await acme.svid(`/ns/prod/sa/tools-${name}`), acme.bundlePem)),
    );
    const flood = Array.from({ length: 8 }, () => client(target, hostile)).flatMap((made, at) =>
      Array.from({ length: 120 }, (_, n) => {
        const stream = made.follow();
        stream.send(hello(`flood-${at}-${n}-more`));
        return stream;
      }),
    );
    await until(() => flood.some(({ ended }) => ended() !== null), { what: 'a refusal' });
    const stream = client(target, honest).follow();
    stream.send(hello('honest-one'));
    expect(await until(() => stream.ended() ?? stream.downs[0]?.of, { what: 'an answer' })).toBe('welcome');
  });

  it('takes from limits what it says, and has an agent stopped by the policies of the authority alone', async () => {
    const known: Limit = {
      id: 'known',
      agents: ['*'],
      actions: null,
      per: [],
      windowMs: 86_400_000,
      measures: [{ of: 'calls', max: 1 }],
      effect: 'stop',
      place: { file: 'limits.yaml', line: 2, column: 5 },
    };
    const { target, declared, state } = await authority({ taskLimits: () => [known] });
    await declared(1);
    const { client: made, instance } = await follower(target);
    let last = 0;
    const settled = async (name: string, change: object = {}, of: object = {}) => {
      const id = String((last += 1)).padStart(12, '0');
      const spends = [
        {
          ...spend('limit', name, 1, 1),
          measure: 'calls',
          who: '[]',
          window_ms: 86_400_000,
          effect: 'stop',
          ...change,
        },
      ];
      const alone = { key: null, jti_digest: '', agent: 'spiffe://acme.test/ns/agents/sa/other' };
      const use = { ...useOf(1), ...alone, decision_id: `0198c0de-0000-7000-8000-${id}`, spends, ...of };
      const reply = await made.call('Settle', { instance, uses: [use] });
      return typeof reply === 'string' ? reply : reply.settled[0]?.problem;
    };
    const stopped = () => must(state.reader.ordersInForce()).list.map((order) => order.of === 'stop' && order.what);
    expect([await settled('made-up'), await settled('made-up'), stopped()]).toEqual(['', 'limit', []]);
    // A maximum below that of the authority, another window and more than one call stop nobody.
    for (const change of [{ limit: 0 }, { window_ms: 3_600_000, limit: 0 }, { amount: 5 }])
      expect(await settled('known', change)).toBe('limit');
    expect(stopped()).toEqual([]);
    // Of a task the agent is that of the task, whatever it says.
    const ofTask = { key: useOf(1).key, jti_digest: useOf(1).jti_digest };
    expect([await settled('known', {}, ofTask), await settled('known', {}, ofTask)]).toEqual(['', 'limit']);
    expect(stopped()).toEqual([taskNumber(1).agent]);
    expect(stopped()).toHaveLength(1);
    for (const wrong of [{ measure: 'money' }, { effect: 'burn' }])
      expect(await settled('odd', wrong)).toBe('INVALID_ARGUMENT');
    for (const wrong of [{ window_ms: 1 }, { who: 'x'.repeat(4_096), name: '' }, { value: 'short' }])
      expect(await settled('odd', wrong)).toBe('unavailable');
    // Without a task there are no budgets and no history.
    expect(await settled('x', { kind: 'calls', name: '' })).toBe('INVALID_ARGUMENT');
    expect(await settled('x', {}, { entry: { version: 0, action: 'a', labels: [] } })).toBe('INVALID_ARGUMENT');
  });

  it('has nobody stopped by the counter of somebody else', async () => {
    const of = { agents: ['spiffe://acme.test/ns/agents/sa/*'], actions: null, windowMs: 60_000 };
    const limit: Limit = {
      ...of,
      id: 'per-agent',
      per: ['agent', 'server'],
      measures: [{ of: 'calls', max: 0 }],
      effect: 'stop',
      place: { file: 'limits.yaml', line: 2, column: 5 },
    };
    const { target, state } = await authority({ taskLimits: () => [limit] });
    const { client: made, instance } = await follower(target);
    const settled = async (n: number, agent: string, who: string) => {
      const rest = { measure: 'calls', who, window_ms: 60_000, effect: 'stop' };
      const one = {
        ...use(n),
        key: null,
        jti_digest: '',
        agent,
        spends: [{ ...spend('limit', 'per-agent', 1, 0), ...rest }],
      };
      const reply = await made.call('Settle', { instance, uses: [one] });
      return typeof reply === 'string' ? reply : reply.settled[0]?.problem;
    };
    const [victim, other] = ['spiffe://acme.test/ns/agents/sa/victim', 'spiffe://acme.test/ns/agents/sa/other'];
    const stopped = () => must(state.reader.ordersInForce()).list.map((order) => order.of === 'stop' && order.what);
    for (const [n, who] of [JSON.stringify([other, 's']), JSON.stringify([victim]), '[]', 'x'].entries())
      expect(await settled(n + 1, victim, who)).toBe('limit');
    // No limit is of this agent.
    const beyond = 'spiffe://acme.test/ns/else/sa/beyond';
    expect(await settled(11, beyond, JSON.stringify([beyond, 's']))).toBe('limit');
    expect(stopped()).toEqual([]);
    expect(await settled(12, victim, JSON.stringify([victim, 's']))).toBe('limit');
    expect(stopped()).toEqual([victim]);
  });

  it('takes no budget that the task does not have, and no limit above its own (issue 37, point 7)', async () => {
    const { target, declared } = await authority();
    const constraints = { max_calls: 2, max_amount: { argument: 'amount', limit: 10 } };
    const detail = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };
    await declared(1, { detailsJson: JSON.stringify([{ ...detail, constraints }]) });
    const { client: made, instance } = await follower(target);
    let last = 0;
    const settled = async (...spends: readonly ReturnType<typeof useOf>['spends'][number][]) => {
      const id = String((last += 1)).padStart(12, '0');
      const use = { ...useOf(1), decision_id: `0198c0de-0000-7000-8000-${id}`, spends };
      const reply = await made.call('Settle', { instance, uses: [use] });
      return typeof reply === 'string' ? reply : reply.settled[0]?.problem;
    };
    expect(await settled(spend('amount', 'other', 1, 5))).toBe('exhausted');
    expect(await settled(spend('calls', 'other', 1, 5))).toBe('exhausted');
    expect(await settled(spend('single-use', 'other', 1, 1))).toBe('exhausted');
    expect(await settled(spend('calls', '', 1, 5), spend('calls', '', 1, 5))).toBe('exhausted');
    expect(await settled(spend('calls', '', 0, 5))).toBe('exhausted');
    expect(await settled(spend('amount', 'amount', 11, 2 ** 50))).toBe('exhausted');
    expect(await settled(spend('calls', '', 1, 1_000), spend('amount', 'amount', 10, 2 ** 50))).toBe('');
    expect(await settled(spend('amount', 'amount', 1, 2 ** 50))).toBe('exhausted');
    expect(await settled(spend('calls', '', 1, 1_000))).toBe('');
    expect(await settled(spend('calls', '', 1, 1_000))).toBe('exhausted');
    // A sidecar asks whether the single use was made.
    const asking = [spend('single-use', '', 1, 1), spend('calls', '', 1, 0)];
    expect(await settled(...asking)).toBe('exhausted');
    expect(await settled(spend('single-use', '', 1, 1))).toBe('');
    expect(await settled(...asking)).toBe('replayed');
  });

  it('sums decimals exactly, and takes none for an amount in whole numbers (issue 37, point 19)', async () => {
    const { target, declared } = await authority();
    const constraints = { max_amount: { argument: 'price', limit: '0.3' } };
    const detail = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };
    await declared(1, { detailsJson: JSON.stringify([{ ...detail, constraints }]) });
    const { client: made, instance } = await follower(target);
    let last = 0;
    const settled = async (kind: string, amount: number) => {
      const id = String((last += 1)).padStart(12, '0');
      const use = {
        ...useOf(1),
        decision_id: `0198c0de-0000-7000-8000-${id}`,
        spends: [spend(kind, 'price', amount, 2 ** 50)],
      };
      const reply = await made.call('Settle', { instance, uses: [use] });
      return typeof reply === 'string' ? reply : reply.settled[0];
    };
    expect(await settled('amount', 1)).toMatchObject({ problem: 'exhausted' });
    for (let n = 0; n < 3; n += 1) expect(await settled('decimal', 1_000)).toMatchObject({ problem: '' });
    expect(await settled('decimal', 1)).toMatchObject({
      problem: 'exhausted',
      budget: { limit: 3_000, used: 3_000, decimal: true },
    });
  });

  it('gives back to an identity what it took itself, and no more (issue 37, point 14)', async () => {
    const { acme, target, declared } = await overTls();
    const constraints = { max_calls: 2 };
    const detail = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };
    await declared(1, { detailsJson: JSON.stringify([{ ...detail, constraints }]) });
    const named = async (name: string) =>
      client(target, tlsWith(await acme.svid(`/ns/prod/sa/tools-${name}`), acme.bundlePem));
    const [one, two] = [await named('1'), await named('2')];
    const ask = async (made: RawClient, method: 'Settle' | 'GiveBack', ...uses: readonly ReturnType<typeof use>[]) => {
      const reply = await made.call(method, { instance: 'instance-1', uses });
      if (typeof reply === 'string') return reply;
      return ('uses' in reply ? reply.uses : reply.settled).map(({ problem }) => problem);
    };
    expect(await ask(one, 'Settle', use(1), use(2), use(3))).toEqual(['', '', 'exhausted']);
    expect(await ask(two, 'GiveBack', use(1), use(2))).toEqual(['not-taken', 'not-taken']);
    expect(await ask(one, 'GiveBack', use(1, 2), { ...use(1), spends: [] }, use(3))).toEqual(
      Array.from({ length: 3 }, () => 'not-taken'),
    );
    expect(await ask(one, 'GiveBack', { ...use(1), decision_id: 'x' })).toBe('INVALID_ARGUMENT');
    expect(await ask(one, 'GiveBack', { ...use(1), ...tokenOf(9) })).toEqual(['not-taken']);
    expect(await ask(one, 'Settle', use(4))).toEqual(['exhausted']);
    expect(await ask(one, 'GiveBack', use(1))).toEqual(['']);
    expect(await ask(one, 'GiveBack', use(1))).toEqual(['not-taken']);
    expect(await ask(two, 'Settle', use(5), use(6))).toEqual(['', 'exhausted']);
  });

  it('lends an identity an eighth of a budget of the task, and takes back from it what it was lent, and no more (issue 42)', async () => {
    const { acme, target, declared } = await overTls();
    const constraints = { max_calls: 80, max_amount: { argument: 'amount', limit: 160 } };
    const detail = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };
    await declared(1, { detailsJson: JSON.stringify([{ ...detail, constraints }]) });
    const named = async (name: string) =>
      client(target, tlsWith(await acme.svid(`/ns/prod/sa/tools-${name}`), acme.bundlePem));
    const [one, two] = [await named('1'), await named('2')];
    const loan = (n: number, amount: number, more: object) => ({
      ...use(n),
      spends: [spend('calls', '', amount, 1_000_000), spend('amount', 'amount', amount, 1_000_000)],
      ...more,
    });
    const ask = async (made: RawClient, method: 'Settle' | 'GiveBack', one: ReturnType<typeof loan>) => {
      const reply = await made.call(method, { instance: 'instance-1', uses: [one] });
      if (typeof reply === 'string') return reply;
      return 'uses' in reply ? reply.uses[0]?.problem : (reply.settled[0]?.lent ?? reply.settled[0]?.problem);
    };
    expect(await ask(one, 'Settle', loan(1, 0, { ahead: [10, 7] }))).toEqual([10, 7]);
    expect(await ask(two, 'Settle', loan(2, 0, { ahead: [1_000_000, 1_000_000] }))).toEqual([7, 15]);
    expect(await ask(one, 'Settle', loan(2, 0, { ahead: [5] }))).toBe('INVALID_ARGUMENT');
    expect(await ask(one, 'Settle', loan(2, 0, { ahead: [2 ** 60, 1] }))).toBe('INVALID_ARGUMENT');
    expect(await ask(one, 'Settle', loan(3, 0, { spends: [spend('calls', 'other', 0, 9)], ahead: [9] }))).toEqual([]);
    const taken = { spends: [spend('calls', '', 10, 80), spend('amount', 'amount', 7, 160)] };
    expect(await ask(two, 'GiveBack', loan(1, 0, { ...taken, left: [10, 7] }))).toBe('not-taken');
    expect(await ask(one, 'GiveBack', loan(1, 0, { left: [10, 7] }))).toBe('not-taken');
    expect(await ask(one, 'GiveBack', loan(1, 0, { ...taken, left: [10] }))).toBe('INVALID_ARGUMENT');
    expect(await ask(one, 'GiveBack', loan(1, 0, { ...taken, left: [4, 1_000] }))).toBe('');
    expect(await ask(one, 'GiveBack', loan(1, 0, { ...taken, left: [4, 7] }))).toBe('not-taken');
    // 80 and 160, less 7 and 15, and 6 and 0.
    expect(await ask(two, 'Settle', loan(4, 0, { ahead: [8, 18] }))).toEqual([8, 18]);
    expect(await ask(two, 'Settle', loan(5, 0, { ahead: [8, 16] }))).toEqual([4, 8]);
  });

  it('bounds the secrets that one identity reports, and what it says of itself', async () => {
    const { target, state, report } = await authority();
    const { stream } = await follower(target);
    for (let id = 1; id <= 3; id += 1) {
      stream.send({ of: 'report', report: { id, touched: [], stolen: [], secrets: secretsOf(id), uses: [] } });
    }
    await until(() => stream.downs.filter((down) => down.of === 'reported').length === 3, { what: 'the answers' });
    const listed = state.reader.staticSecrets(10_000);
    expect(Array.isArray(listed) && listed.length).toBeLessThan(1_024 + 512);
    const status = {
      policy_set: 'x'.repeat(1_000_000),
      policy_generation: 1,
      unacknowledged_records: 0,
      last_error: '',
    };
    stream.send({ of: 'ping', ping: { n: 1, status } });
    await until(() => report().sidecars.some(({ policy_set }) => policy_set.length === 300), { what: 'the status' });
  });

  it('bounds the uses that one identity settles a second, whatever instances it names', async () => {
    const { target } = await authority({ ports: { ...systemPorts, monotonicMs: () => 0 } });
    const made = client(target);
    const uses = Array.from({ length: 256 }, () => useOf(1));
    const replies = await Promise.all(
      Array.from({ length: 70 }, (_, n) => made.call('Settle', { instance: `instance-${n}`, uses })),
    );
    expect(replies.filter((reply) => reply === 'RESOURCE_EXHAUSTED')).toHaveLength(6);
    expect(replies.filter((reply) => typeof reply !== 'string')).toHaveLength(64);
  });

  it('counts the calls of an identity from their metadata on (issue 37, found)', async () => {
    const { acme, target } = await overTls();
    const svid = await acme.svid('/ns/prod/sa/tools-1');
    const held = Array.from({ length: 5 }, () => tlsSession(target, svid, acme)).flatMap((session) => {
      closers.push(() => session.destroy());
      return Array.from({ length: 120 }, () => heldCall(session, 'Settle'));
    });
    const refused = () => held.filter(({ status }) => status() === 'RESOURCE_EXHAUSTED').length;
    await until(() => refused() === 600 - 512, { what: 'the refusal of those beyond 512' });
  });

  it('reads few messages of one address at a time (issue 37, found)', async () => {
    const { acme, target } = await overTls({ after: patient });
    const svid = await acme.svid('/ns/prod/sa/tools-1');
    const [here, there] = ['127.0.0.1', '127.0.0.9'].map((localAddress) =>
      tlsSession(target, svid, acme, localAddress),
    );
    if (here === undefined || there === undefined) throw new Error('no connections');
    closers.push(() => [here, there].forEach((session) => session.destroy()));
    const held = Array.from({ length: 16 }, () => heldCall(here, 'Settle'));
    const late = heldCall(here, 'Settle');
    late.complete();
    const other = heldCall(there, 'Settle');
    other.complete();
    await until(() => other.status() === 'OK', { what: 'the answer at another address' });
    expect(late.status()).toBeNull();
    held[0]?.complete();
    await until(() => late.status() === 'OK', { what: 'the answer at the same one' });
  });

  it('outlives connections with bytes that are no HTTP/2, and connections that say nothing', async () => {
    const { acme, target } = await overTls();
    const port = Number(target.split(':')[1]);
    for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\u0016\u0003\u0001\u0002\u0000', '']) {
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('error', () => undefined);
      closers.push(() => socket.destroy());
    }
    const honest = client(target, tlsWith(await acme.svid('/ns/prod/sa/tools-1'), acme.bundlePem));
    const stream = honest.follow();
    stream.send(hello('instance-1'));
    expect(await welcomed(stream)).toMatchObject({ lease_ms: 2_000 });
  });
});

// Each waits for a bound of 10 s, so they run concurrently.
describe('a connection that is of no use', () => {
  afterAll(closeAll);

  it.concurrent.each(transports)('over %s is closed if it makes no call, and others are kept', async (_over, start) => {
    const { target, using, open } = await start();
    const honest = await follower(target, 'honest-one', await using('honest'));
    let closed = 0;
    for (let n = 0; n < 3; n += 1) {
      const socket = open();
      closers.push(() => socket.destroy());
      socket.on('error', () => undefined).on('close', () => (closed += 1));
      socket.resume();
    }
    await until(() => closed === 3, { what: 'the end of all three' });
    expect(honest.stream.ended()).toBeNull();
  });

  it.concurrent('is not waited for if the message of a call does not come', async () => {
    const { target, session } = await transports[0][1]();
    const slow = await session('slow');
    closers.push(() => slow.destroy());
    const { status } = heldCall(slow, 'Settle');
    expect(await until(() => status() ?? undefined, { what: `the end of a call at ${target}` })).toBe(
      'DEADLINE_EXCEEDED',
    );
  });

  it.concurrent.each(transports)(
    'over %s is closed if its sidecar never reads, and nobody waits for it',
    async (_over, start) => {
      const { target, using, session, declared, state, enforced, sidecars } = await start();
      const tasks = await Promise.all(
        Array.from({ length: 64 }, (_, n) => declared(n + 1, { purpose: 'x'.repeat(30_000) })),
      );
      const held = tasks.map(({ issuer, id }, n) => ({
        key: { issuer, id },
        jti_digests: [digestOf(n + 1)],
        state: 'active',
        generation: 1,
        history_version: 0,
      }));
      const deaf = await session('deaf');
      let isClosed = false;
      deaf.on('close', () => (isClosed = true));
      closers.push(deafStream(deaf, hello('deaf-sidecar', { held })));
      const honest = await follower(target, 'honest-one', await using('honest'));
      await honest.client.call('Open', { instance: 'honest-one', tokens: [tokenOf(1)], n: 1 });
      await until(() => sidecars() === 2, { what: 'both streams' });
      await state.authority.applyTaskEvent(keyOf(1), byOperator('cancel'), 'operator');
      const receipt = enforced([keyOf(1).id]);
      const seq = await until(() => lastChange(honest), { what: 'the change' });
      honest.stream.send({ of: 'ack', ack: { seq } });
      expect(await receipt).toMatchObject({ enforced: true, acknowledged: 1 });
      await until(() => sidecars() === 1, { what: 'the end of the deaf stream' });
      // With its connection, and so with all that was queued for it.
      await until(() => isClosed, { what: 'the end of its connection' });
      expect(honest.stream.ended()).toBeNull();
    },
  );
});

/** The last position that a stream was brought to. */
function lastChange({ stream }: { readonly stream: { readonly downs: readonly { readonly of: string }[] } }) {
  const changes = stream.downs.flatMap((down) =>
    'changes' in down ? [(down as { readonly changes: { readonly to: number } }).changes.to] : [],
  );
  return changes.at(-1);
}

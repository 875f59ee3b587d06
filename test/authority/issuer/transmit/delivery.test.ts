// Issue 42, point 4.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import { newSigningKey } from '../../../../src/authority/issuer/keys/signing-key.ts';
import type { SigningKey } from '../../../../src/authority/issuer/keys/signing-key.ts';
import { deliverSignals } from '../../../../src/authority/issuer/transmit/delivery.ts';
import type { DeliveryServices, SignalReceiver } from '../../../../src/authority/issuer/transmit/delivery.ts';
import { STOP_EVENT } from '../../../../src/authority/issuer/transmit/set-claims.ts';
import { encodedRecord } from '../../../../src/core/ledger/encoded-record.ts';
import { orderMade } from '../../../../src/core/ledger/order-record.ts';
import { SIGNALLED } from '../../../../src/core/config/issuer.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import type { StopOrder } from '../../../../src/core/order/order.ts';
import type { Store } from '../../../../src/core/state/store.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { directAuthority } from '../../../builders/direct-authority.ts';
import { must } from '../../../builders/must.ts';
import { stopOrder } from '../../../builders/order.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { until } from '../../../until.ts';
import { Receiver } from './receiver.ts';

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type/';
const RISC = 'https://schemas.openid.net/secevent/risc/event-type/';

const folder = testFolders();
let key: SigningKey;
let receiver: Receiver;
let store: Store;
/** Instants of the state. */
let nowMs = Date.now();
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  key = await newSigningKey();
});
beforeEach(async () => {
  receiver = await Receiver.start(folder());
  nowMs = Date.now();
  store = mustOpen(join(folder(), 'state.db'), { nowMs: () => nowMs });
});
afterEach(async () => {
  await stopAll();
  await receiver.close();
  store.close();
});

const stopAll = async (): Promise<void> => {
  for (const stop of stops.splice(0)) await stop();
};

/** What a delivery said, and the pauses it made. */
interface Heard {
  readonly pushed: string[];
  readonly problems: (string | null)[];
  readonly refused: string[];
  readonly pauses: number[];
  readonly waiting: (number | null)[];
  dropped: number;
}

/** Begins to deliver; each pause lasts a millisecond. */
function delivering(of: Partial<SignalReceiver> = {}, services: Partial<DeliveryServices> = {}): Heard {
  const heard: Heard = { pushed: [], problems: [], refused: [], pauses: [], waiting: [], dropped: 0 };
  const target = {
    name: 'siem',
    url: receiver.url,
    audience: 'https://siem.acme.test',
    events: new Set(SIGNALLED),
    tokenFile: null,
    ca: receiver.caFile,
    ...of,
  };
  const stop = deliverSignals(target, {
    authority: directAuthority(store).authority,
    keys: { problem: () => null, current: () => key },
    issuer,
    ports: systemPorts,
    after: (pauseMs, run) => {
      heard.pauses.push(pauseMs);
      const timer = setTimeout(run, 1);
      return () => clearTimeout(timer);
    },
    onPushed: (result) => heard.pushed.push(result),
    onWaiting: (queue) => heard.waiting.push(queue?.waiting ?? null),
    onDropped: (count) => (heard.dropped += count),
    onProblem: (problem) => heard.problems.push(problem),
    onRefused: (_jti, detail) => heard.refused.push(detail),
    ...services,
  });
  stops.push(stop);
  return heard;
}

const isClaimed = () => until(async () => must(store.signalQueue('siem')).holder === 'this', { what: 'a claim' });
const isEmpty = () => until(async () => must(store.signalQueue('siem')).waiting === 0, { what: 'an empty queue' });
const claims = () => receiver.received.map(({ body }) => decodeJwt(body));
const addTask = (n: number, of: Parameters<typeof taskNumber>[1] = {}) =>
  must(store.insertTask(taskNumber(n, { deadlineMs: nowMs + 600_000, ...of }), tokenNumber(n), []));
const idOf = (n: number): string => n.toString(16).padStart(16, '0');
const putStop = (of: Partial<StopOrder>) => {
  const order = stopOrder({ madeAtMs: nowMs, ...of });
  must(store.putOrder(order, [must(encodedRecord(orderMade(order)))]));
};

describe('deliverSignals', () => {
  it('pushes an end as CAEP session-revoked, signed by a published key, to the receiver alone', async () => {
    const heard = delivering();
    await isClaimed();
    addTask(1, { subject: 'alice' });
    store.applyTaskEvent({ issuer, id: taskNumber(1).id }, byOperator('cancel', 'INC-42'), 'operator');
    await isEmpty();
    const [request] = receiver.received;
    expect(receiver.received).toHaveLength(1);
    expect(request).toMatchObject({
      method: 'POST',
      path: '/events',
      contentType: 'application/secevent+jwt',
      authorization: undefined,
    });
    const { payload, protectedHeader } = await jwtVerify(
      request?.body ?? '',
      createLocalJWKSet({ keys: [key.publicJwk] }),
      {
        issuer,
        audience: 'https://siem.acme.test',
        typ: 'secevent+jwt',
        requiredClaims: ['iat', 'jti', 'events', 'sub_id'],
      },
    );
    expect(protectedHeader).toEqual({ typ: 'secevent+jwt', alg: 'ES256', kid: key.keyId });
    const toe = Math.floor(nowMs / 1_000);
    expect(payload).toMatchObject({
      toe,
      txn: taskNumber(1).id,
      sub_id: {
        format: 'complex',
        session: { format: 'opaque', id: taskNumber(1).id },
        application: { format: 'uri', uri: taskNumber(1).agent },
        user: { format: 'iss_sub', iss: issuer, sub: 'alice' },
      },
      events: {
        [`${CAEP}session-revoked`]: {
          event_timestamp: toe,
          initiating_entity: 'admin',
          reason_admin: { en: expect.stringContaining('INC-42') },
        },
      },
    });
    // RFC 8417 section 4.5 and 4.6: no claim by which it passes for another token.
    expect(payload).not.toHaveProperty('sub');
    expect(payload).not.toHaveProperty('exp');
    expect([heard.pushed, heard.problems]).toEqual([['taken'], []]);
  });

  it.each([
    [
      'of an agent',
      { kind: 'agent', what: taskNumber(1).agent },
      'session-revoked',
      { format: 'uri', uri: taskNumber(1).agent },
    ],
    ['of a user', { kind: 'user', what: 'alice' }, 'session-revoked', { format: 'iss_sub', iss: issuer, sub: 'alice' }],
    [
      'of a user of an issuer',
      { kind: 'user', what: 'https://idp.acme.test alice' },
      'session-revoked',
      { format: 'iss_sub', iss: 'https://idp.acme.test', sub: 'alice' },
    ],
    [
      'of everything',
      { kind: 'all', what: '' },
      'session-revoked',
      { format: 'complex', tenant: { format: 'uri', uri: issuer } },
    ],
  ] as const)('pushes a stop %s', async (_name, of, event, subject) => {
    delivering();
    await isClaimed();
    putStop(of);
    await isEmpty();
    expect(claims()).toMatchObject([{ sub_id: subject, txn: stopOrder().id, events: { [`${CAEP}${event}`]: {} } }]);
  });

  it.each([
    ['a pattern', { kind: 'agent', what: 'spiffe://acme.test/ns/agents/*' }],
    ['a server', { kind: 'server', what: 'payments' }],
    ['an action', { kind: 'action', what: 'payments.create' }],
  ] as const)(
    'pushes a stop of %s as an event of its own, so that nobody takes it for more or less',
    async (_name, of) => {
      delivering();
      await isClaimed();
      putStop({ ...of, untilMs: nowMs + 60_000 });
      await isEmpty();
      const event = { ...of, until: Math.floor((nowMs + 60_000) / 1_000), initiating_entity: 'admin' };
      expect(claims()).toMatchObject([{ events: { [STOP_EVENT]: event } }]);
    },
  );

  it('pushes a stolen token as RISC credential-compromise, and not a token that its agent revoked', async () => {
    delivering();
    await isClaimed();
    for (const n of [1, 2]) addTask(n);
    store.revokeToken(tokenNumber(2).jtiDigest, causeOf('agent.revoked'), 'x');
    store.revokeToken(tokenNumber(1).jtiDigest, causeOf('binding.violation', 'presented by a thief'), 'x');
    await isEmpty();
    const [event] = claims();
    expect(claims()).toHaveLength(1);
    expect(event).toMatchObject({
      sub_id: { session: { id: taskNumber(1).id }, application: { uri: taskNumber(1).agent } },
      events: { [`${RISC}credential-compromise`]: { credential_type: 'jwt', initiating_entity: 'policy' } },
    });
  });

  it('tells a receiver only of what it asks for', async () => {
    delivering({ events: new Set(['stops'] as const) });
    await isClaimed();
    addTask(1);
    store.applyTaskEvent({ issuer, id: taskNumber(1).id }, byOperator('cancel'), 'operator');
    putStop({});
    await isEmpty();
    expect(claims().map(({ txn }) => txn)).toEqual([stopOrder().id]);
  });

  it('sends again, with the same jti, until the receiver takes it, and pauses longer each time', async () => {
    let times = 0;
    receiver.answer = () => ((times += 1) < 5 ? [503] : [202]);
    const heard = delivering();
    await isClaimed();
    putStop({});
    await isEmpty();
    expect(new Set(claims().map(({ jti }) => jti)).size).toBe(1);
    expect(heard.pushed).toEqual(['failed', 'failed', 'failed', 'failed', 'taken']);
    const pauses = heard.pauses.filter((ms) => ms > 0 && ms !== 1_000);
    expect(pauses).toHaveLength(4);
    expect(pauses.every((ms, at) => ms >= 500 * 2 ** at && ms <= 1_000 * 2 ** at)).toBe(true);
    await until(async () => heard.problems.at(-1) === null, { what: 'the end of the problem' });
    expect(heard.problems).toEqual(['the receiver answered 503', null]);
  });

  it('sends what waited once the process has started again', async () => {
    receiver.answer = () => [500];
    const heard = delivering();
    await isClaimed();
    putStop({});
    await until(async () => heard.pushed.length > 0, { what: 'a failure' });
    await stopAll();
    const [before] = claims();
    receiver.answer = () => [202];
    receiver.received.splice(0);
    delivering();
    await isEmpty();
    // A push that was under way as the process ended may still arrive.
    expect(new Set(claims().map(({ jti }) => jti))).toEqual(new Set([before?.jti]));
  });

  it('gives up a signal that the receiver refuses for good, alone, and says so', async () => {
    receiver.answer = ({ body }) =>
      decodeJwt(body)['txn'] === 'aa'.padStart(16, '0')
        ? [400, JSON.stringify({ err: 'invalid_request', description: 'no such\nsubject' })]
        : [202];
    const heard = delivering();
    await isClaimed();
    putStop({});
    putStop({ id: 'bb'.padStart(16, '0') });
    await isEmpty();
    expect(heard.refused).toEqual(['the receiver answered 400 invalid_request no such?subject']);
    expect(heard.pushed.toSorted()).toEqual(['refused', 'taken']);
  });

  it('keeps a signal whose key, issuer or access the receiver refuses: that can be mended', async () => {
    const errors = ['invalid_key', 'invalid_issuer', 'invalid_audience', 'authentication_failed', 'access_denied'];
    let times = 0;
    receiver.answer = () => {
      const err = errors[times];
      times += 1;
      return err === undefined ? [202] : [400, JSON.stringify({ err })];
    };
    const heard = delivering();
    await isClaimed();
    putStop({});
    await isEmpty();
    expect(heard.pushed).toEqual([...errors.map(() => 'failed'), 'taken']);
  });

  it('does not let one signal at which the receiver fails hold up the others', async () => {
    receiver.answer = ({ body }) => (decodeJwt(body)['txn'] === stopOrder().id ? [500] : [202]);
    delivering();
    await isClaimed();
    putStop({});
    for (let n = 1; n <= 40; n += 1) putStop({ id: n.toString(16).padStart(16, '0'), kind: 'user', what: `u${n}` });
    await until(async () => must(store.signalQueue('siem')).waiting === 1, { what: 'the others' });
    expect(new Set(claims().map(({ txn }) => txn)).size).toBe(41);
  });

  it('does not let signals at which the receiver always fails hold up the others, however many they are', async () => {
    const failing = new Set(Array.from({ length: 70 }, (_, n) => idOf(n)));
    receiver.answer = ({ body }) => (failing.has(String(decodeJwt(body)['txn'])) ? [500] : [202]);
    delivering();
    await isClaimed();
    for (const id of failing) putStop({ id, kind: 'user', what: id });
    putStop({});
    await until(async () => must(store.signalQueue('siem')).waiting === failing.size, { what: 'the other' });
    // Each is tried again, also those beyond what is tried again at once.
    receiver.answer = () => [202];
    await isEmpty();
    expect(new Set(claims().map(({ txn }) => txn))).toEqual(new Set([...failing, stopOrder().id]));
  });

  it('follows no redirect, verifies the certificate, and sends no token to others', async () => {
    const tokenFile = join(folder(), 'bearer');
    writeFileSync(tokenFile, 'a-secret-of-mine\n');
    receiver.answer = () => [307, '', { location: receiver.url.replace('/events', '/other') }];
    const heard = delivering({ tokenFile });
    await isClaimed();
    putStop({});
    await until(async () => heard.pushed.length >= 2, { what: 'two failures' });
    expect(new Set(receiver.received.map(({ path, authorization }) => `${path} ${authorization}`))).toEqual(
      new Set(['/events Bearer a-secret-of-mine']),
    );
    expect(heard.problems).toEqual(['the receiver answered 307']);
    await stopAll();
    // A push that was ended may still arrive, so the path tells whose a push is.
    const untrusting = delivering({ tokenFile, ca: null, url: receiver.url.replace('/events', '/untrusted') });
    await until(async () => untrusting.pushed.length > 0, { what: 'a failure' });
    expect(receiver.received.filter(({ path }) => path === '/untrusted')).toEqual([]);
    expect(untrusting.problems[0]).toMatch(/certificate/);
    expect(JSON.stringify([heard, untrusting])).not.toContain('a-secret');
  });

  it('says what is wrong with the file of the bearer token, and never what it has', async () => {
    const tokenFile = join(folder(), 'bearer');
    writeFileSync(tokenFile, 'two words\r\nX-Injected: yes');
    const heard = delivering({ tokenFile });
    await isClaimed();
    putStop({});
    await until(async () => heard.pushed.length > 0, { what: 'a failure' });
    expect(heard.problems).toEqual([`\`${tokenFile}\` does not have a bearer token of at most 4096 characters`]);
    expect(receiver.received).toEqual([]);
  });

  it('sends nothing while another process does, or without a key that signs', async () => {
    const { authority } = directAuthority(store);
    const elsewhere = {
      ...authority,
      signalQueue: async (name: string) => ({ ...must(await authority.signalQueue(name)), holder: 'other' as const }),
    };
    must(store.claimSignals('siem'));
    putStop({});
    const idle = delivering({}, { authority: elsewhere });
    await until(async () => idle.waiting.length > 2, { what: 'three looks' });
    await stopAll();
    expect([receiver.received, new Set(idle.waiting)]).toEqual([[], new Set([null])]);
    const keyless = delivering({}, { keys: { problem: () => 'no key signs now', current: () => key } });
    await until(async () => keyless.problems.length > 0, { what: 'a problem' });
    expect([receiver.received, keyless.problems]).toEqual([[], ['no key signs now']]);
  });

  it('sends hundreds of signals, each once', async () => {
    const heard = delivering();
    await isClaimed();
    for (let n = 1; n <= 300; n += 1) putStop({ id: n.toString(16).padStart(16, '0'), kind: 'user', what: `u${n}` });
    await isEmpty();
    expect([heard.pushed.length, new Set(claims().map(({ jti }) => jti)).size]).toEqual([300, 300]);
  });
});

import { beforeAll, describe, expect, it } from '@jest/globals';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import { jtiDigestOf } from '../../../../src/core/token/jti-digest.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { es256Key, signed } from '../../../builders/tokens.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { type Bench, issuerUrl, startBench } from '../bench.ts';
import {
  es,
  eventUri,
  type Members,
  newTask,
  push,
  receiver,
  recordsOf,
  rs,
  setHeaders,
  setOf,
  signalServices,
  soundSet,
  taskNow,
  transmitterIssuer,
} from './transmitter.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
beforeAll(async () => {
  bench = await startBench(folder(), { signals: signalServices() });
});

const store = () => bench.store;
const issSub = (sub: string, iss = transmitterIssuer) => ({ format: 'iss_sub', iss, sub });

const session = (id: string) => ({ format: 'opaque', id });
const refusal = async (body: string, headers?: Readonly<Record<string, string>>) => {
  const { task } = newTask(store(), { subject: 'alice' });
  const answer = await push(bench, body, headers);
  expect(answer.headers).toMatchObject({ 'content-type': 'application/json', 'content-language': 'en' });
  expect(taskNow(store(), task).state).toBe('active');
  expect(bench.spans.at(-1)?.attributes).toMatchObject({ 'error.type': answer.json['err'] });
  return [answer.status, answer.json['err'], answer.json['description']];
};
const now = () => Math.floor(Date.now() / 1_000);
const header = (change: Members) => JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: es.keyId, ...change });
const sound = () => JSON.stringify(soundSet());

/** State and risk of a task of a new user after one event about that user. */
async function after(uri: string, payload: Members): Promise<readonly [string, string]> {
  const subject = `user-${Math.random()}`;
  const { task } = newTask(store(), { subject });
  const answer = await push(bench, setOf({ sub_id: issSub(subject), events: { [uri]: payload } }));
  expect([answer.status, answer.text]).toEqual([202, '']);
  const { state, risk } = taskNow(store(), task);
  return [state, risk];
}

describe('POST /signals', () => {
  it.each([
    ['session-revoked', eventUri('session-revoked'), {}, 'revoked', 'low'],
    [
      'credential-change revoke',
      eventUri('credential-change'),
      { credential_type: 'x509', change_type: 'revoke' },
      'revoked',
      'low',
    ],
    [
      'credential-change delete',
      eventUri('credential-change'),
      { credential_type: 'fido2-platform', change_type: 'delete' },
      'revoked',
      'low',
    ],
    [
      'credential-change create',
      eventUri('credential-change'),
      { credential_type: 'password', change_type: 'create' },
      'active',
      'low',
    ],
    [
      'credential-change update',
      eventUri('credential-change'),
      { credential_type: 'password', change_type: 'update' },
      'active',
      'low',
    ],
    ['token-claims-change', eventUri('token-claims-change'), { claims: { role: 'ro-admin' } }, 'suspended', 'low'],
    [
      'assurance-level-change down',
      eventUri('assurance-level-change'),
      { namespace: 'NIST-AAL', current_level: 'nist-aal1', previous_level: 'nist-aal2', change_direction: 'decrease' },
      'suspended',
      'low',
    ],
    [
      'assurance-level-change up',
      eventUri('assurance-level-change'),
      { namespace: 'NIST-AAL', current_level: 'nist-aal2', change_direction: 'increase' },
      'active',
      'low',
    ],
    [
      'assurance-level-change nowhere',
      eventUri('assurance-level-change'),
      { namespace: 'Custom', current_level: 'x' },
      'suspended',
      'low',
    ],
    [
      'device-compliance-change to worse',
      eventUri('device-compliance-change'),
      { previous_status: 'compliant', current_status: 'not-compliant' },
      'suspended',
      'low',
    ],
    [
      'device-compliance-change to better',
      eventUri('device-compliance-change'),
      { previous_status: 'not-compliant', current_status: 'compliant' },
      'active',
      'low',
    ],
    [
      'risk-level-change HIGH',
      eventUri('risk-level-change'),
      { principal: 'USER', current_level: 'HIGH', previous_level: 'LOW' },
      'active',
      'high',
    ],
    [
      'risk-level-change MEDIUM',
      eventUri('risk-level-change'),
      { principal: 'USER', current_level: 'MEDIUM' },
      'active',
      'medium',
    ],
    ['session-established', eventUri('session-established'), {}, 'active', 'low'],
    ['session-presented', eventUri('session-presented'), {}, 'active', 'low'],
    ['account-disabled', eventUri('account-disabled', 'risc'), { reason: 'hijacking' }, 'revoked', 'low'],
    ['account-purged', eventUri('account-purged', 'risc'), {}, 'revoked', 'low'],
    [
      'credential-compromise',
      eventUri('credential-compromise', 'risc'),
      { credential_type: 'password' },
      'revoked',
      'low',
    ],
    [
      'account-credential-change-required',
      eventUri('account-credential-change-required', 'risc'),
      {},
      'suspended',
      'low',
    ],
    ['sessions-revoked', eventUri('sessions-revoked', 'risc'), {}, 'revoked', 'low'],
    ['an event that is not known', 'https://example.test/event', {}, 'active', 'low'],
  ])('answers %s with 202 and its effect', async (_name, uri, payload, state, risk) => {
    const common = { event_timestamp: soundSet()['iat'], initiating_entity: 'policy', reason_admin: { en: 'because' } };
    expect(await after(uri, { ...payload, ...common })).toEqual([state, risk]);
  });

  it('lowers a risk', async () => {
    const { task } = newTask(store(), { subject: 'carol' });
    for (const level of ['HIGH', 'LOW']) {
      const events = { [eventUri('risk-level-change')]: { principal: 'USER', current_level: level } };
      await push(bench, setOf({ sub_id: issSub('carol'), events }));
      expect(taskNow(store(), task).risk).toBe(level.toLowerCase());
    }
  });

  it('raises but never lowers a risk by a signal from before a restore of the state file', async () => {
    const restored = await startBench(folder(), { signals: signalServices() });
    Object.assign(restored.store, { restoredAtMs: () => Date.now() + 60_000 });
    const { task } = newTask(restored.store, { subject: 'carol' });
    const risks: string[] = [];
    for (const level of ['MEDIUM', 'HIGH', 'MEDIUM', 'LOW']) {
      const events = { [eventUri('risk-level-change')]: { principal: 'USER', current_level: level } };
      expect((await push(restored, setOf({ sub_id: issSub('carol'), events }))).status).toBe(202);
      risks.push(taskNow(restored.store, task).risk);
    }
    expect(risks).toEqual(['medium', 'high', 'high', 'high']);
    await restored.close();
  });

  it('acknowledges the verification of a stream and records it', async () => {
    const jti = 'verification-1';
    const body = setOf({
      jti,
      sub_id: { format: 'opaque', id: 'stream-1' },
      events: { [eventUri('verification', 'ssf')]: { state: 'VGhpcyBpcw' } },
    });
    expect((await push(bench, body)).status).toBe(202);
    expect(bench.spans.at(-1)).toMatchObject({
      name: 'signal.receive',
      attributes: {
        'remit.signal.event': 'verification',
        'remit.signal.transmitter': transmitterIssuer,
        'remit.signal.tasks': 0,
        'http.response.status_code': 202,
      },
    });
  });

  it('accepts RS256, the full media type, several audiences, and additional claims', async () => {
    const { task } = newTask(store(), { subject: 'rita' });
    const claims = { sub_id: issSub('rita'), aud: ['https://other.test', receiver], txn: 'x', toe: 1, extra: true };
    const body = setOf(claims, { typ: 'application/secevent+jwt' }, rs);
    expect((await push(bench, body, { 'content-type': 'Application/SecEvent+JWT' })).status).toBe(202);
    expect(taskNow(store(), task).state).toBe('revoked');
  });

  it('records the signal and its effect in the timeline of the task, by the transmitter', async () => {
    const { task } = newTask(store(), { subject: 'dora' });
    await push(bench, setOf({ jti: 'signal-of-dora', sub_id: issSub('dora') }));
    expect(recordsOf(store(), task.id)).toMatchObject([
      {
        kind: 'event',
        event: 'signal',
        cause: 'signal.session-revoked',
        note: 'signal session-revoked',
        by: transmitterIssuer,
        details: {
          type: eventUri('session-revoked'),
          jti: 'signal-of-dora',
          subject_format: 'iss_sub',
          effect: 'revoke',
        },
      },
      { kind: 'end', state: 'revoked', cause: 'signal.session-revoked', by: transmitterIssuer },
    ]);
  });

  it('ignores a repeated token, also after a resume and after a restart', async () => {
    const at = folder();
    const first = await startBench(at, { signals: signalServices() });
    const { task } = newTask(first.store, { subject: 'eve' });
    const events = { [eventUri('token-claims-change')]: { claims: { role: 'none' } } };
    const body = setOf({ sub_id: issSub('eve'), events });
    expect((await push(first, body)).status).toBe(202);
    expect(taskNow(first.store, task).state).toBe('suspended');
    first.store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', 'fine again') }, 'operator');
    expect((await push(first, body)).status).toBe(202);
    expect(first.spans.at(-1)?.attributes).toMatchObject({ 'remit.signal.replay': true, 'remit.signal.tasks': 0 });
    expect(taskNow(first.store, task).state).toBe('active');
    await first.close();
    const second = await startBench(at, { signals: signalServices() });
    expect((await push(second, body)).status).toBe(202);
    expect(taskNow(second.store, task).state).toBe('active');
    await second.close();
  });

  it('remembers a token longer than it is accepted', async () => {
    const clock = { aheadMs: 0 };
    const later = await startBench(folder(), {
      ports: { ...systemPorts, nowMs: () => Date.now() + clock.aheadMs },
      signals: signalServices(),
    });
    const events = { [eventUri('token-claims-change')]: { claims: { role: 'none' } } };
    const body = setOf({ events });
    expect((await push(later, body)).status).toBe(202);
    clock.aheadMs = 86_390_000;
    expect((await push(later, body)).status).toBe(202);
    expect(later.spans.at(-1)?.attributes).toMatchObject({ 'remit.signal.replay': true });
    clock.aheadMs = 86_410_000;
    const answer = await push(later, body);
    expect([answer.status, answer.json['description']]).toEqual([400, 'claim `iat` is more than 86400 s ago']);
    // Stepping the clock back does not make it acceptable again.
    clock.aheadMs = 86_390_000;
    expect((await push(later, body)).status).toBe(400);
    await later.close();
  });

  it('distinguishes equal jti values of different transmitters', async () => {
    const { keys, transmitters, ...signals } = signalServices();
    const other = { issuer: 'https://b.test', audience: receiver, subjectIssuers: new Set([transmitterIssuer]) };
    const both = await startBench(folder(), {
      signals: {
        ...signals,
        transmitters: new Map([...transmitters, [other.issuer, other]]),
        keys: { keyFor: (_issuer, ...rest) => keys.keyFor(transmitterIssuer, ...rest) },
      },
    });
    const { task } = newTask(both.store, { subject: 'alice' });
    await push(both, setOf({ jti: 'one', sub_id: issSub('nobody') }));
    await push(both, setOf({ jti: 'one', iss: other.issuer }));
    expect(taskNow(both.store, task).state).toBe('revoked');
    await both.close();
  });

  it('applies a signal again after an incomplete first attempt', async () => {
    const at = folder();
    const inner = mustOpen(`${at}/state.db`, { nowMs: systemPorts.nowMs });
    let fails = true;
    const flaky = new Proxy(inner, {
      get: (target, name) => {
        if (name === 'applyTaskEvent' && fails) return () => ({ kind: 'store-failure', code: 'full', detail: 'full' });
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const full = await startBench(at, { store: flaky, signals: signalServices() });
    const { task } = newTask(inner, { subject: 'alice' });
    const body = setOf();
    const refused = await push(full, body);
    expect([refused.status, refused.headers['retry-after'], refused.json['error']]).toEqual([
      503,
      '1',
      'temporarily_unavailable',
    ]);
    expect(taskNow(inner, task).state).toBe('active');
    fails = false;
    expect((await push(full, body)).status).toBe(202);
    expect(taskNow(inner, task).state).toBe('revoked');
    await full.close();
  });

  it('applies to more tasks of a user than one page of the store', async () => {
    const many = Array.from({ length: 1_203 }, () => newTask(store(), { subject: 'mallory' }).task);
    const events = { [eventUri('risk-level-change')]: { principal: 'USER', current_level: 'HIGH' } };
    expect((await push(bench, setOf({ sub_id: issSub('mallory'), events }))).status).toBe(202);
    expect(new Set(many.map((task) => taskNow(store(), task).risk))).toEqual(new Set(['high']));
    expect(bench.spans.at(-1)?.attributes).toMatchObject({ 'remit.signal.tasks': 1_203 });
  });

  it('is 404 if no transmitter is configured', async () => {
    const none = await startBench(folder());
    expect((await push(none, setOf())).status).toBe(404);
    await none.close();
  });

  it('supports POST only', async () => {
    const answer = await bench.ask('/signals');
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST']);
  });
});

describe('the subject of a signal', () => {
  const reporter = 'spiffe://acme.test/ns/agents/sa/reporter' as SpiffeId;

  it('jwt_id is that token, and its task goes on', async () => {
    const { task, tokenId } = newTask(store());
    const sub_id = { format: 'jwt_id', iss: issuerUrl, jti: tokenId };
    await push(bench, setOf({ sub_id }));
    const token = store().tokenOf(jtiDigestOf(tokenId));
    expect(token).toMatchObject({ taskId: task.id, revokedAtMs: expect.any(Number) });
    expect(taskNow(store(), task).state).toBe('active');
    expect(recordsOf(store(), task.id)).toMatchObject([
      { event: 'signal', details: { subject_format: 'jwt_id' } },
      { event: 'token-revoked', cause: 'signal.session-revoked', by: transmitterIssuer },
    ]);
  });

  it('jwt_id is the task of that token for an effect that a token cannot have', async () => {
    const { task, tokenId } = newTask(store());
    const sub_id = { format: 'jwt_id', iss: issuerUrl, jti: tokenId };
    await push(bench, setOf({ sub_id, events: { [eventUri('token-claims-change')]: { claims: { a: 1 } } } }));
    expect(taskNow(store(), task).state).toBe('suspended');
  });

  it.each<[string, Partial<Task>, (task: Task) => Members, 'revoked' | 'active']>([
    ['opaque: the task', {}, (task) => ({ format: 'opaque', id: task.id }), 'revoked'],
    ['opaque: the user', { subject: 'u-1' }, () => ({ format: 'opaque', id: 'u-1' }), 'revoked'],
    ['opaque: another task', {}, () => ({ format: 'opaque', id: '0198c0de-0000-7000-8000-ffffffffffff' }), 'active'],
    ['uri: the agent', { agent: reporter }, () => ({ format: 'uri', uri: reporter }), 'revoked'],
    ['uri: another agent', {}, () => ({ format: 'uri', uri: 'spiffe://acme.test/ns/agents/sa/nobody' }), 'active'],
    ['uri: no SPIFFE ID', {}, () => ({ format: 'uri', uri: 'https://acme.test/alice' }), 'active'],
    ['iss_sub: the user', { subject: 'u-2' }, () => issSub('u-2'), 'revoked'],
    ['iss_sub: a user of another issuer', { subject: 'u-3' }, () => issSub('u-3', 'https://other.test'), 'active'],
    ['email: the user', { subject: 'Bob@acme.test' }, () => ({ format: 'email', email: 'Bob@acme.test' }), 'revoked'],
    [
      'email: the user in lower case',
      { subject: 'bob@acme.test' },
      () => ({ format: 'email', email: 'BOB@ACME.test' }),
      'revoked',
    ],
    ['jwt_id: of another issuer', {}, () => ({ format: 'jwt_id', iss: 'https://other.test', jti: 'x' }), 'active'],
    ['jwt_id: never issued', {}, () => ({ format: 'jwt_id', iss: issuerUrl, jti: 'x' }), 'active'],
    ['complex: user', { subject: 'u-4' }, () => ({ format: 'complex', user: issSub('u-4') }), 'revoked'],
    [
      'complex: user and task as session',
      { subject: 'u-5' },
      (task) => ({ format: 'complex', user: issSub('u-5'), session: session(task.id) }),
      'revoked',
    ],
    [
      'complex: user and a session of the context',
      { subject: 'u-6', claimed: { session: 's-6' } },
      () => ({ format: 'complex', user: issSub('u-6'), session: session('s-6') }),
      'revoked',
    ],
    [
      'complex: user and another session',
      { subject: 'u-7', claimed: { session: 's-7' } },
      () => ({ format: 'complex', user: issSub('u-7'), session: session('s-8') }),
      'active',
    ],
    [
      'complex: session and another user',
      { subject: 'u-9', claimed: { session: 's-9' } },
      () => ({ format: 'complex', user: issSub('u-0'), session: session('s-9') }),
      'active',
    ],
    [
      'complex: user and agent',
      { subject: 'u-10', agent: reporter },
      () => ({ format: 'complex', user: issSub('u-10'), application: { format: 'uri', uri: reporter } }),
      'revoked',
    ],
    [
      'complex: user and another agent',
      { subject: 'u-11' },
      () => ({ format: 'complex', user: issSub('u-11'), application: { format: 'uri', uri: reporter } }),
      'active',
    ],
    [
      'complex: device and tenant of the context',
      { claimed: { device: 'd-1', tenant: 'acme' } },
      () => ({ format: 'complex', device: session('d-1'), tenant: session('acme') }),
      'revoked',
    ],
    [
      'complex: user and a tenant the task does not name',
      { subject: 'u-12' },
      () => ({ format: 'complex', user: issSub('u-12'), tenant: session('acme') }),
      'active',
    ],
    [
      'complex: a group by email describes nothing here',
      { subject: 'g@acme.test' },
      () => ({
        format: 'complex',
        user: { format: 'email', email: 'g@acme.test' },
        group: { format: 'email', email: 'g@acme.test' },
      }),
      'active',
    ],
  ])('%s', async (_name, change, subject, state) => {
    const { task } = newTask(store(), change);
    const bystander = newTask(store(), {
      subject: 'bystander',
      claimed: { session: 'other', device: 'other' },
      agent: 'spiffe://acme.test/ns/agents/sa/bystander' as SpiffeId,
    });
    expect((await push(bench, setOf({ sub_id: subject(task) }))).status).toBe(202);
    expect(taskNow(store(), task).state).toBe(state);
    expect(taskNow(store(), bystander.task).state).toBe('active');
  });

  it('complex with the token of a session is that token, if the user is right too', async () => {
    const { task, tokenId } = newTask(store(), { subject: 'u-20' });
    const jwt = { format: 'jwt_id', iss: issuerUrl, jti: tokenId };
    await push(bench, setOf({ sub_id: { format: 'complex', user: issSub('u-21'), session: jwt } }));
    expect(store().tokenOf(jtiDigestOf(tokenId))).toMatchObject({ revokedAtMs: null });
    await push(bench, setOf({ sub_id: { format: 'complex', user: issSub('u-20'), session: jwt } }));
    expect(store().tokenOf(jtiDigestOf(tokenId))).toMatchObject({ revokedAtMs: expect.any(Number) });
    expect(taskNow(store(), task).state).toBe('active');
  });

  it('that matches nothing is acknowledged and recorded with no task', async () => {
    const seen: unknown[] = [];
    const inner = store();
    const watching = new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (name === 'appendRecords') seen.push(args[0]);
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
    const watched = await startBench(folder(), { store: watching, signals: signalServices() });
    expect((await push(watched, setOf({ sub_id: issSub('nobody') }))).status).toBe(202);
    expect(seen).toMatchObject([[{ kind: 'event', task: null }]]);
    await watched.server.close(100);
  });
});

describe('POST /signals refuses', () => {
  const revoked = eventUri('session-revoked');

  it.each<[string, Members, string, string]>([
    ['no sub_id', { sub_id: undefined }, 'invalid_request', 'claim `sub_id` is required'],
    ['sub', { sub: 'alice' }, 'invalid_request', 'claim `sub` must not be present'],
    ['exp', { exp: 9_999_999_999 }, 'invalid_request', 'claim `exp` must not be present'],
    ['no iss', { iss: undefined }, 'invalid_request', 'claim `iss` is required'],
    ['an unknown iss', { iss: 'https://evil.test' }, 'invalid_issuer', 'claim `iss` is not a configured transmitter'],
    ['no aud', { aud: undefined }, 'invalid_request', 'claim `aud` is required'],
    ['another aud', { aud: 'https://other.test' }, 'invalid_audience', 'claim `aud` does not name this receiver'],
    ['other audiences', { aud: ['https://other.test'] }, 'invalid_audience', 'claim `aud` does not name this receiver'],
    ['an empty aud', { aud: [] }, 'invalid_request', 'claim `aud` must be an array of 1 to 16 entries'],
    ['no jti', { jti: undefined }, 'invalid_request', 'claim `jti` is required'],
    ['no iat', { iat: undefined }, 'invalid_request', 'claim `iat` is required'],
    [
      'iat in milliseconds',
      { iat: Date.now() },
      'invalid_request',
      'claim `iat` must be whole seconds since the epoch',
    ],
    ['iat more than a day in the future', { iat: now() + 86_500 }, 'invalid_request', 'claim `iat` is in the future'],
    ['an old iat', { iat: now() - 86_500 }, 'invalid_request', 'claim `iat` is more than 86400 s ago'],
    ['no events', { events: undefined }, 'invalid_request', 'claim `events` is required'],
    ['an empty events', { events: {} }, 'invalid_request', 'claim `events` must have exactly one event'],
    [
      'two events',
      { events: { [revoked]: {}, 'https://x.test': {} } },
      'invalid_request',
      'claim `events` must have exactly one event',
    ],
    ['events of another form', { events: [revoked] }, 'invalid_request', 'claim `events` must be an object'],
    ['an event of another form', { events: { [revoked]: 'x' } }, 'invalid_request', 'the event must be an object'],
    [
      'event_timestamp in milliseconds',
      { events: { [revoked]: { event_timestamp: Date.now() } } },
      'invalid_request',
      'the event member `event_timestamp` must be whole seconds since the epoch',
    ],
    [
      'an unknown initiating_entity',
      { events: { [revoked]: { initiating_entity: 'ghost' } } },
      'invalid_request',
      'the event member `initiating_entity` must be one of `admin`, `user`, `policy`, `system`',
    ],
    [
      'a change of nothing known',
      { events: { [eventUri('credential-change')]: { credential_type: 'x509', change_type: 'paint' } } },
      'invalid_request',
      'the event member `change_type` must be one of `create`, `revoke`, `update`, `delete`',
    ],
    [
      'a change of no claims',
      { events: { [eventUri('token-claims-change')]: { claims: {} } } },
      'invalid_request',
      'the event member `claims` must be an object with at least one claim',
    ],
    [
      'no level of risk',
      { events: { [eventUri('risk-level-change')]: { principal: 'USER' } } },
      'invalid_request',
      'the event member `current_level` must be one of `LOW`, `MEDIUM`, `HIGH`',
    ],
    [
      'an unknown format',
      { sub_id: { format: 'phone_number', phone_number: '+12065550100' } },
      'invalid_request',
      'claim `sub_id` must have a supported `format`',
    ],
    ['no format', { sub_id: { id: 'x' } }, 'invalid_request', 'claim `sub_id` must have a supported `format`'],
    ['a sub_id of another form', { sub_id: 'alice' }, 'invalid_request', 'claim `sub_id` must be an object'],
    [
      'an unknown member of a subject',
      { sub_id: { format: 'complex', user: issSub('alice'), galaxy: { format: 'opaque', id: 'x' } } },
      'invalid_request',
      'claim `sub_id` has an unknown member `galaxy`',
    ],
    [
      'an unknown format in a subject',
      {
        sub_id: {
          format: 'complex',
          user: issSub('alice'),
          device: { format: 'ip-addresses', 'ip-addresses': ['::1'] },
        },
      },
      'invalid_request',
      'claim `sub_id` member `device` must have a supported `format`',
    ],
    [
      'a complex subject within a complex subject',
      { sub_id: { format: 'complex', user: { format: 'complex', user: issSub('alice') } } },
      'invalid_request',
      'claim `sub_id` member `user` must have a supported `format`',
    ],
    [
      'a subject of no members',
      { sub_id: { format: 'complex' } },
      'invalid_request',
      'claim `sub_id` must have at least one member',
    ],
    [
      'a simple subject with more',
      { sub_id: { ...issSub('alice'), crit: ['x'] } },
      'invalid_request',
      'claim `sub_id` has an unknown member `crit`',
    ],
    [
      'an address without a host',
      { sub_id: { format: 'email', email: 'alice' } },
      'invalid_request',
      'claim `sub_id` member `email` must be an address',
    ],
  ])('%s', async (_name, claims, err, description) => {
    expect(await refusal(setOf(claims))).toEqual([400, err, description]);
  });

  it.each<[string, () => string, string, string]>([
    ['another typ', () => setOf({}, { typ: 'JWT' }), 'invalid_request', 'header member `typ` must be `secevent+jwt`'],
    [
      'an access token',
      () => setOf({}, { typ: 'at+jwt' }),
      'invalid_request',
      'header member `typ` must be `secevent+jwt`',
    ],
    ['no typ', () => setOf({}, { typ: undefined }), 'invalid_request', 'header member `typ` must be `secevent+jwt`'],
    ['crit', () => setOf({}, { crit: ['b64'] }), 'invalid_request', 'header member `crit` must not be present'],
    [
      'a key of its own',
      () => setOf({}, { jwk: es.jwk }),
      'invalid_request',
      'header member `jwk` must not be present',
    ],
    [
      'alg none',
      () => setOf({}, { alg: 'none' }),
      'invalid_key',
      'header member `alg` is not an algorithm of the profile',
    ],
    [
      'HS256',
      () => setOf({}, { alg: 'HS256' }),
      'invalid_key',
      'header member `alg` is not an algorithm of the profile',
    ],
    [
      'an algorithm that is not allowed',
      () => setOf({}, { alg: 'Ed25519' }),
      'invalid_key',
      'header member `alg` is not permitted for its issuer',
    ],
    [
      'an unknown key',
      () => setOf({}, { kid: 'gone' }),
      'authentication_failed',
      'unknown key id: header member `kid` is not a key of its issuer',
    ],
    [
      'a signature by another key',
      () => signed(es256Key(es.keyId), header({}), sound()),
      'authentication_failed',
      'the signature does not verify with the key of its issuer',
    ],
    [
      'a signature over something else',
      () => {
        const [head = '', , signature = ''] = setOf().split('.');
        return [head, Buffer.from(sound()).toString('base64url'), signature].join('.');
      },
      'authentication_failed',
      'the signature does not verify with the key of its issuer',
    ],
    [
      'an empty signature',
      () => `${setOf().split('.').slice(0, 2).join('.')}.`,
      'authentication_failed',
      'the signature is empty',
    ],
    [
      'a duplicate name',
      () => signed(es, header({}), `{"jti":"1",${sound().slice(1)}`),
      'invalid_request',
      'payload has a duplicate member name',
    ],
    [
      'a duplicate name in the event',
      () => signed(es, header({}), sound().replace('{}', '{"initiating_entity":"user","initiating_entity":"admin"}')),
      'invalid_request',
      'payload has a duplicate member name',
    ],
    ['no JSON', () => signed(es, header({}), 'hello'), 'invalid_request', 'payload is not valid JSON'],
    ['JSON of another form', () => signed(es, header({}), '[]'), 'invalid_request', 'must be an object'],
    ['no token', () => 'hello', 'invalid_request', 'the token is not three parts of base64url'],
    ['nothing', () => '', 'invalid_request', 'the token is not three parts of base64url'],
    ['a line end', () => `${setOf()}\n`, 'invalid_request', 'the token is not three parts of base64url'],
    ['a long text', () => 'a'.repeat(20_000), 'invalid_request', 'the token is longer than 16384 bytes'],
  ])('%s', async (_name, body, err, description) => {
    expect(await refusal(body())).toEqual([400, err, description]);
  });

  it.each([['application/jwt'], ['application/json'], ['application/secevent+jwt; charset=utf-8'], ['']])(
    'the content-type `%s`',
    async (type) => {
      expect(await refusal(setOf(), type === '' ? {} : { 'content-type': type })).toEqual([
        400,
        'invalid_request',
        'the content-type must be application/secevent+jwt',
      ]);
    },
  );

  it('a body over the limit of the server without reading it', async () => {
    expect((await push(bench, 'a'.repeat(70_000), setHeaders)).status).toBe(413);
  });

  it('with 503 while the keys of the transmitter are not available', async () => {
    const answer = await push(bench, setOf({ iss: 'https://lost.test' }));
    expect([answer.status, answer.headers['retry-after'], answer.json['error']]).toEqual([
      503,
      '1',
      'temporarily_unavailable',
    ]);
  });
});

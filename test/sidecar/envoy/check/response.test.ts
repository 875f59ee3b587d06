import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { DenialForm } from '../../../../src/core/action/denial-form.ts';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { DenialFacts } from '../../../../src/core/decision/denial-facts.ts';
import { nextSteps } from '../../../../src/core/decision/next-step.ts';
import { type ReasonCode, reasons } from '../../../../src/core/decision/reasons.ts';
import type { Answer } from '../../../../src/sidecar/check/answer.ts';
import {
  checkResponseFrom,
  CREDENTIAL_HEADERS,
  OWNED_HEADERS,
  preparedDenial,
} from '../../../../src/sidecar/envoy/check/response.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { readAsEnvoy, valuesOf } from '../protos.ts';

const options = { helpUrl: 'https://remit.test/reasons' };
const id = '0198f6c1-0000-7000-8000-000000000000';
const traceId = 'ab'.repeat(16);
const allow = { kind: 'allow', policyIds: ['p'], observed: null } as const;
const answerFor = (over: Partial<Answer>): Answer => ({
  decision: allow,
  decisionId: id,
  taskId: 't-1',
  agent: 'spiffe://acme.test/planner',
  action: 'payments.read',
  resourceMetadataUrl: null,
  traceId,
  transactionToken: null,
  passing: [],
  ...over,
});
const anyPassing = fc.subarray(['authorization', 'proxy-authorization'] as const);
const codes = Object.keys(reasons) as ReasonCode[];

/** The metadata that Envoy gets with an allow. */
const metadataOf = (made: Parameters<typeof checkResponseFrom>[1]) =>
  readAsEnvoy(checkResponseFrom(answerFor({ taskId: id }), made)).dynamic_metadata?.fields;

describe('checkResponseFrom an allow', () => {
  it('is code 0 with an ok_response that sets and removes headers', () => {
    const response = readAsEnvoy(checkResponseFrom(answerFor({}), options));
    expect(response.status).toEqual({ code: 0 });
    expect(response.denied_response).toBeUndefined();
    expect(valuesOf(response.ok_response?.headers)).toEqual({
      'x-remit-decision': `allow;id="${id}";trace="${traceId}"`,
      'x-remit-task': 't-1',
      'x-remit-agent': 'spiffe://acme.test/planner',
    });
    expect(response.ok_response?.headers_to_remove).toEqual([...CREDENTIAL_HEADERS, 'txn-token']);
  });

  it('names the ledger of the decision if there are several processes', () => {
    expect(metadataOf(options)).not.toHaveProperty('ledger');
    for (const ledger of ['remit-1', 'remit-2']) {
      expect(metadataOf({ ...options, ledger })).toMatchObject({ ledger: { stringValue: ledger } });
    }
    expect(metadataOf(options)).not.toHaveProperty('ledger');
  });

  it('passes a transaction token to the upstream, replacing the header of the client', () => {
    const response = readAsEnvoy(checkResponseFrom(answerFor({ transactionToken: 'a.b.c' }), options));
    expect(valuesOf(response.ok_response?.headers)).toMatchObject({ 'txn-token': 'a.b.c' });
    expect(response.ok_response?.headers_to_remove).not.toContain('txn-token');
    expect(JSON.stringify(response.dynamic_metadata)).not.toContain('a.b.c');
  });

  it("passes the header with the upstream's own secret, and removes every other credential", () => {
    const passing = ['authorization'] as const;
    const response = readAsEnvoy(checkResponseFrom(answerFor({ passing }), options));
    expect(response.ok_response?.headers_to_remove).toEqual([
      'proxy-authorization',
      'dpop',
      'x-forwarded-client-cert',
      'txn-token',
    ]);
    expect(Object.keys(valuesOf(response.ok_response?.headers))).not.toContain('authorization');
  });

  it('throws if a required transaction token is missing', () => {
    expect(() => checkResponseFrom(answerFor({ transactionToken: 'a\r\nb' }), options)).toThrow('compact JWS');
  });

  it('has the ids as dynamic metadata', () => {
    expect(readAsEnvoy(checkResponseFrom(answerFor({}), options)).dynamic_metadata).toEqual({
      fields: {
        decision_id: { stringValue: id },
        task_id: { stringValue: 't-1' },
        trace_id: { stringValue: traceId },
      },
    });
  });

  it('has the labels too with `allowMetadata: all`', () => {
    const all = { ...options, allowMetadata: 'all' } as const;
    expect(readAsEnvoy(checkResponseFrom(answerFor({}), all)).dynamic_metadata).toEqual({
      fields: {
        decision_id: { stringValue: id },
        decision: { stringValue: 'allow' },
        task_id: { stringValue: 't-1' },
        action: { stringValue: 'payments.read' },
        trace_id: { stringValue: traceId },
        agent: { stringValue: 'spiffe://acme.test/planner' },
      },
    });
  });

  it.each([
    ['is not known', { taskId: null, agent: null }],
    ['has a line break', { taskId: 'a\r\nb: c', agent: 'a\nb' }],
    ['is empty', { taskId: '', agent: '' }],
    ['is not ASCII', { taskId: 'é', agent: 'spiffe://é' }],
    ['is too long', { taskId: 'a'.repeat(2_049), agent: 'a'.repeat(2_049) }],
  ])('removes the header of a value that %s', (_name, over) => {
    const response = readAsEnvoy(checkResponseFrom(answerFor(over), options));
    expect(Object.keys(valuesOf(response.ok_response?.headers))).toEqual(['x-remit-decision']);
    expect(response.ok_response?.headers_to_remove).toEqual([
      ...CREDENTIAL_HEADERS,
      'x-remit-task',
      'x-remit-agent',
      'txn-token',
    ]);
    expect(response.dynamic_metadata?.fields).not.toHaveProperty('task_id');
  });

  it('sets or removes each header it owns, never both', () => {
    const text = fc.option(fc.string({ unit: anyCharacter, maxLength: 20 }));
    fc.assert(
      fc.property(text, text, text, anyPassing, (taskId, agent, action, passing) => {
        const bytes = checkResponseFrom(answerFor({ taskId, agent, action, passing }), options);
        const { ok_response: ok } = readAsEnvoy(bytes);
        const set = (ok?.headers ?? []).map(({ header }) => header?.key ?? '');
        const removed = ok?.headers_to_remove ?? [];
        expect([...set, ...removed, ...passing].toSorted()).toEqual(
          [...OWNED_HEADERS, ...CREDENTIAL_HEADERS].toSorted(),
        );
      }),
    );
  });
});

describe('checkResponseFrom a repeated allow', () => {
  const uuid = fc.uuid();
  const trace = fc.string({ unit: fc.constantFrom('0', '7', 'a', 'f'), minLength: 32, maxLength: 32 });
  const placeholders = [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-7fff-bfff-ffffffffffff',
    '0123456789abcdef0123456789abcdef',
  ];
  const name = fc.oneof(fc.constantFrom('a', 'files.read', 'a\nb', 'ä', ''), fc.constantFrom(...placeholders));

  it('has the ids of its own call, and equals a response without the template', () => {
    fc.assert(
      fc.property(uuid, uuid, trace, name, name, (decisionId, taskId, traceId, agent, action) => {
        const given = answerFor({ decisionId, taskId, traceId, agent, action });
        // Unusual answers do not use the template. Here only a passing header is unusual.
        const anew = checkResponseFrom({ ...given, passing: ['authorization'] }, options);
        const [first, again] = [checkResponseFrom(given, options), checkResponseFrom(given, options)];
        expect(again).toEqual(first);
        const [read, readAnew] = [readAsEnvoy(again), readAsEnvoy(anew)];
        expect(valuesOf(read.ok_response?.headers)).toEqual(valuesOf(readAnew.ok_response?.headers));
        expect(read.dynamic_metadata).toEqual(readAnew.dynamic_metadata);
        expect(read.ok_response?.headers_to_remove).toEqual([
          'authorization',
          ...(readAnew.ok_response?.headers_to_remove ?? []),
        ]);
      }),
    );
  });
});

describe('checkResponseFrom a denial', () => {
  it.each(codes)('%s is a denial to Envoy, with its status, header and body', (code) => {
    const bytes = checkResponseFrom(answerFor({ decision: deny(code, 'the inner cause') }), options);
    const response = readAsEnvoy(bytes);
    const reason = reasons[code];
    expect(response.status).toEqual({ code: reason.grpcStatus, message: code });
    expect(response.status?.code).not.toBe(0);
    expect(response.ok_response).toBeUndefined();
    expect(response.denied_response?.status).toEqual({ code: reason.httpStatus });
    const headers = valuesOf(response.denied_response?.headers);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-remit-decision': `deny;reason=${code};id="${id}";trace="${traceId}"`,
    });
    expect('www-authenticate' in headers).toBe(reason.challenge !== null);
    expect(headers['retry-after']).toBe(reason.retryable ? '1' : undefined);
    expect(JSON.parse(response.denied_response?.body ?? '')).toEqual({
      error: expect.stringMatching(/^[a-z_]+$/),
      reason: code,
      decision: id,
      trace: traceId,
      message: `${reason.text}. ${nextSteps[reason.next]}`,
      next: reason.next,
      help: `https://remit.test/reasons#${code}`,
    });
    expect(response.dynamic_metadata?.fields).toMatchObject({
      decision: { stringValue: 'deny' },
      reason: { stringValue: code },
      decision_id: { stringValue: id },
    });
    expect(bytes.includes('inner cause')).toBe(false);
  });

  it.each([
    ['token.missing', null, 'Bearer realm="remit"'],
    ['token.missing', 'https://a.test/m', 'Bearer realm="remit", resource_metadata="https://a.test/m"'],
    ['token.expired', null, 'Bearer realm="remit", error="invalid_token", error_description="the token has expired"'],
    [
      'action.outside-intent',
      'https://a.test/"\\',
      'Bearer realm="remit", error="insufficient_scope", error_description="the action is outside the declared intent of the task", resource_metadata="https://a.test/\\"\\\\"',
    ],
    [
      'token.proof',
      null,
      'DPoP realm="remit", error="invalid_dpop_proof", error_description="the proof of possession is not valid", algs="ES256 Ed25519 RS256"',
    ],
    ['token.missing', 'https://a.test/\r\nx: y', 'Bearer realm="remit"'],
  ] as const)('challenges %s with metadata at %j', (code, resourceMetadataUrl, challenge) => {
    const answer = answerFor({ decision: deny(code, ''), resourceMetadataUrl });
    const response = readAsEnvoy(checkResponseFrom(answer, options));
    expect(valuesOf(response.denied_response?.headers)['www-authenticate']).toBe(challenge);
  });

  it.each([
    ['request.malformed', 'invalid_request'],
    ['token.missing', 'unauthorized'],
    ['token.expired', 'invalid_token'],
    ['action.outside-intent', 'insufficient_scope'],
    ['policy.forbidden', 'access_denied'],
    ['task.suspended', 'access_denied'],
    ['task.exhausted', 'access_denied'],
    ['internal', 'temporarily_unavailable'],
  ] as const)('calls %s the error %s', (code, error) => {
    const response = readAsEnvoy(checkResponseFrom(answerFor({ decision: deny(code, '') }), options));
    expect(JSON.parse(response.denied_response?.body ?? '')).toMatchObject({ error });
  });

  it('contains the bounded advice of the policy, and no link without a help URL', () => {
    const decision = deny('policy.forbidden', '', { policyIds: ['p'], advice: `ask "treasury"\n${'a'.repeat(5_000)}` });
    const response = readAsEnvoy(checkResponseFrom(answerFor({ decision }), { helpUrl: null }));
    const body: unknown = JSON.parse(response.denied_response?.body ?? '');
    expect(body).toEqual({
      error: 'access_denied',
      reason: 'policy.forbidden',
      decision: id,
      trace: traceId,
      message: expect.stringMatching(/^a policy forbids the action\. ask "treasury"\na{2033}$/),
      next: 'ask_person',
      advice: expect.stringMatching(/^ask "treasury"\na{2033}$/),
    });
  });
});

/** The body of a denial. */
const bodyOf = (over: Partial<Answer>): Record<string, unknown> =>
  JSON.parse(readAsEnvoy(checkResponseFrom(answerFor(over), { helpUrl: null })).denied_response?.body ?? '');

describe('checkResponseFrom a denial with facts', () => {
  const clientFacts: DenialFacts = {
    action: 'payments.create',
    argument: { name: 'amount', expected: 'a whole number of 0 or more' },
  };
  it.each<[string, ReasonCode, DenialFacts, string]>([
    [
      'the argument',
      'action.arguments',
      clientFacts,
      `the arguments of the action are not valid: \`amount\` must be a whole number of 0 or more. ${nextSteps.change_arguments}`,
    ],
    [
      'the budget',
      'task.exhausted',
      { budget: { limit: 3, used: 3 } },
      `the budget of the task is used up: 3 of 3 are used. ${nextSteps.ask_person}`,
    ],
    [
      'the limit',
      'limit.exceeded',
      { limit: { id: 'reads', counts: 'calls', max: 3, used: 3, ends: '2026-12-02T00:00:00Z' } },
      `a limit over all tasks is used up: 3 of 3 (calls) of \`reads\` are used until 2026-12-02T00:00:00Z. ${nextSteps.ask_person}`,
    ],
    [
      'the most similar action',
      'action.unknown',
      { nearest: 'payments.read' },
      `the action is not known: the most similar is \`payments.read\`. ${nextSteps.change_arguments}`,
    ],
    ['the action alone', 'task.suspended', { action: 'a.b' }, `the task is suspended. ${nextSteps.stop}`],
  ])('names %s in the body and in its message', (_name, code, facts, message) => {
    const body = bodyOf({ decision: deny(code, 'the inner cause'), clientFacts: facts });
    expect(body).toMatchObject({ ...facts, message, next: reasons[code].next });
  });

  it('says what is used of a limit, and that a smaller call has room', () => {
    const limit = { id: 'paid', counts: 'amount EUR', max: 100, used: 60, ends: '2026-12-02T00:00:00Z' };
    expect(bodyOf({ decision: deny('limit.exceeded', ''), clientFacts: { limit } })).toMatchObject({
      limit,
      next: 'change_arguments',
      message: `the call takes more than a limit over all tasks has: 60 of 100 (amount EUR) of \`paid\` are used until 2026-12-02T00:00:00Z. ${nextSteps.change_arguments}`,
    });
  });

  // Issue 37, point 19.
  it('says what is left of a budget, and that a smaller call has room', () => {
    const budget = { limit: 1_000, used: 500 };
    expect(bodyOf({ decision: deny('task.exhausted', ''), clientFacts: { budget } })).toMatchObject({
      budget,
      message: `the call takes more than the budget of the task has: 500 left of 1000. ${nextSteps.change_arguments}`,
      next: 'change_arguments',
    });
  });

  it('says exactly what is left of a budget of decimals', () => {
    const budget = { limit: 99_999_999_999.9999, used: 99_999_999_999.9998 };
    const { message } = bodyOf({ decision: deny('task.exhausted', ''), clientFacts: { budget } });
    expect(message).toContain(': 0.0001 left of 99999999999.9999. ');
    const tenths = { limit: 0.3, used: 0.1 };
    const { message: second } = bodyOf({ decision: deny('task.exhausted', ''), clientFacts: { budget: tenths } });
    expect(second).toContain(': 0.2 left of 0.3. ');
  });

  it('says whom to ask, if the agent cannot declare tasks itself', () => {
    const { message } = bodyOf({ decision: deny('action.outside-intent', ''), clientFacts: {} });
    expect(message).toMatch(/ Below `remit run` ask the person who started you\.$/);
  });

  it('bounds names of the catalog, and has no lone surrogate', () => {
    const long = `${'\u{1F600}'.repeat(200)}x`;
    const body = bodyOf({
      decision: deny('action.arguments', ''),
      clientFacts: { action: long, nearest: long, argument: { name: `a${long}`, expected: long } },
    });
    expect(body['action']).toBe('\u{1F600}'.repeat(128));
    expect(JSON.stringify(body)).not.toMatch(/\\ud/);
    expect(JSON.stringify(body).length).toBeLessThan(4_000);
  });
});

describe('checkResponseFrom a denial in the form of a protocol', () => {
  const decision = deny('action.outside-intent', 'not in it', { advice: 'Declare it.' });
  const clientFacts = { action: 'files.share' };
  const message = `${reasons['action.outside-intent'].text}. Declare it.`;
  const data = {
    reason: 'action.outside-intent',
    decision: id,
    trace: traceId,
    next: 'declare_again',
    action: 'files.share',
    advice: 'Declare it.',
    help: 'https://remit.test/reasons#action.outside-intent',
  };
  const responseIn = (form: DenialForm, over: Partial<Answer> = {}) =>
    readAsEnvoy(checkResponseFrom(answerFor({ decision, clientFacts, form, ...over }), options));
  const media = 'application/json' as const;

  it.each(['r-7', 7, null, '\u0000\u202e\ud800"\n'])('is a JSON-RPC error under the id %j', (requestId) => {
    const form = { kind: 'json-rpc-error', id: requestId, code: -32_010, status: 'ok', media } as const;
    const response = responseIn(form);
    expect(response.status?.code).toBe(7);
    expect(response.denied_response?.status).toEqual({ code: 200 });
    const body = response.denied_response?.body ?? '';
    expect(JSON.parse(body)).toEqual({ jsonrpc: '2.0', id: requestId, error: { code: -32_010, message, data } });
    // eslint-disable-next-line no-control-regex
    expect(body).not.toMatch(/[\u0000-\u001f]/);
    const headers = valuesOf(response.denied_response?.headers);
    expect(headers['x-remit-decision']).toContain('deny;reason=action.outside-intent');
    expect(headers['www-authenticate']).toContain('error="insufficient_scope"');
    expect(response.dynamic_metadata?.fields).toMatchObject({ decision: { stringValue: 'deny' } });
  });

  it('is a JSON-RPC error with the status of the reason', () => {
    const form = { kind: 'json-rpc-error', id: 1, code: -32_010, status: 'reason', media } as const;
    expect(responseIn(form).denied_response?.status).toEqual({ code: 403 });
  });

  it('is a single server-sent event', () => {
    const form = { kind: 'json-rpc-error', id: 1, code: -32_099, status: 'ok', media: 'text/event-stream' } as const;
    const response = responseIn(form).denied_response;
    expect(valuesOf(response?.headers)['content-type']).toBe('text/event-stream');
    const [, json = ''] = /^data: ([^\n]+)\n\n$/.exec(response?.body ?? '') ?? [];
    expect(JSON.parse(json)).toEqual({ jsonrpc: '2.0', id: 1, error: { code: -32_099, message, data } });
  });

  it('is the result of a tool that failed, whose text says reason, advice and next step', () => {
    const response = responseIn({ kind: 'tool-result', id: 'r', isError: true, media }).denied_response;
    expect(response?.status).toEqual({ code: 200 });
    const text = `Denied: ${message}\nreason: action.outside-intent, next: declare_again, action: files.share, decision: ${id}`;
    expect(JSON.parse(response?.body ?? '')).toEqual({
      jsonrpc: '2.0',
      id: 'r',
      result: {
        content: [{ type: 'text', text }],
        isError: true,
        resultType: 'complete',
        _meta: { 'remit.dev/denial': data },
      },
    });
  });

  // Issue 44, point 7: some frameworks hide a failed result from the model.
  it('is the same result of a tool that did not fail, if the server says `denials: text`', () => {
    const [failed, plain] = [true, false].map((isError) => {
      const { body = '' } = responseIn({ kind: 'tool-result', id: 'r', isError, media }).denied_response ?? {};
      return JSON.parse(body) as { readonly result: { readonly isError: boolean } };
    });
    expect(plain?.result.isError).toBe(false);
    expect({ ...plain?.result, isError: true }).toEqual(failed?.result);
  });

  it('is a `google.rpc.Status` for A2A over HTTP and JSON', () => {
    const budget = { limit: 3, used: 3 };
    const argument = { name: 'amount', expected: 'a whole number' };
    const response = responseIn(
      { kind: 'a2a-http' },
      { clientFacts: { ...clientFacts, argument, budget } },
    ).denied_response;
    expect(response?.status).toEqual({ code: 403 });
    const metadata = { ...data, argument: 'amount', expected: 'a whole number', limit: '3', used: '3' };
    expect(JSON.parse(response?.body ?? '')).toEqual({
      error: {
        code: 403,
        status: 'PERMISSION_DENIED',
        message: expect.stringMatching(/^the action is outside .*: `amount` must be a whole number\. Declare it\.$/),
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'ACTION_OUTSIDE_INTENT',
            domain: 'remit.dev',
            metadata,
          },
        ],
      },
    });
  });

  it('is no answer to a notification, and still a denial to Envoy', () => {
    const response = responseIn({ kind: 'accepted' });
    expect(response.status?.code).toBe(7);
    expect(response.denied_response?.status).toEqual({ code: 202 });
    expect(response.denied_response?.body ?? '').toBe('');
    const headers = valuesOf(response.denied_response?.headers);
    expect(headers).not.toHaveProperty('content-type');
    expect(headers['x-remit-decision']).toMatch(/^deny;/);
  });

  it.each(codes)('%s says its gRPC status, which no retry policy repeats but for a fault', (code) => {
    const response = responseIn({ kind: 'grpc' }, { decision: deny(code, '') }).denied_response;
    const status = valuesOf(response?.headers)['grpc-status'];
    const { httpStatus } = reasons[code];
    expect(status).toBe(httpStatus === 503 ? '14' : httpStatus === 401 ? '16' : '7');
  });

  it('fits the metadata that a gRPC client reads, whatever the advice is', () => {
    const advised = deny('policy.forbidden', '', { advice: '€'.repeat(2_048) });
    const { body = '' } = responseIn({ kind: 'grpc' }, { decision: advised }).denied_response ?? {};
    expect(encodeURIComponent(body).length).toBeLessThan(7_000);
    expect(JSON.parse(body)).toMatchObject({ reason: 'policy.forbidden', next: 'ask_person', action: 'files.share' });
  });
});

describe('checkResponseFrom anything', () => {
  const text = fc.option(fc.string({ unit: anyCharacter, maxLength: 40 }));
  const anyAnswer = fc.record({
    decision: fc.oneof(
      fc.constant(allow),
      fc.tuple(fc.constantFrom(...codes), text).map(([code, advice]) => deny(code, '', { policyIds: [], advice })),
    ),
    decisionId: fc.stringMatching(/^[0-9a-f-]{1,36}$/),
    taskId: text,
    agent: text,
    action: text,
    resourceMetadataUrl: text,
    traceId: text,
    transactionToken: fc.option(fc.stringMatching(/^[A-Za-z0-9_.-]{1,40}$/)),
    passing: anyPassing,
    form: fc.constantFrom<DenialForm>(
      { kind: 'grpc' },
      { kind: 'accepted' },
      { kind: 'tool-result', id: '\ud800\u0000', isError: true, media: 'application/json' },
      { kind: 'json-rpc-error', id: null, code: -1, status: 'ok', media: 'text/event-stream' },
    ),
    clientFacts: fc.record({ action: fc.string({ unit: anyCharacter }), nearest: fc.string({ unit: anyCharacter }) }),
  });

  it('is code 0 only for an allow, never empty, and safe in every header', () => {
    fc.assert(
      fc.property(anyAnswer, (answer) => {
        const bytes = checkResponseFrom(answer, options);
        expect(bytes.length).toBeGreaterThan(0);
        const response = readAsEnvoy(bytes);
        const isAllow = answer.decision.kind === 'allow';
        expect((response.status?.code ?? 0) === 0).toBe(isAllow);
        expect(response.ok_response !== undefined).toBe(isAllow);
        expect(response.denied_response !== undefined).toBe(!isAllow);
        for (const option of [...(response.ok_response?.headers ?? []), ...(response.denied_response?.headers ?? [])]) {
          expect(option.append).toEqual({ value: false });
          expect(option.append_action).toBe(2);
          expect(option.header?.value).toMatch(/^[\x20-\x7e]+$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['an empty decision', { decision: {} }],
    ['a decision of another kind', { decision: { kind: 'maybe' } }],
    ['an unknown reason', { decision: { kind: 'deny', reason: 'constructor' } }],
    ['no decision id', { decisionId: '' }],
    ['a decision id with a quote', { decisionId: 'a"b' }],
    ['a decision id with a line break', { decisionId: 'a\nb' }],
  ])('throws for %s', (_name, over) => {
    expect(() => checkResponseFrom({ ...answerFor({}), ...over } as Answer, options)).toThrow();
  });
});

describe('preparedDenial', () => {
  it.each(codes)('%s equals the built response, with the id inserted', (code) => {
    const nobody = { taskId: null, agent: null, action: null, traceId: null, transactionToken: null };
    const built = checkResponseFrom(answerFor({ decision: deny(code, ''), ...nobody }), options);
    const prepare = preparedDenial(code, options);
    expect(prepare(id).equals(built)).toBe(true);
    expect(prepare('ffffffff-ffff-7fff-8fff-ffffffffffff').equals(built)).toBe(false);
    expect(prepare(id).equals(built)).toBe(true);
  });

  it('throws for an id that is not a UUID', () => {
    expect(() => preparedDenial('internal', options)('a')).toThrow('the decision id must be a UUID');
  });
});

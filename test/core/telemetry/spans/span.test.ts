import { describe, expect, it } from '@jest/globals';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { Tracer } from '@opentelemetry/api';
import { AlwaysOnSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { ArgumentValue } from '../../../../src/core/action/arguments/argument.ts';
import type { Action } from '../../../../src/core/action/http/http.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import type { Decision, Deny } from '../../../../src/core/decision/decision.ts';
import type { DecidedCheck } from '../../../../src/core/decide/decided-check.ts';
import type { SpanSink } from '../../../../src/core/telemetry/spans/ended-span.ts';
import { UNFINISHED } from '../../../../src/authority/issuer/tracer.ts';
import { HandedSpans } from '../../../../src/core/telemetry/spans/handed-spans.ts';
import { issuerTracer } from '../../../../src/core/telemetry/issuance.ts';
import { readableSpan } from '../../../../src/core/telemetry/spans/readable-span.ts';
import { placeOfCheck } from '../../../../src/core/telemetry/spans/span.ts';
import { token } from '../../../builders/decided-call.ts';
import { taskNumber } from '../../../builders/task.ts';
import { allow, checkTrace, envoySpan, issuance, judgementOf, previousUse, traceUnderEnvoy } from '../checks.ts';

const ports = {
  nowMs: () => 1_700_000_000_003,
  monotonicMs: () => 5,
  randomBytes: (length: number): Uint8Array => new Uint8Array(length).fill(0xab),
};

const origin = {
  resource: resourceFromAttributes({}),
  scopeName: 'remit',
  limits: { count: Infinity, valueLength: Infinity },
};

/** The recorded spans, where no allow is sampled. */
function recorder(samplesAllow: SpanSink['samplesAllow'] = () => false) {
  const spans: ReadableSpan[] = [];
  const sink: SpanSink = { samplesAllow, add: (span) => spans.push(readableSpan(span, origin)) };
  return { spans, sink };
}

/** The SDK's tracer, as the issuer uses it. */
const tracerTo = (sink: SpanSink): Tracer =>
  new TracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new HandedSpans((span) => sink.add(span))],
  }).getTracer('remit');

const traced = (decision: Decision, on = checkTrace, judged = judgementOf(decision)) => {
  const { spans, sink } = recorder();
  return { place: traceUnderEnvoy({ spans: sink, ports }, judged, on), spans };
};

const statusAndType = (decision: Decision) => {
  const [span] = traced(decision).spans;
  return [span?.status.code, span?.attributes['error.type']];
};

/** Name and route of a check's span, whose action may be unknown. */
const nameOf = (decision: Decision, action?: Deny) => {
  const judged = judgementOf(decision);
  const known = action === undefined ? judged : { ...judged, facts: { ...judged.facts, action } };
  const { spans, sink } = recorder(() => true);
  traceUnderEnvoy({ spans: sink, ports }, known);
  return [spans[0]?.name, spans[0]?.attributes['http.route']];
};

/** Attributes of the span of a call that is only observed. */
const observedAttributes = (decision: Decision) => {
  const judged = { ...judgementOf(decision), mode: { id: 'legacy' } } as DecidedCheck;
  const { spans, sink } = recorder(() => true);
  traceUnderEnvoy({ spans: sink, ports }, judged);
  return spans[0]?.attributes ?? {};
};

describe('traceCheck', () => {
  it('says of an observed call what was answered, and apart what enforcing would have answered', () => {
    const passed = observedAttributes({ ...allow, observed: deny('action.unknown', 'no route') } as Decision);
    expect(passed).toMatchObject({
      'remit.decision': 'allow',
      'remit.mode': 'observe',
      'remit.mode.entry': 'legacy',
      'remit.would.decision': 'deny',
      'remit.would.reason': 'action.unknown',
      'remit.would.detail': 'no route',
    });
    expect(passed).not.toHaveProperty('remit.reason');
    expect(passed).not.toHaveProperty('error.type');
    const allowed = observedAttributes(allow);
    expect(allowed).toMatchObject({ 'remit.mode': 'observe', 'remit.would.decision': 'allow' });
    expect(allowed).not.toHaveProperty('remit.would.reason');
    const denied = observedAttributes(deny('task.revoked', 'ended'));
    expect(denied).toMatchObject({
      'remit.decision': 'deny',
      'remit.reason': 'task.revoked',
      'remit.would.reason': 'task.revoked',
    });
    const [enforced] = traced(deny('policy.forbidden', 'by `x`')).spans;
    expect(Object.keys(enforced?.attributes ?? {}).filter((name) => /^remit\.(?:mode|would)/.test(name))).toEqual([]);
  });

  it('links a use to the issuance in the token, to the previous use, and to the application', () => {
    const [span] = traced(deny('policy.forbidden', 'by `x`')).spans;
    expect(
      span?.links.map((link) => [link.attributes?.['remit.link'], link.context.traceId, link.context.spanId]),
    ).toEqual([
      ['issued_by', issuance.traceId, issuance.spanId],
      ['previous_use', previousUse.traceId, previousUse.spanId],
      ['application', '4'.repeat(32), '4'.repeat(16)],
    ]);
  });

  it("makes a child of Envoy's span, from the start of the check", () => {
    const { place, spans } = traced(deny('policy.forbidden', 'by `x`'));
    expect(spans[0]?.parentSpanContext?.spanId).toBe('3'.repeat(16));
    expect([spans[0]?.startTime, spans[0]?.endTime]).toEqual([
      [1_700_000_000, 0],
      [1_700_000_000, 3_000_000],
    ]);
    expect(place.traceId).toBe('3'.repeat(32));
  });

  it('records the decision and its policies, without the token', () => {
    const [span] = traced({ ...deny('policy.forbidden', 'by `x`'), policyIds: ['x'] }).spans;
    expect(span?.attributes).toEqual({
      'remit.decision': 'deny',
      'remit.decision.id': 'd-1',
      'remit.reason': 'policy.forbidden',
      'remit.detail': 'by `x`',
      'remit.policy.generation': 1,
      'remit.policy.ids': ['x'],
      'remit.policy.set': 'sha-256:set',
      'remit.cache': 'hit',
      'remit.credential': 'task-token',
      'remit.agent': 'spiffe://acme.test/planner',
      'remit.action': 'payments.list',
      'remit.action.kind': 'http',
      'remit.decided_on': 'request',
      'remit.task.id': 't-1',
      'remit.intent.hash': 'sha-256:intent',
      'remit.intent.trace_id': issuance.traceId,
      'remit.issued_by.span_id': issuance.spanId,
      'remit.previous_use.trace_id': previousUse.traceId,
      'remit.previous_use.span_id': previousUse.spanId,
      'remit.token.use': 2,
      'remit.token.reuse': ['other-node', 'other-trace'],
      'remit.token.reuse.class': 'other-node',
      'http.request.method': 'GET',
      'http.route': '/v1/payments',
      'url.scheme': 'https',
      'url.path': '/v1/payments',
      'server.address': 'payments.acme.test',
    });
  });

  it('cuts what the caller chose at 2,048 characters with the digest of the whole, as the record does', () => {
    const long = 'x'.repeat(60_000);
    const judged = judgementOf(deny('action.unknown', long), { method: long, tool: long });
    const call = { method: long, scheme: 'https', path: `/${long}`, host: long, port: null };
    const change = { ...judged, facts: { ...judged.facts, call: call as never } };
    const [span] = traced(deny('action.unknown', long), checkTrace, change).spans;
    const cut = Object.entries(span?.attributes ?? {}).filter(([, value]) => /^\/?x{2047}/.test(String(value)));
    expect(cut.map(([name]) => name).toSorted()).toEqual([
      'gen_ai.tool.name',
      'http.request.method',
      'mcp.method.name',
      'remit.detail',
      'server.address',
      'url.path',
    ]);
    for (const [, value] of cut) expect(value).toMatch(/^\/?x{2047,2048}… sha-256:[\w-]{43}$/);
  });

  it('says to what purpose a task is, and of a part whose it is a part of and who delegated it', () => {
    const denied = deny('policy.forbidden', '');
    const of = (change: Partial<Task>, actors: readonly string[]) => {
      const judged = judgementOf(denied);
      const credential = { ...token, subject: 'spiffe://acme.test/planner', actors };
      const facts = { ...judged.facts, credential, task: taskNumber(1, change) };
      const [span] = traced(denied, checkTrace, { ...judged, facts }).spans;
      return Object.entries(span?.attributes ?? {}).filter(([name]) => /purpose|parent_id|delegated_by/.test(name));
    };
    expect(of({ purpose: 'settle p-1', parentId: null }, ['spiffe://acme.test/agent'])).toEqual([
      ['remit.intent.purpose', 'settle p-1'],
    ]);
    const part = { purpose: 'report', parentId: 't-0' };
    // The subject itself delegated: it is in no chain of actors.
    expect(of(part, ['spiffe://acme.test/agent'])).toEqual([
      ['remit.intent.purpose', 'report'],
      ['remit.task.parent_id', 't-0'],
      ['remit.task.delegated_by', 'spiffe://acme.test/planner'],
    ]);
    expect(of(part, ['spiffe://acme.test/agent', 'spiffe://acme.test/boss'])).toContainEqual([
      'remit.task.delegated_by',
      'spiffe://acme.test/boss',
    ]);
  });

  it('has the arguments that the catalog lets be recorded if the configuration says so, and none otherwise', () => {
    const denied = deny('policy.forbidden', '');
    const judged = judgementOf(denied);
    const args = new Map<string, ArgumentValue>([
      ['id', 'p-77'],
      ['amount', { decimal: '12.50' }],
      ['count', 3],
      ['tags', ['a', 'b']],
      ['note', 'x'.repeat(300)],
      ['password', 'hunter2hunter2'],
      ['unmarked', 'u'],
    ]);
    const names = ['id', 'amount', 'count', 'tags', 'note', 'password', 'absent'];
    const recorded = new Map(names.map((name) => [name, []]));
    const action = { ...(judged.facts.action as Action), args, recorded };
    const shown = (spanArguments: (() => boolean) | undefined) => {
      const { spans, sink } = recorder();
      const tracing = { spans: sink, ports, ...(spanArguments === undefined ? {} : { spanArguments }) };
      traceUnderEnvoy(tracing, { ...judged, facts: { ...judged.facts, action } });
      return Object.entries(spans[0]?.attributes ?? {}).filter(([name]) => name.startsWith('remit.argument'));
    };
    expect(shown(undefined)).toEqual([]);
    expect(shown(() => false)).toEqual([]);
    expect(shown(() => true)).toEqual([
      ['remit.argument.id', 'p-77'],
      ['remit.argument.amount', '12.50'],
      ['remit.argument.count', 3],
      ['remit.argument.tags', ['a', 'b']],
      ['remit.argument.note', expect.stringMatching(/^sha-256:[\w-]{43}$/)],
      ['remit.argument.password', 'withheld'],
    ]);
  });

  it('records what a refused caller presented, and names no agent', () => {
    const refused = deny('identity.untrusted-domain', '');
    const judged = judgementOf(refused);
    const refusedCaller = { id: 'spiffe://evil.test/planner', address: '10.0.0.7' };
    const [span] = traced(refused, checkTrace, {
      ...judged,
      facts: { ...judged.facts, caller: refused, refusedCaller },
    }).spans;
    expect(span?.attributes).toMatchObject({
      'remit.refused_caller.id': 'spiffe://evil.test/planner',
      'remit.refused_caller.address': '10.0.0.7',
    });
    expect(span?.attributes).not.toHaveProperty(['remit.agent']);
  });

  it('records a denial whatever the sampling flag, and leaves an allow to the sampler', () => {
    expect(traced(deny('token.expired', '')).spans).toHaveLength(1);
    expect(traced(allow).spans).toHaveLength(0);
    const asked: unknown[] = [];
    const { spans, sink } = recorder((traceId, parent) => asked.push([traceId, parent?.traceFlags]) > 0);
    traceUnderEnvoy({ spans: sink, ports }, judgementOf(allow));
    expect([spans.length, asked]).toEqual([1, [['3'.repeat(32), 0]]]);
  });

  it('marks a fault of Remit as an error, but not a denial by policy', () => {
    expect(statusAndType(deny('policy.error', ''))).toEqual([2, 'policy.error']);
    expect(statusAndType(deny('policy.forbidden', ''))).toEqual([0, undefined]);
  });

  it('names the tool and the method of an MCP call', () => {
    const denied = deny('policy.forbidden', '');
    const called = (mcp: { readonly method: string; readonly tool: string | null }) => {
      const [span] = traced(denied, checkTrace, judgementOf(denied, mcp)).spans;
      return Object.entries(span?.attributes ?? {}).filter(([name]) => /^(mcp|gen_ai)\./.test(name));
    };
    expect(called({ method: 'tools/call', tool: 'create_ticket' })).toEqual([
      ['mcp.method.name', 'tools/call'],
      ['gen_ai.operation.name', 'execute_tool'],
      ['gen_ai.tool.name', 'create_ticket'],
    ]);
    expect(called({ method: 'tools/list', tool: null })).toEqual([['mcp.method.name', 'tools/list']]);
  });

  it('has microseconds, and its duration by the monotonic clock', () => {
    const { spans, sink } = recorder();
    const exact = { ...ports, exactMs: () => 1_700_000_000_003.25, monotonicMs: () => 2.5 };
    traceUnderEnvoy({ spans: sink, ports: exact }, judgementOf(deny('policy.forbidden', '')));
    expect([spans[0]?.startTime, spans[0]?.duration]).toEqual([
      [1_700_000_000, 2_750_000],
      [0, 500_000],
    ]);
  });

  it('is named by decision and action, or by the decision alone without an action', () => {
    const unknown = deny('action.unknown', 'no entry');
    expect(nameOf(allow)).toEqual(['allow payments.list', '/v1/payments']);
    expect(nameOf(deny('policy.forbidden', ''))).toEqual(['deny payments.list', '/v1/payments']);
    expect(nameOf(unknown, unknown)).toEqual(['deny', undefined]);
  });

  it('gives a use its ids if tracing is off', () => {
    expect(placeOfCheck({ ports }, null)).toEqual({ traceId: 'ab'.repeat(16), spanId: 'ab'.repeat(8), parent: null });
    const child = traceUnderEnvoy({ spans: null, ports }, judgementOf(deny('token.expired', '')));
    expect(child).toEqual(placeOfCheck({ ports }, envoySpan));
    expect(child).toMatchObject({ traceId: '3'.repeat(32), spanId: 'ab'.repeat(8) });
  });
});

describe('issuerTracer', () => {
  it('gives the ids of a span before it ends, and ends it with its last attributes', () => {
    const { spans, sink } = recorder();
    let monotonicMs = 5;
    const tracer = issuerTracer({ tracer: tracerTo(sink), ports: { ...ports, monotonicMs: () => monotonicMs } });
    const span = tracer.start('token.issue', { a: 1, b: 1 }, envoySpan);
    expect(span.traceId).toBe('3'.repeat(32));
    monotonicMs = 7.25;
    span.end({ b: 2 });
    expect(spans[0]?.attributes).toEqual({ a: 1, b: 2 });
    expect(spans[0]?.duration).toEqual([0, 2_250_000]);
  });

  it.each<[string, string | undefined, string, number]>([
    ['what was done', undefined, 'task.end', 0],
    ['what was refused', 'task_ended', 'deny task.end', 0],
    ['a fault of Remit', 'temporarily_unavailable', 'deny task.end', 2],
    ['what did not finish', UNFINISHED['error.type'], 'deny task.end', 2],
  ])('names the span of %s', (_what, error, name, status) => {
    const { spans, sink } = recorder();
    const span = issuerTracer({ tracer: tracerTo(sink), ports }).start('task.end', {}, null);
    span.end(error === undefined ? {} : { 'error.type': error });
    expect([spans[0]?.name, spans[0]?.status.code]).toEqual([name, status]);
  });

  it('gives a span its ids if tracing is off', () => {
    const span = issuerTracer({ tracer: null, ports }).start('task.end', {}, null);
    expect(span).toMatchObject({ traceId: 'ab'.repeat(16), spanId: 'ab'.repeat(8) });
    expect(() => span.end({})).not.toThrow();
  });
});

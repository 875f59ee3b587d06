import { describe, expect, it } from '@jest/globals';
import { AlwaysOffSampler, InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { trace } from '@opentelemetry/api';
import { deny } from '../../src/decision/decision.ts';
import type { Decision } from '../../src/decision/decision.ts';
import type { Judgement } from '../../src/judgement.ts';
import { issuerTracer } from '../../src/telemetry/issuance.ts';
import { alwaysRecordingDenials } from '../../src/telemetry/sampler.ts';
import { spanContextFrom, traceCheck } from '../../src/telemetry/span.ts';

const issuance = { traceId: '1'.repeat(32), spanId: '1'.repeat(16) };
const previousUse = { traceId: '2'.repeat(32), spanId: '2'.repeat(16) };
const parent = `00-${'3'.repeat(32)}-${'3'.repeat(16)}-00`;
const application = `00-${'4'.repeat(32)}-${'4'.repeat(16)}-01`;
const allow: Decision = { ...deny('internal', ''), kind: 'allow' as never };

const judgement = (decision: Decision): Judgement =>
  ({
    decisionId: 'd-1',
    decision,
    policySet: 'sha-256:set',
    policyGeneration: 1,
    cache: 'hit',
    facts: {
      call: { method: 'GET', scheme: 'https', path: '/v1/payments', host: 'payments.acme.test', port: null },
      caller: { id: 'spiffe://acme.test/planner' },
      credential: {
        kind: 'task-token',
        taskId: 't-1',
        intentHash: 'sha-256:intent',
        issuance,
        tokenId: 'a-secret-jti',
        digest: 'digest',
      },
      action: { id: 'payments.list', kind: 'http', isDecidedOnHeaders: false, endpoint: 'GET /v1/payments' },
      task: undefined,
      use: 2,
      reuse: ['other-node', 'other-trace'],
      nowMs: 0,
    },
  }) as unknown as Judgement;

const on = { parent, application, previousUse, startedAtMs: 1_700_000_000_000 };
const zeros = (length: number): Uint8Array => new Uint8Array(length).fill(0xab);

const traced = (
  decision: Decision,
  where: typeof on | (typeof on & { parent: null }) = on,
  judged = judgement(decision),
) => {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    sampler: alwaysRecordingDenials(new AlwaysOffSampler()),
  });
  const place = traceCheck({ tracer: provider.getTracer('test'), randomBytes: zeros }, judged, where);
  return { place, spans: exporter.getFinishedSpans() };
};

const statusAndType = (decision: Decision) => {
  const [span] = traced(decision).spans;
  return [span?.status.code, span?.attributes['error.type']];
};

describe('traceCheck', () => {
  it('links a use to the issuance in the token, to the use before, and to the application', () => {
    const [span] = traced(deny('policy.forbidden', 'by `x`')).spans;
    expect(
      span?.links.map((link) => [link.attributes?.['remit.link'], link.context.traceId, link.context.spanId]),
    ).toEqual([
      ['issued_by', issuance.traceId, issuance.spanId],
      ['previous_use', previousUse.traceId, previousUse.spanId],
      ['application', '4'.repeat(32), '4'.repeat(16)],
    ]);
  });

  it('is a child of the span of Envoy, from the start of the check', () => {
    const { place, spans } = traced(deny('policy.forbidden', 'by `x`'));
    expect(spans[0]?.parentSpanContext?.spanId).toBe('3'.repeat(16));
    expect(spans[0]?.startTime).toEqual([1_700_000_000, 0]);
    expect(place.traceId).toBe('3'.repeat(32));
  });

  it('says what was decided and by what, without the token', () => {
    const [span] = traced({ ...deny('policy.forbidden', 'by `x`'), policyIds: ['x'] }).spans;
    expect(span?.attributes).toEqual({
      'remit.decision': 'deny',
      'remit.decision.id': 'd-1',
      'remit.reason': 'policy.forbidden',
      'remit.detail': 'by `x`',
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
      'remit.token.use': 2,
      'remit.token.reuse': ['other-node', 'other-trace'],
      'remit.token.reuse.class': 'other-node',
      'http.request.method': 'GET',
      'http.route': 'GET /v1/payments',
      'url.scheme': 'https',
      'url.path': '/v1/payments',
      'server.address': 'payments.acme.test',
    });
  });

  it('records a denial although the caller asked not to sample, and leaves an allow to the sampler', () => {
    expect(traced(deny('token.expired', '')).spans).toHaveLength(1);
    expect(traced(allow).spans).toHaveLength(0);
  });

  it('marks a fault of ours as an error, and a denial by policy as none', () => {
    expect(statusAndType(deny('policy.error', ''))).toEqual([2, 'policy.error']);
    expect(statusAndType(deny('policy.forbidden', ''))).toEqual([0, undefined]);
  });

  it('names the tool and the method of an MCP call', () => {
    const known = judgement(deny('policy.forbidden', ''));
    const called = (mcp: object) => {
      const action = { ...known.facts.action, mcp };
      const [span] = traced(known.decision, on, { ...known, facts: { ...known.facts, action } } as Judgement).spans;
      return Object.entries(span?.attributes ?? {}).filter(([name]) => /^(mcp|gen_ai)\./.test(name));
    };
    expect(called({ method: 'tools/call', tool: 'create_ticket' })).toEqual([
      ['mcp.method.name', 'tools/call'],
      ['gen_ai.operation.name', 'execute_tool'],
      ['gen_ai.tool.name', 'create_ticket'],
    ]);
    expect(called({ method: 'tools/list', tool: null })).toEqual([['mcp.method.name', 'tools/list']]);
  });

  it('gives a use a place of its own where tracing is off', () => {
    const tracer = trace.getTracer('nobody registered a provider');
    const place = traceCheck({ tracer, randomBytes: zeros }, judgement(allow), { ...on, parent: null });
    expect(place).toEqual({ traceId: 'ab'.repeat(16), spanId: 'ab'.repeat(8) });
    const child = traceCheck({ tracer, randomBytes: zeros }, judgement(allow), on);
    expect(child).toEqual({ traceId: '3'.repeat(32), spanId: 'ab'.repeat(8) });
  });
});

describe('issuerTracer', () => {
  it('knows the place of a span before it ends, and ends it with its last attributes', () => {
    const exporter = new InMemorySpanExporter();
    const provider = new TracerProvider({
      spanProcessors: [new SimpleSpanProcessor({ exporter })],
      sampler: alwaysRecordingDenials(new AlwaysOffSampler()),
    });
    const tracer = issuerTracer({ tracer: provider.getTracer('test'), randomBytes: zeros });
    const span = tracer.start('token.issue', { a: 1 }, parent);
    expect(span.traceId).toBe('3'.repeat(32));
    span.end({ b: 2 });
    expect(exporter.getFinishedSpans()[0]?.attributes).toEqual({ a: 1, b: 2 });
  });
});

describe('spanContextFrom', () => {
  it.each([
    ['nothing', null],
    ['an empty text', ''],
    ['another version', `01-${'1'.repeat(32)}-${'1'.repeat(16)}-01`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`],
    ['a span of zeros', `00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['upper case', `00-${'A'.repeat(32)}-${'1'.repeat(16)}-01`],
    ['something behind it', `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01-x`],
  ])('refuses %s', (_name, text) => {
    expect(spanContextFrom(text)).toBeNull();
  });
});

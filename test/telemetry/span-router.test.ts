import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { AlwaysOffSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import { alwaysRecordingDenials } from '../../src/telemetry/sampler.ts';
import { SpanRouter } from '../../src/telemetry/span-router.ts';
import type { QueueSettings } from '../../src/telemetry/span-queue.ts';
import { after } from '../../src/timers.ts';
import { Collector } from './collector.ts';

let collector: Collector;
let close: () => Promise<unknown> = () => Promise.resolve();
beforeEach(async () => {
  collector = await Collector.start();
});
afterEach(async () => {
  await close();
  await collector.close();
});

/** Checks traced through a router to the collector, with a small queue. */
function routed(changed: Partial<QueueSettings> = {}, timeoutMillis = 300) {
  const dropped: (readonly [string, number, string])[] = [];
  const router = new SpanRouter(new OTLPTraceExporter({ url: `${collector.url}/v1/traces`, timeoutMillis }), {
    settings: { maxSpans: 100, batchSpans: 16, delayMs: 20, timeoutMs: 5000, ...changed },
    after,
    onDropped: (queue, count, cause) => dropped.push([queue, count, cause]),
  });
  close = async () => router.abandon();
  const provider = new TracerProvider({ spanProcessors: [router] });
  const tracer = provider.getTracer('test');
  const check = (decision: 'allow' | 'deny', count = 1): void => {
    for (let n = 0; n < count; n += 1) {
      tracer.startSpan('remit.check', { attributes: { 'remit.decision': decision, n } }).end();
    }
  };
  const sum = (queue: string, cause: string): number =>
    dropped.filter(([name, , why]) => name === queue && why === cause).reduce((all, [, count]) => all + count, 0);
  return { router, tracer, check, sum, dropped };
}

const received = (decision: string | undefined): number =>
  // A batch whose answer was late is sent again: a span counts once.
  new Set(
    collector.spans.filter((span) => span.attributes.get('remit.decision') === decision).map(({ spanId }) => spanId),
  ).size;

async function until(isTrue: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error('not within 20 s');
    await new Promise((done) => setTimeout(done, 10));
  }
}

describe('SpanRouter', () => {
  it('sends everything at shutdown, more batches than an exporter takes at a time', async () => {
    const { router, check, dropped } = routed({ maxSpans: 1000, delayMs: 60_000 });
    check('allow', 900);
    check('deny', 900);
    await router.shutdown();
    expect([received('allow'), received('deny'), dropped]).toEqual([900, 900, []]);
    expect(Math.max(...collector.batches)).toBe(16);
  });

  it('keeps denials, issuance and ends while a stalled collector lets allows pile up', async () => {
    const { router, tracer, check, sum } = routed();
    collector.behaviour = 'stalls';
    check('allow', 5000);
    check('deny', 40);
    for (const name of ['token.issue', 'task.end'])
      tracer.startSpan(name, { attributes: { 'remit.decision': 'allow' } }).end();
    check('allow', 5000);
    expect([sum('allows', 'full'), sum('denials', 'full')]).toEqual([9900, 0]);
    await until(() => collector.batches.length >= 2);
    collector.behaviour = 'takes';
    await router.forceFlush();
    expect(received('deny')).toBe(40);
    expect(collector.spans.map((span) => span.name).filter((name) => name !== 'remit.check')).toEqual([
      'token.issue',
      'task.end',
    ]);
    expect(received('allow')).toBe(100 + 2);
  });

  it('drops what is new at the bound of a queue, and counts it', async () => {
    const { router, check, sum } = routed({ delayMs: 60_000, batchSpans: 100 });
    collector.behaviour = 'stalls';
    check('deny', 150);
    check('allow', 99);
    expect([sum('denials', 'full'), sum('allows', 'full')]).toEqual([50, 0]);
    router.abandon();
    expect([sum('denials', 'closed'), sum('allows', 'closed')]).toEqual([100, 99]);
    check('deny');
    expect(sum('denials', 'closed')).toBe(101);
  });

  it('never exports in the turn of the check', async () => {
    let exports = 0;
    const router = new SpanRouter(
      {
        export: (_spans, done) => {
          exports += 1;
          done({ code: 0 });
        },
        shutdown: () => Promise.resolve(),
      },
      { settings: { maxSpans: 100, batchSpans: 2, delayMs: 20, timeoutMs: 100 }, after, onDropped: () => undefined },
    );
    const tracer = new TracerProvider({ spanProcessors: [router] }).getTracer('test');
    for (let n = 0; n < 50; n += 1) tracer.startSpan('remit.check').end();
    await Promise.resolve();
    expect(exports).toBe(0);
    await router.shutdown();
    expect(exports).toBe(25);
  });

  it('waits for a collector that is not there yet, and loses nothing', async () => {
    const { router, check, dropped } = routed({ maxSpans: 1000 });
    const { port } = new URL(collector.url);
    await collector.close();
    check('deny', 40);
    await new Promise((done) => setTimeout(done, 200));
    collector = await Collector.start(Number(port));
    await router.forceFlush();
    expect([received('deny'), dropped]).toEqual([40, []]);
  });

  it('sends again what a busy collector did not take', async () => {
    const { router, check, dropped } = routed();
    collector.behaviour = 'is-busy';
    check('deny', 40);
    await until(() => collector.batches.length >= 2);
    collector.behaviour = 'takes';
    await router.forceFlush();
    expect([received('deny'), dropped]).toEqual([40, []]);
  });

  it('sends once what a collector refuses for good, and counts it', async () => {
    const { router, check, sum } = routed();
    collector.behaviour = 'refuses';
    check('deny', 40);
    await router.forceFlush();
    expect(collector.batches).toEqual([16, 16, 8]);
    expect(sum('denials', 'failed')).toBe(40);
  });

  it('is done with everything although the collector is slow', async () => {
    const { router, check, dropped } = routed({ maxSpans: 1000 }, 5000);
    collector.behaviour = { answersAfterMs: 50 };
    check('allow', 300);
    check('deny', 300);
    await router.shutdown();
    expect([received('allow'), received('deny'), dropped]).toEqual([300, 300, []]);
  });

  it('takes no span that was not sampled', async () => {
    const { router } = routed();
    const tracer = new TracerProvider({
      spanProcessors: [router],
      sampler: alwaysRecordingDenials(new AlwaysOffSampler()),
    }).getTracer('test');
    const span = tracer.startSpan('remit.check', { attributes: { 'remit.decision': 'allow' } });
    expect(span.spanContext().traceFlags & TraceFlags.SAMPLED).toBe(0);
    span.end();
    tracer.startSpan('remit.check', { attributes: { 'remit.decision': 'deny' } }).end();
    await router.shutdown();
    expect(collector.spans).toHaveLength(1);
  });
});

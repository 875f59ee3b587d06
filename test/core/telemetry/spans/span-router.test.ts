import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { defaultResource } from '@opentelemetry/resources';
import type { Protocol } from '../../../../src/core/telemetry/destinations.ts';
import type { SpanAttributeValue, EndedSpan } from '../../../../src/core/telemetry/spans/ended-span.ts';
import { spanExportersTo } from '../../../../src/core/telemetry/spans/span-exporters.ts';
import type { SpanBatch } from '../../../../src/core/telemetry/spans/span-exporter.ts';
import type { QueueSettings } from '../../../../src/core/telemetry/spans/span-queue.ts';
import { SpanRouter } from '../../../../src/core/telemetry/spans/span-router.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { until } from '../../../until.ts';
import { Collector } from '../collector.ts';
import { endedSpan } from '../ended-spans.ts';

const origin = { resource: defaultResource(), scopeName: 'remit', limits: { count: Infinity, valueLength: Infinity } };

let collector: Collector;
let close: () => Promise<unknown> = () => Promise.resolve();
beforeEach(async () => {
  collector = await Collector.start();
});
afterEach(async () => {
  await close();
  await collector.close();
  for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
});

const span = (name: string, attributes: Readonly<Record<string, SpanAttributeValue>>, spanId: number): EndedSpan =>
  endedSpan(attributes, {
    name,
    spanId: spanId.toString(16).padStart(16, '0'),
    isAllowedCheck: name.startsWith('allow ') && attributes['remit.decision'] === 'allow',
  });

/** Traces checks through a router to the collector by one protocol, with a small queue. */
function routedBy(protocol: Protocol, changed: Partial<QueueSettings>, timeoutMs: number) {
  // Exporters read the environment of the process.
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
  process.env['OTEL_EXPORTER_OTLP_TIMEOUT'] = String(timeoutMs);
  const [exporter] = spanExportersTo({ otlp: protocol, isConsole: false, text: '' }, origin);
  if (exporter === undefined) throw new Error('no exporter');
  const dropped: (readonly [string, number, string])[] = [];
  const router = new SpanRouter(exporter, {
    settings: { maxSpans: 100, maxBytes: 1e6, batchSpans: 16, delayMs: 20, timeoutMs: 5000, ...changed },
    after,
    onDropped: (queue, count, cause) => dropped.push([queue, count, cause]),
  });
  close = async () => router.abandon();
  let made = 0;
  const end = (name: string, attributes: Readonly<Record<string, SpanAttributeValue>>): void => {
    made += 1;
    router.add(span(name, attributes, made));
  };
  const check = (decision: 'allow' | 'deny', count = 1): void => {
    for (let n = 0; n < count; n += 1) end(`${decision} payments.list`, { 'remit.decision': decision, n });
  };
  const sum = (queue: string, cause: string): number =>
    dropped.filter(([name, , why]) => name === queue && why === cause).reduce((all, [, count]) => all + count, 0);
  return { router, end, check, sum, dropped };
}

const received = (decision: string | undefined): number =>
  // A batch whose answer was late is sent again; each span counts once.
  new Set(
    collector.spans.filter((span) => span.attributes.get('remit.decision') === decision).map(({ spanId }) => spanId),
  ).size;

describe.each<Protocol>(['http/protobuf', 'http/json'])('SpanRouter, over %s', (protocol) => {
  const routed = (changed: Partial<QueueSettings> = {}, timeoutMs = 300) => routedBy(protocol, changed, timeoutMs);

  it('sends everything at shutdown, even more batches than an exporter accepts at a time', async () => {
    const { router, check, dropped } = routed({ maxSpans: 1000, delayMs: 60_000, timeoutMs: 60_000 }, 60_000);
    check('allow', 900);
    check('deny', 900);
    await router.shutdown();
    expect([received('allow'), received('deny'), dropped]).toEqual([900, 900, []]);
    expect(Math.max(...collector.batches)).toBeLessThanOrEqual(16);
  });

  it('keeps denials, issuance and ends while a stalled collector lets allows pile up', async () => {
    const { router, end, check, sum } = routed();
    collector.behaviour = 'stalls';
    check('allow', 5000);
    check('deny', 40);
    for (const name of ['token.issue', 'task.end']) end(name, { 'remit.decision': 'allow' });
    check('allow', 5000);
    expect([sum('allows', 'full'), sum('denials', 'full')]).toEqual([9900, 0]);
    await until(() => collector.batches.length >= 2);
    collector.behaviour = 'takes';
    await router.flush();
    expect(received('deny')).toBe(40);
    expect(collector.spans.map((span) => span.name).filter((name) => !name.endsWith('payments.list'))).toEqual([
      'token.issue',
      'task.end',
    ]);
    expect(received('allow')).toBe(100 + 2);
  });

  it('drops and counts new spans when a queue is full', async () => {
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

  it('makes few requests: spans that arrive during a request wait for a full batch or their delay', async () => {
    const { check } = routed({ delayMs: 4000 });
    collector.behaviour = { answersAfterMs: 20 };
    check('allow', 16);
    for (let n = 0; n < 20; n += 1) {
      check('allow');
      await new Promise((done) => setTimeout(done, 5));
    }
    await until(() => received('allow') === 36);
    // For 21 additions.
    expect(collector.batches.length).toBeLessThan(10);
  });

  it('waits for a collector that is not running yet, and loses nothing', async () => {
    const { router, check, dropped } = routed({ maxSpans: 1000 });
    const { port } = new URL(collector.url);
    await collector.close();
    check('deny', 40);
    await new Promise((done) => setTimeout(done, 200));
    collector = await Collector.start(Number(port));
    await router.flush();
    expect([received('deny'), dropped]).toEqual([40, []]);
  });

  it('retries a batch that a busy collector refused', async () => {
    const { router, check, dropped } = routed();
    collector.behaviour = 'is-busy';
    check('deny', 40);
    await until(() => collector.batches.length >= 2);
    collector.behaviour = 'takes';
    await router.flush();
    expect([received('deny'), dropped]).toEqual([40, []]);
  });

  it('does not retry a batch that a collector rejects, and counts it', async () => {
    const { router, check, sum } = routed();
    collector.behaviour = 'refuses';
    check('deny', 40);
    await router.flush();
    expect(sumOf(collector.batches)).toBe(40);
    expect(sum('denials', 'failed')).toBe(40);
  });

  it('sends everything although the collector is slow', async () => {
    const { router, check, dropped } = routed({ maxSpans: 1000, timeoutMs: 60_000 }, 60_000);
    collector.behaviour = { answersAfterMs: 50 };
    check('allow', 300);
    check('deny', 300);
    await router.shutdown();
    expect([received('allow'), received('deny'), dropped]).toEqual([300, 300, []]);
  });
});

/** Accepts and records everything; each span takes `spanBytes`. */
const counting = (spanBytes = 0) => {
  const batches: number[] = [];
  const newBatch = (): SpanBatch => {
    let size = 0;
    return {
      get size() {
        return size;
      },
      get bytes() {
        return size * spanBytes;
      },
      add: () => (size += 1),
      send: () => {
        batches.push(size);
        return Promise.resolve('taken');
      },
      release: () => {},
    };
  };
  return { batches, exporter: { newBatch, shutdown: () => Promise.resolve() } };
};

const sumOf = (batches: readonly number[]): number => batches.reduce((sum, spans) => sum + spans, 0);

describe('SpanRouter', () => {
  const settings = { maxSpans: 100, maxBytes: 1e9, batchSpans: 20, delayMs: 20, timeoutMs: 100 };
  const allow = span('allow payments.list', { 'remit.decision': 'allow' }, 1);

  it('never exports in the turn of the check', async () => {
    const { batches, exporter } = counting();
    const router = new SpanRouter(exporter, { settings, after, onDropped: () => undefined });
    for (let n = 0; n < 50; n += 1) router.add(allow);
    await Promise.resolve();
    expect(batches).toEqual([]);
    await router.shutdown();
    expect([Math.max(...batches) <= settings.batchSpans, sumOf(batches)]).toEqual([true, 50]);
  });

  it('begins another batch if a batch reaches the size that a collector accepts', async () => {
    const { batches, exporter } = counting(1024 * 128);
    const router = new SpanRouter(exporter, { settings, after, onDropped: () => undefined });
    for (let n = 0; n < 20; n += 1) router.add(allow);
    await router.shutdown();
    expect([batches.length > 1, sumOf(batches)]).toEqual([true, 20]);
  });

  it('drops new spans if large spans use up all bytes, and has room again once they are sent', async () => {
    const { batches, exporter } = counting(1000);
    const dropped: (readonly [string, number, string])[] = [];
    const router = new SpanRouter(exporter, {
      settings: { ...settings, maxBytes: 10_000 },
      after,
      onDropped: (queue, count, cause) => dropped.push([queue, count, cause]),
    });
    for (let n = 0; n < 12; n += 1) router.add(allow);
    expect(dropped).toEqual([
      ['allows', 1, 'full'],
      ['allows', 1, 'full'],
    ]);
    await router.flush();
    for (let n = 0; n < 10; n += 1) router.add(allow);
    await router.shutdown();
    expect([sumOf(batches), dropped.length]).toEqual([20, 2]);
  });

  it('drops what cannot be sent', async () => {
    const { exporter } = counting();
    const dropped: (readonly [string, number, string])[] = [];
    const failing = { ...exporter.newBatch(), size: 1, bytes: 1, send: () => Promise.reject(new Error('a bug')) };
    const router = new SpanRouter(
      { ...exporter, newBatch: () => failing },
      { settings, after, onDropped: (queue, count, cause) => dropped.push([queue, count, cause]) },
    );
    router.add(allow);
    await router.flush();
    expect(dropped).toEqual([['allows', 1, 'failed']]);
  });
});

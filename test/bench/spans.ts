import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Attributes, Link } from '@opentelemetry/api';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import {
  defaultResource,
  detectResources,
  envDetector,
  hostDetector,
  osDetector,
  processDetector,
} from '@opentelemetry/resources';
import { AlwaysOnSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { bytesExporter } from '../../src/core/telemetry/spans/bytes-exporter.ts';
import { tellCheck, tellPreviousUse } from '../../src/core/telemetry/spans/check-attributes.ts';
import type { EndedSpan, Tell } from '../../src/core/telemetry/spans/ended-span.ts';
import type { SpanOrigin } from '../../src/core/telemetry/spans/span-origin.ts';
import { spanContextFrom } from '../../src/core/telemetry/spans/trace-context.ts';
import type { SpanReference } from '../../src/core/token/claims.ts';
import {
  allow,
  checkTrace,
  envoySpan,
  issuance,
  judgementOf,
  previousUse,
  traceUnderEnvoy,
} from '../core/telemetry/checks.ts';

/**
 * What the span of an allowed check costs the main thread, up to the bytes of a request: by OpenTelemetry's own SDK and
 * serializer in batches of 128, and as in use in batches of 512; and a place without a span, which is in both. The contenders
 * take turns in one run; medians count. Processor time is that of the thread. What is kept is what a span that waits for its
 * batch to be sent holds on the heap and outside it.
 * `node --expose-gc test/bench/spans.ts`
 */
const ROUNDS = 25;
const BATCHES = 8;

interface Contender {
  readonly name: string;
  readonly batchSpans: number;
  /** Makes the span of a check, which then waits. */
  readonly check: () => unknown;
  /** Makes a request of the waiting spans. */
  readonly send: () => unknown;
}

interface Cost {
  readonly us: number;
  readonly allocated: number;
  readonly kept: number;
}

const found = { detectors: [envDetector, hostDetector, osDetector, processDetector] };
const resource = defaultResource().merge(detectResources(found));
await resource.waitForAsyncAttributes?.();
const origin: SpanOrigin = { resource, scopeName: 'remit', limits: { count: Infinity, valueLength: Infinity } };
const judgement = judgementOf(allow);

function viaSdk(): Contender {
  let waiting: ReadableSpan[] = [];
  const collect = {
    onStart: () => {},
    onEnd: (span: ReadableSpan) => void waiting.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const provider = new TracerProvider({ resource, sampler: new AlwaysOnSampler(), spanProcessors: [collect] });
  const tracer = provider.getTracer('remit');
  return {
    name: 'SDK and its serializer',
    batchSpans: 128,
    check: () => {
      const parent = spanContextFrom(envoySpan);
      const application = spanContextFrom(checkTrace.application);
      if (parent === null || application === null) throw new Error('no parent');
      const attributes: Attributes = {};
      const tell: Tell = (name, value) => (attributes[name] = value);
      tellCheck(judgement, tell);
      tellPreviousUse(previousUse, tell);
      const links = [link(issuance, 'issued_by'), link(previousUse, 'previous_use'), link(application, 'application')];
      const options = { kind: SpanKind.SERVER, startTime: Date.now() - 3, attributes, links };
      tracer.startSpan('allow payments.list', options, trace.setSpanContext(ROOT_CONTEXT, parent)).end();
    },
    send: () => {
      ProtobufTraceSerializer.serializeRequest(waiting);
      waiting = [];
    },
  };
}

const link = (context: SpanReference, kind: string): Link => ({
  context: { ...context, traceFlags: 1, isRemote: true },
  attributes: { 'remit.link': kind },
});

function asInUse(): Contender {
  const exporter = bytesExporter(
    { export: (_request, done) => done({ code: 0 }), shutdown: () => Promise.resolve() },
    origin,
  );
  let batch = exporter.newBatch();
  const spans = { samplesAllow: () => true, add: (span: EndedSpan) => batch.add(span) };
  return {
    name: 'as in use',
    batchSpans: 512,
    check: () => traceUnderEnvoy({ spans, ports: systemPorts }, judgement),
    send: () => {
      const sent = batch;
      void sent.send().then(() => sent.release());
      batch = exporter.newBatch();
    },
  };
}

const unrecorded: Contender = {
  name: 'a place without a span',
  batchSpans: 512,
  check: () => traceUnderEnvoy({ spans: null, ports: systemPorts }, judgement),
  send: () => {},
};

const contenders = [viaSdk(), asInUse(), unrecorded];
const costs = contenders.map((): Cost[] => []);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [index, contender] of contenders.entries()) costs[index]?.push(await costOf(contender));
}
process.stdout.write(`${''.padEnd(24)}   us of processor   bytes allocated   bytes kept\n`);
for (const [index, { name }] of contenders.entries()) {
  const column = (of: keyof Cost, digits: number): string =>
    median((costs[index] ?? []).map((cost) => cost[of])).toFixed(digits);
  const figures = [column('us', 1).padStart(15), column('allocated', 0).padStart(15), column('kept', 0).padStart(10)];
  process.stdout.write(`${[name.padEnd(24), ...figures].join('   ')}\n`);
}

/** The cost of one span, including its share of a request. */
async function costOf({ batchSpans, check, send }: Contender): Promise<Cost> {
  const before = process.threadCpuUsage();
  for (let batches = 0; batches < BATCHES; batches += 1) {
    for (let n = 0; n < batchSpans; n += 1) check();
    send();
    // Where a request is made in a later turn.
    await new Promise((done) => setImmediate(done));
  }
  const { user, system } = process.threadCpuUsage(before);
  const [first, atFirst] = [held(), process.memoryUsage().heapUsed];
  for (let n = 0; n < batchSpans; n += 1) check();
  const allocated = process.memoryUsage().heapUsed - atFirst;
  const kept = held() - first;
  send();
  await new Promise((done) => setImmediate(done));
  const spans = BATCHES * batchSpans;
  return { us: (user + system) / spans, allocated: allocated / batchSpans, kept: kept / batchSpans };
}

/** Bytes that survive a collection. */
function held(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { Attributes } from '@opentelemetry/api';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { systemPorts } from '../../src/ports.ts';
import { bytesExporter } from '../../src/telemetry/bytes-exporter.ts';
import { tellCheck } from '../../src/telemetry/check-attributes.ts';
import type { SpanBatch } from '../../src/telemetry/span-exporter.ts';
import { originFrom, settled } from '../../src/telemetry/span-origin.ts';
import { traceCheck } from '../../src/telemetry/span.ts';
import { placeUnder, spanContextFrom } from '../../src/telemetry/trace-context.ts';
import { allow, checkTrace, issuance, judgementOf, previousUse } from '../telemetry/checks.ts';

/**
 * What the span of an allowed check costs the main thread, up to the bytes of a request: by OpenTelemetry's own SDK and
 * serializer in batches of 128, and as in use in batches of 512. The contenders take turns in one run; medians count. What is
 * allocated is of the heap; what is kept is of the heap and outside it, while a batch waits.
 * `node --expose-gc test/bench/spans.ts`
 */
const ROUNDS = 25;
const SPANS = 4096;

interface Contender {
  readonly name: string;
  readonly batchSpans: number;
  /** Makes the span of a check, which then waits. */
  readonly check: () => unknown;
  /** Makes a request of what waits. */
  readonly send: () => unknown;
}

const origin = originFrom({});
await settled(origin.resource);
const judgement = judgementOf(allow);

function viaSdk(): Contender {
  let waiting: ReadableSpan[] = [];
  const collect = {
    onStart: () => {},
    onEnd: (span: ReadableSpan) => void waiting.push(span),
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
  };
  const tracer = new TracerProvider({ resource: origin.resource, spanProcessors: [collect] }).getTracer('remit');
  const link = (context: { traceId: string; spanId: string }, kind: string) => ({
    context: { ...context, traceFlags: 1, isRemote: true },
    attributes: { 'remit.link': kind },
  });
  return {
    name: 'SDK and its serializer',
    batchSpans: 128,
    check: () => {
      const parent = spanContextFrom(sampled.parent);
      const application = spanContextFrom(sampled.application);
      if (parent === null || application === null) throw new Error('no parent');
      const attributes: Attributes = {};
      tellCheck(judgement, (name, value) => (attributes[name] = value));
      const links = [link(issuance, 'issued_by'), link(previousUse, 'previous_use'), link(application, 'application')];
      const options = { kind: SpanKind.SERVER, startTime: sampled.startedAtMs, attributes, links };
      tracer.startSpan('remit.check', options, trace.setSpanContext(ROOT_CONTEXT, parent)).end();
    },
    send: () => {
      ProtobufTraceSerializer.serializeRequest(waiting);
      waiting = [];
    },
  };
}

const sampled = { ...checkTrace, parent: checkTrace.parent?.replace(/-00$/, '-01') ?? null };

function asInUse(): Contender {
  const transport = { export: () => {}, shutdown: () => Promise.resolve() };
  const exporter = bytesExporter(transport, origin);
  let batch: SpanBatch = exporter.newBatch();
  const spans = { samplesAllow: () => true, add: batch.add.bind(batch) };
  spans.add = (span) => batch.add(span);
  return {
    name: 'as in use',
    batchSpans: 512,
    check: () => traceCheck({ spans, ports: systemPorts }, judgement, sampled),
    send: () => {
      void batch.send();
      batch = exporter.newBatch();
    },
  };
}

const offered: readonly Contender[] = [
  viaSdk(),
  asInUse(),
  {
    name: 'not recorded: a place alone',
    batchSpans: 512,
    check: () => traceCheck({ spans: null, ports: systemPorts }, judgement, sampled),
    send: () => {},
  },
  {
    name: 'of that, random bytes',
    batchSpans: 512,
    check: () => placeUnder({ traceId: '', spanId: '', traceFlags: 1 }, systemPorts.randomBytes),
    send: () => {},
  },
];

const results = offered.map((contender) => ({
  contender,
  us: [] as number[],
  allocated: [] as number[],
  kept: [] as number[],
}));

for (let round = 0; round < ROUNDS; round += 1) {
  for (const { contender, us, allocated, kept } of results) {
    us.push(await timed(contender));
    const { made, left } = weighed(contender);
    allocated.push(made);
    kept.push(left);
  }
}
process.stdout.write(`${''.padEnd(32)}us a span   bytes allocated   bytes kept\n`);
for (const { contender, us, allocated, kept } of results) {
  const figures = [median(us).toFixed(1).padStart(9), median(allocated).toFixed(0).padStart(15)];
  process.stdout.write(
    `${contender.name.padEnd(32)}${figures.join('   ')}   ${median(kept).toFixed(0).padStart(10)}\n`,
  );
}

/** Microseconds of a span, its part of a request among them. */
async function timed({ batchSpans, check, send }: Contender): Promise<number> {
  globalThis.gc?.();
  const start = performance.now();
  for (let made = 0; made < SPANS; made += batchSpans) {
    for (let n = 0; n < batchSpans; n += 1) check();
    send();
    // Where a request is made in a later turn.
    await Promise.resolve();
  }
  return ((performance.now() - start) * 1000) / SPANS;
}

/** Bytes of a span, while its batch waits. */
function weighed({ batchSpans, check, send }: Contender): { readonly made: number; readonly left: number } {
  send();
  globalThis.gc?.();
  const before = process.memoryUsage();
  for (let n = 0; n < batchSpans; n += 1) check();
  const made = process.memoryUsage().heapUsed - before.heapUsed;
  globalThis.gc?.();
  const after = process.memoryUsage();
  const left = after.heapUsed + after.external - before.heapUsed - before.external;
  return { made: made / batchSpans, left: left / batchSpans };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

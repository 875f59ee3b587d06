import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { until } from '../until.ts';
import type { Cluster } from './cluster.ts';
import { NODE_ADDRESS } from './machine/layout.ts';

/** Where pods send spans to: Envoy by gRPC. */
export const COLLECTOR = { host: NODE_ADDRESS, port: 4317 };
/** Where Remit sends them to, as the chart has it. */
export const OTLP_ENDPOINT = `http://${NODE_ADDRESS}:4318`;
const PAGES = 'http://127.0.0.1:16686';
const uiConfig = join(import.meta.dirname, '../../deploy/jaeger/ui.json');

/** A span, as Jaeger has it. Times in microseconds. */
interface Span {
  readonly spanID: string;
  readonly operationName: string;
  readonly startTime: number;
  readonly duration: number;
  readonly processID: string;
  readonly references: readonly { readonly refType: string; readonly spanID: string }[];
}

/** A trace, as Jaeger has it. */
interface Trace {
  readonly traceID: string;
  readonly spans: readonly Span[];
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
}

/** Starts a Jaeger on the node. It ends with the cluster. */
export async function startJaegerOn(
  cluster: Cluster,
  { binary, pages }: { readonly binary: string; readonly pages: string | null },
): Promise<void> {
  const shown = pages === null ? [] : ['--query.static-files', pages, '--query.ui-config', uiConfig];
  const listens = ['--collector.otlp.grpc.host-port=0.0.0.0:4317', '--collector.otlp.http.host-port=0.0.0.0:4318'];
  const environment = { SPAN_STORAGE_TYPE: 'memory', OTEL_TRACES_SAMPLER: 'always_off' };
  const [enter = '', ...words] = cluster.wordsFor([binary, ...listens, ...shown], { environment });
  spawn(enter, words, { stdio: 'ignore' }).unref();
  await until(async () => (await asked(cluster, '/api/services')) !== null, { what: 'a Jaeger that answers' });
}

/** The trace of the call with the most spans, once it has those of Envoy and of Remit. */
export const traceOfCall = (cluster: Cluster): Promise<Trace> =>
  until(
    async () => {
      const found = (await asked(cluster, '/api/traces?service=remit&limit=100&lookback=1h')) as {
        readonly data: readonly Trace[];
      } | null;
      const both = (found?.data ?? []).filter(({ processes }) => Object.keys(processes).length > 1);
      return both.toSorted((a, b) => b.spans.length - a.spans.length)[0];
    },
    { what: 'a trace with spans of Envoy and of Remit', withinMs: 120_000 },
  );

/** The lines of a trace: each span below the one that it belongs to. */
export function traceLines({ processes, spans, traceID }: Trace): readonly string[] {
  const begin = Math.min(...spans.map(({ startTime }) => startTime));
  const below = (parent: string | undefined, depth: number): readonly string[] =>
    spans
      .filter((span) => parentOf(span, spans) === parent)
      .toSorted((a, b) => a.startTime - b.startTime)
      .flatMap((span) => {
        const name = `${'  '.repeat(depth)}${processes[span.processID]?.serviceName ?? ''}: ${span.operationName}`;
        const times = `${inMs(span.startTime - begin)} to ${inMs(span.startTime - begin + span.duration)} ms`;
        return [`${name.padEnd(72)} ${times}`].concat(below(span.spanID, depth + 1));
      });
  return [`trace ${traceID}`, ...below(undefined, 0)];
}

/** The address of its page, within the cluster. */
export const pageOf = ({ traceID }: Trace): string => `${PAGES}/trace/${traceID}`;

const inMs = (microseconds: number): string => (microseconds / 1_000).toFixed(1);

const parentOf = ({ references }: Span, spans: readonly Span[]): string | undefined => {
  const parent = references.find(({ refType }) => refType === 'CHILD_OF')?.spanID;
  return spans.some(({ spanID }) => spanID === parent) ? parent : undefined;
};

/** What its API answers; `null` if it does not. */
async function asked(cluster: Cluster, path: string): Promise<unknown> {
  const program = 'process.stdout.write(await (await fetch(process.argv[1])).text())';
  const words = [process.execPath, '--input-type=module', '-e', program, `${PAGES}${path}`];
  const { status, stdout } = await cluster.tried(words);
  return status === 0 ? JSON.parse(stdout) : null;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { freePorts } from '../free-port.ts';

/** A span in the form of Jaeger's query API. */
export interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  /** Microseconds since the Unix epoch. */
  readonly startTime: number;
  /** Microseconds. */
  readonly duration: number;
  readonly references: readonly {
    readonly refType: 'CHILD_OF' | 'FOLLOWS_FROM';
    readonly traceID: string;
    readonly spanID: string;
  }[];
  readonly tags: readonly { readonly key: string; readonly value: unknown }[];
  readonly processID: string;
}

/** The value of a tag of a span. */
export const tagOf = (span: JaegerSpan, name: string): unknown => span.tags.find(({ key }) => key === name)?.value;

/** A Jaeger with in-memory storage. */
export interface Jaeger {
  readonly otlpHttp: string;
  readonly otlpGrpcPort: number;
  /** URL of its pages, if it was started with them. */
  readonly pages: string;
  /** The spans of a service with an operation and all of these tags, found by a search. */
  find(
    service: string,
    search: { readonly operation?: string; readonly tags?: Readonly<Record<string, string>> },
  ): Promise<readonly JaegerSpan[]>;
  stop(): Promise<void>;
}

const uiConfig = resolve(import.meta.dirname, '../../deploy/jaeger/ui.json');

const at = (port: number | undefined): string => `127.0.0.1:${port ?? 0}`;

/**
 * Starts a Jaeger on free loopback ports, and waits until its query API answers.
 *
 * @param pages folder of its built pages; `null` for the API alone
 */
export async function startJaeger(binary: string, pages: string | null): Promise<Jaeger> {
  const [grpc, http, query] = await freePorts(3);
  const child = spawn(
    binary,
    [
      ['--collector.otlp.grpc.host-port', at(grpc)],
      ['--collector.otlp.http.host-port', at(http)],
      ['--query.http-server.host-port', at(query)],
      ['--query.grpc-server.host-port', at(0)],
      ['--collector.grpc-server.host-port', at(0)],
      ['--collector.http-server.host-port', at(0)],
      ['--admin.http.host-port', at(0)],
      pages === null ? [] : ['--query.static-files', pages, '--query.ui-config', uiConfig],
    ].flat(),
    // Jaeger traces itself by default, to a port that is not its own.
    { stdio: 'ignore', env: { ...process.env, OTEL_TRACES_SAMPLER: 'always_off', SPAN_STORAGE_TYPE: 'memory' } },
  );
  const exited = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill();
    await exited;
  };
  const api = `http://${at(query)}/api`;
  for (let tries = 0; !(await answers(`${api}/services`)); tries += 1) {
    if (tries === 200 || child.exitCode !== null) {
      await stop();
      throw new Error('Jaeger does not answer');
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  return {
    otlpHttp: `http://${at(http)}`,
    otlpGrpcPort: grpc ?? 0,
    pages: `http://${at(query)}`,
    stop,
    find: async (service, { operation, tags = {} }) => {
      const wanted = new URLSearchParams({ service, tags: JSON.stringify(tags), limit: '1500', lookback: '1h' });
      if (operation !== undefined) wanted.set('operation', operation);
      const { data } = JSON.parse(await (await fetch(`${api}/traces?${wanted.toString()}`)).text());
      return (data as readonly Trace[])
        .flatMap((trace) => spansOf(trace, service))
        .filter((span) => {
          const isNamed = operation === undefined || span.operationName === operation;
          return isNamed && Object.entries(tags).every(([name, value]) => tagOf(span, name) === value);
        });
    },
  };
}

interface Trace {
  readonly spans: readonly JaegerSpan[];
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
}

const spansOf = ({ spans, processes }: Trace, service: string): readonly JaegerSpan[] =>
  spans.filter(({ processID }) => processes[processID]?.serviceName === service);

const answers = (url: string): Promise<boolean> =>
  fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );

/** Reserves them together, so that they differ. */

import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Metadata, sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { resourceIn, spansIn, traceService } from './export-request.ts';
import type { ExportRequest, ReceivedSpan } from './export-request.ts';
import { metricsService, pushedIn } from './pushed-request.ts';
import type { Pushed, PushedRequest } from './pushed-request.ts';

/** An OTLP receiver over gRPC. */
export interface GrpcCollector {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  readonly resource: ReadonlyMap<string, unknown>;
  /** Metadata of requests with spans. */
  readonly headers: readonly Metadata[];
  /** Content of each request with metrics. */
  readonly pushes: readonly (readonly Pushed[])[];
  /** Their headers. */
  readonly pushHeaders: readonly Metadata[];
  readonly close: () => void;
}

/** Starts an OTLP receiver on loopback. */
export async function grpcCollector(): Promise<GrpcCollector> {
  const spans: ReceivedSpan[] = [];
  const resource = new Map<string, unknown>();
  const headers: Metadata[] = [];
  const pushes: (readonly Pushed[])[] = [];
  const pushHeaders: Metadata[] = [];
  const server = new Server();
  server.addService(traceService, {
    Export: ({ request, metadata }: ServerUnaryCall<ExportRequest, object>, done: sendUnaryData<object>) => {
      spans.push(...spansIn(request));
      for (const [name, value] of resourceIn(request)) resource.set(name, value);
      headers.push(metadata);
      done(null, {});
    },
  });
  server.addService(metricsService, {
    Export: ({ request, metadata }: ServerUnaryCall<PushedRequest, object>, done: sendUnaryData<object>) => {
      pushes.push(pushedIn(request));
      pushHeaders.push(metadata);
      done(null, {});
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const url = `http://127.0.0.1:${port}`;
  return { url, spans, resource, headers, pushes, pushHeaders, close: () => server.forceShutdown() };
}

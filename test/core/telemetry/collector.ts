import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { exportRequestFrom, resourceIn, spansIn } from './export-request.ts';
import type { ExportRequest, ReceivedSpan } from './export-request.ts';
import { pushedIn, pushedRequestFrom } from './pushed-request.ts';
import type { Pushed, PushedRequest } from './pushed-request.ts';

/** How a collector reacts to a request. */
export type Behaviour = 'takes' | 'stalls' | 'refuses' | 'is-busy' | { readonly answersAfterMs: number };

/**
 * An OTLP receiver over HTTP for spans and metrics, in JSON and protobuf, which can be made to misbehave. It accepts log records without
 * reading them.
 *
 * Lifecycle: `close` once, even while it stalls.
 */
export class Collector {
  behaviour: Behaviour = 'takes';
  /** Accepted spans. */
  readonly spans: ReceivedSpan[] = [];
  readonly resource = new Map<string, unknown>();
  /** Headers of requests with spans. */
  readonly headers: IncomingMessage['headers'][] = [];
  /** Number of spans in each request, accepted or not. */
  readonly batches: number[] = [];
  /** Content of each request with metrics, accepted or not. */
  readonly pushes: (readonly Pushed[])[] = [];
  /** Their headers. */
  readonly pushHeaders: IncomingMessage['headers'][] = [];
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  static async start(port = 0): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((done) => collector.#server.listen(port, '127.0.0.1', done));
    return collector;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  close(): Promise<unknown> {
    this.#server.closeAllConnections();
    return new Promise((done) => this.#server.close(done));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const { headers, url } = request;
    const body = bodyOf(Buffer.concat(chunks), headers);
    const take =
      url === '/v1/metrics'
        ? this.#heldMetrics(body, headers)
        : url === '/v1/logs'
          ? () => undefined
          : this.#heldSpans(body, headers);
    const { behaviour } = this;
    if (behaviour === 'stalls') return;
    if (behaviour === 'refuses') return void response.writeHead(400).end('{}');
    if (behaviour === 'is-busy') return void response.writeHead(503).end('{}');
    if (typeof behaviour === 'object') await new Promise((done) => setTimeout(done, behaviour.answersAfterMs));
    take();
    const type = headers['content-type'];
    response.writeHead(200, { 'content-type': type }).end(type === JSON_TYPE ? '{}' : '');
  }

  #heldSpans(body: Body, headers: IncomingMessage['headers']): () => void {
    const read: ExportRequest = body.isJson ? JSON.parse(body.bytes.toString('utf8')) : exportRequestFrom(body.bytes);
    const received = spansIn(read);
    this.batches.push(received.length);
    this.headers.push(headers);
    return () => {
      this.spans.push(...received);
      for (const [name, value] of resourceIn(read)) this.resource.set(name, value);
    };
  }

  #heldMetrics(body: Body, headers: IncomingMessage['headers']): () => void {
    const read: PushedRequest = body.isJson ? JSON.parse(body.bytes.toString('utf8')) : pushedRequestFrom(body.bytes);
    this.pushes.push(pushedIn(read));
    this.pushHeaders.push(headers);
    return () => undefined;
  }
}

const JSON_TYPE = 'application/json';

interface Body {
  readonly bytes: Buffer;
  readonly isJson: boolean;
}

const bodyOf = (sent: Buffer, headers: IncomingMessage['headers']): Body => ({
  bytes: headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent,
  isJson: headers['content-type'] === JSON_TYPE,
});

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { exportRequestFrom, resourceIn, spansIn } from './export-request.ts';
import type { ExportRequest, ReceivedSpan } from './export-request.ts';

/** What a collector does with a request. */
export type Behaviour = 'takes' | 'stalls' | 'refuses' | 'is-busy' | { readonly answersAfterMs: number };

/**
 * An OTLP receiver over HTTP, in JSON and in protobuf, which can be made to misbehave.
 *
 * Lifecycle: `close` once, also while it stalls.
 */
export class Collector {
  behaviour: Behaviour = 'takes';
  /** Of what was taken. */
  readonly spans: ReceivedSpan[] = [];
  readonly resource = new Map<string, unknown>();
  readonly headers: IncomingMessage['headers'][] = [];
  /** Spans in each request, taken or not. */
  readonly batches: number[] = [];
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
    const read = requestIn(Buffer.concat(chunks), request.headers);
    const received = spansIn(read);
    this.batches.push(received.length);
    this.headers.push(request.headers);
    const { behaviour } = this;
    if (behaviour === 'stalls') return;
    if (behaviour === 'refuses') return void response.writeHead(400).end('{}');
    if (behaviour === 'is-busy') return void response.writeHead(503).end('{}');
    if (typeof behaviour === 'object') await new Promise((done) => setTimeout(done, behaviour.answersAfterMs));
    this.spans.push(...received);
    for (const [name, value] of resourceIn(read)) this.resource.set(name, value);
    const type = request.headers['content-type'];
    response.writeHead(200, { 'content-type': type }).end(type === JSON_TYPE ? '{}' : '');
  }
}

const JSON_TYPE = 'application/json';

function requestIn(sent: Buffer, headers: IncomingMessage['headers']): ExportRequest {
  const body = headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
  return headers['content-type'] === JSON_TYPE ? JSON.parse(body.toString('utf8')) : exportRequestFrom(body);
}

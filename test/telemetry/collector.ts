import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One span as OTLP over HTTP brings it, in JSON. */
export interface ReceivedSpan {
  readonly name: string;
  /** Hex. */
  readonly spanId: string;
  readonly attributes: ReadonlyMap<string, unknown>;
}

/** What a collector does with a request. */
export type Behaviour = 'takes' | 'stalls' | 'refuses' | 'is-busy' | { readonly answersAfterMs: number };

/**
 * An OTLP receiver over HTTP with JSON, which can be made to misbehave.
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
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const received = spansIn(body);
    this.batches.push(received.length);
    this.headers.push(request.headers);
    const { behaviour } = this;
    if (behaviour === 'stalls') return;
    if (behaviour === 'refuses') return void response.writeHead(400).end('{}');
    if (behaviour === 'is-busy') return void response.writeHead(503).end('{}');
    if (typeof behaviour === 'object') await new Promise((done) => setTimeout(done, behaviour.answersAfterMs));
    this.spans.push(...received);
    for (const [name, value] of attributesOf(body.resourceSpans[0].resource)) this.resource.set(name, value);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  }
}

interface Attributed {
  readonly attributes?: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

interface Body {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly spans: readonly (Attributed & { readonly name: string; readonly spanId: string })[];
    }[];
  }[];
}

const spansIn = (body: Body): ReceivedSpan[] =>
  body.resourceSpans
    .flatMap((each) => each.scopeSpans)
    .flatMap((each) => each.spans)
    .map((span) => ({ name: span.name, spanId: span.spanId, attributes: new Map(attributesOf(span)) }));

const attributesOf = ({ attributes = [] }: Attributed): [string, unknown][] =>
  attributes.map(({ key, value }) => [key, Object.values(value)[0]]);

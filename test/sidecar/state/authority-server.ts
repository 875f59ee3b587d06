import { once } from 'node:events';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall } from '@grpc/grpc-js';
import type {
  Down,
  OpenReply,
  OpenRequest,
  Report,
  SettleReply,
  SettleRequest,
  Up,
} from '../../../src/core/fleet/messages.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { ModelHub } from './model-hub.ts';

/** The answer to a call that a test wants to fail. */
export const REFUSED = 'refused';

/** A gRPC server that speaks for a `ModelHub`. A test decides what it settles, and when it is silent. */
export class AuthorityServer {
  readonly hub = new ModelHub();
  leaseMs = 60_000;
  /** No ping is answered. */
  isSilent = false;
  settles: (request: SettleRequest) => SettleReply | Promise<SettleReply> | typeof REFUSED = () => REFUSED;
  answersReports = true;
  readonly opens: OpenRequest[] = [];
  readonly settled: SettleRequest[] = [];
  readonly reports: Report[] = [];
  /** The code with which a stream is ended at once; `null`: it is served. */
  refuses: status | null = null;
  readonly port: number;
  readonly #server: Server;
  #stream: ServerDuplexStream<Up, Down> | null = null;

  private constructor(server: Server, at: string) {
    this.#server = server;
    this.port = Number(at.slice(at.lastIndexOf(':') + 1));
    const { Follow, Open, Settle } = {
      Follow: methodOf('Follow'),
      Open: methodOf('Open'),
      Settle: methodOf('Settle'),
    };
    server.addService(
      { Follow, Open, Settle },
      {
        Follow: (stream: ServerDuplexStream<Up, Down>) => this.#follow(stream),
        Open: ({ request }: ServerUnaryCall<OpenRequest, OpenReply>, reply: sendUnaryData<OpenReply>) => {
          this.opens.push(request);
          reply(null, this.hub.open(request));
        },
        Settle: ({ request }: ServerUnaryCall<SettleRequest, SettleReply>, reply: sendUnaryData<SettleReply>) => {
          this.settled.push(request);
          void Promise.resolve(this.settles(request)).then((answer) =>
            answer === REFUSED ? reply({ code: status.UNAVAILABLE, details: REFUSED }) : reply(null, answer),
          );
        },
      },
    );
  }

  static async listen(at: string, credentials = ServerCredentials.createInsecure()): Promise<AuthorityServer> {
    const server = new Server();
    const authority = new AuthorityServer(server, at);
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(at, credentials, (error) => (error === null ? resolve() : reject(error))),
    );
    return authority;
  }

  get isFollowed(): boolean {
    return this.#stream !== null;
  }

  send(down: Down): void {
    // A stream that the sidecar left may be over already.
    if (this.#stream?.writable === true) this.#stream.write(down);
  }

  /** Sends what has changed. */
  push(): void {
    this.send({ of: 'changes', changes: this.hub.changes() });
  }

  /** Ends the stream. */
  cut(): void {
    this.#stream?.end();
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #follow(stream: ServerDuplexStream<Up, Down>): void {
    if (this.refuses !== null) {
      stream.on('error', () => undefined);
      stream.emit('error', { code: this.refuses, details: REFUSED });
      return;
    }
    this.#stream = stream;
    stream.on('error', () => undefined);
    void once(stream, 'close').then(() => (this.#stream = this.#stream === stream ? null : this.#stream));
    stream.on('data', (up: Up) => {
      if (up.of === 'hello') {
        const welcome = { ...this.hub.connect(up.hello), lease_ms: this.leaseMs, ping_ms: 20 };
        stream.write({ of: 'welcome', welcome: { ...welcome, digest_key: Buffer.alloc(32, 7) } });
        this.push();
      } else if (up.of === 'ping' && !this.isSilent) {
        this.push();
        this.send({ of: 'fresh', fresh: this.hub.fresh(up.ping.n) });
      } else if (up.of === 'ack') this.hub.ack(up.ack.seq);
      else if (up.of === 'dropped') this.hub.dropped(up.dropped);
      else if (up.of === 'report') {
        this.reports.push(up.report);
        if (this.answersReports) this.send({ of: 'reported', reported: { id: up.report.id, problem: '' } });
      }
    });
  }
}

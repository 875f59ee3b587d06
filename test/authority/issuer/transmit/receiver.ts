import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { createAuthority } from '../../../../src/dev/authority.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';

/** A request as a receiver got it. */
export interface Received {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly contentType: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** What a receiver answers: a status with a body and headers. */
type Answering = (received: Received) => readonly [status: number, body?: string, headers?: Record<string, string>];

/** An HTTPS server that receives signals, and answers as `answer` says. */
export class Receiver {
  readonly received: Received[] = [];
  answer: Answering = () => [202];
  readonly caFile: string;
  readonly #server: Server;

  private constructor(server: Server, caFile: string) {
    this.#server = server;
    this.caFile = caFile;
  }

  /** Serves `localhost` with a certificate of an authority of its own, whose certificate is in `folder`. */
  static async start(folder: string): Promise<Receiver> {
    const authority = await createAuthority('receiver.test', systemPorts);
    const { certPem: cert, keyPem: key } = await authority.svid('/server', { dns: ['localhost'] });
    const caFile = join(folder, 'receiver-ca.pem');
    writeFileSync(caFile, authority.bundlePem);
    const receiver: Receiver = new Receiver(
      createServer({ cert, key }, (request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          const { method, url: path, headers } = request;
          const { 'content-type': contentType, authorization } = headers;
          const body = Buffer.concat(chunks).toString('utf8');
          const got = { method, path, contentType, authorization, body };
          receiver.received.push(got);
          const [status, text = '', more = {}] = receiver.answer(got);
          response.writeHead(status, more).end(text);
        });
      }),
      caFile,
    );
    await new Promise<void>((resolve) => receiver.#server.listen(0, 'localhost', resolve));
    return receiver;
  }

  get url(): string {
    // A server that listens on TCP has an address of this type.
    return `https://localhost:${(this.#server.address() as AddressInfo).port}/events`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

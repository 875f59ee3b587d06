import { Agent as HttpsAgent, request } from 'node:https';
import type { IssuedSvid } from './authority.ts';

/** The answer of a server. */
export interface AgentReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The body as text, at most 256 KiB. */
  readonly body: string;
}

/** An HTTP call; everything except the host has a default. */
export interface AgentCall {
  /** `host` header, which selects the tool server. */
  readonly host: string;
  /** Default `GET`. */
  readonly method?: string;
  /** Default `/`. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const MAX_BODY_BYTES = 262_144;
const TIMEOUT_MS = 10_000;

/**
 * An agent like a real workload. It has an SVID, and calls over mTLS to one address on a kept-alive connection.
 *
 * Lifecycle: `close` once.
 */
export class Agent {
  readonly #svid: IssuedSvid;
  readonly #tls: HttpsAgent;

  /** @param bundlePem the CA certificates that servers must chain to */
  constructor(svid: IssuedSvid, bundlePem: string) {
    this.#svid = svid;
    this.#tls = new HttpsAgent({ keepAlive: true, maxSockets: 4, ca: bundlePem, cert: svid.certPem, key: svid.keyPem });
  }

  get id(): string {
    return this.#svid.id;
  }

  /** Calls 127.0.0.1; rejects after 10 s without traffic, and for a body of more than 256 KiB. */
  call(port: number, call: AgentCall): Promise<AgentReply> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent: this.#tls,
          host: '127.0.0.1',
          port,
          method: call.method ?? 'GET',
          path: call.path ?? '/',
          headers: { ...call.headers, host: call.host },
          timeout: TIMEOUT_MS,
        },
        (response) => {
          const chunks: Buffer[] = [];
          let length = 0;
          response.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length > MAX_BODY_BYTES) response.destroy(new Error(`more than ${MAX_BODY_BYTES} bytes`));
            else chunks.push(chunk);
          });
          response.on('error', reject);
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString('utf8'),
            }),
          );
        },
      );
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // The server closed the kept connection as idle while this call was on its way: nothing of it was read.
        if (outgoing.reusedSocket && error.code === 'ECONNRESET') resolve(this.call(port, call));
        else reject(error);
      });
      outgoing.end(call.body);
    });
  }

  close(): void {
    this.#tls.destroy();
  }
}

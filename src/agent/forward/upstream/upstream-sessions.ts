import { connect, type ClientHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/** Code of the error of an upstream that offers no HTTP/2. */
const NO_HTTP2 = 'REMIT_NO_HTTP2';
/** Window of each stream and of each session, in bytes: enough for 100 MB/s over 10 ms. */
const STREAM_WINDOW = 1_048_576;
const SESSION_WINDOW = 4_194_304;
/** Most sessions that take new streams; beyond their streams, requests wait in the last session. */
const MAX_SESSIONS = 16;

interface Held {
  readonly session: ClientHttp2Session;
  active: number;
}

/** A session with room for another stream. `release` must be called when that stream has closed. */
export interface SessionLease {
  readonly session: ClientHttp2Session;
  readonly release: () => void;
}

/**
 * The HTTP/2 sessions to one upstream with one certificate. A new session is opened when each has as many streams as the
 * upstream allows.
 *
 * Lifecycle: to `retire`, after which requests under way go on, or `destroy`.
 */
export class UpstreamSessions {
  readonly #origin: string;
  readonly #connected: () => Promise<Duplex>;
  readonly #held = new Set<Held>();
  #opening: Promise<Held> | null = null;
  #isRetired = false;
  #isDestroyed = false;

  /** @param connected opens a connection for HTTP/2 that is ready */
  constructor(origin: string, connected: () => Promise<Duplex>) {
    this.#origin = origin;
    this.#connected = connected;
  }

  /** Rejects if no session can be opened. */
  async lease(): Promise<SessionLease> {
    const held = this.#withRoom() ?? (await (this.#opening ??= this.#open().finally(() => (this.#opening = null))));
    held.active += 1;
    return {
      session: held.session,
      release: () => {
        held.active -= 1;
        if (this.#isRetired && held.active === 0) held.session.close();
      },
    };
  }

  /** Whether a session is open. */
  get isUsed(): boolean {
    return this.#held.size > 0;
  }

  retire(): void {
    this.#isRetired = true;
    for (const { session } of this.#held) session.close();
  }

  destroy(): void {
    this.#isDestroyed = true;
    for (const { session } of this.#held) session.destroy();
  }

  #withRoom(): Held | null {
    // The others take no new streams: those that have had GOAWAY or are retired, and those whose `close` event is yet to come.
    const open = [...this.#held].filter(({ session }) => !session.closed && !session.destroyed);
    const withRoom = open.find(
      ({ active, session }) => active < (session.remoteSettings.maxConcurrentStreams ?? Infinity),
    );
    return withRoom ?? (open.length < MAX_SESSIONS ? null : (open.at(-1) ?? null));
  }

  async #open(): Promise<Held> {
    const socket = await this.#connected();
    if (this.#isDestroyed) {
      socket.destroy();
      throw new Error('its connections were closed');
    }
    const session = connect(this.#origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
    });
    const held: Held = { session, active: 0 };
    this.#held.add(held);
    // INVARIANT: it is held until it is closed. After GOAWAY its streams go on, perhaps for hours, and end with the rest.
    session.once('close', () => this.#held.delete(held)).on('error', () => undefined);
    session.once('connect', () => {
      // It may have ended before. An error thrown here would end the process.
      if (!session.destroyed) session.setLocalWindowSize(SESSION_WINDOW);
    });
    // It alone does not keep the process alive.
    session.unref();
    return held;
  }
}

/** The connection, once its handshake is over and has agreed on HTTP/2. */
export const secured = (socket: TLSSocket): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    socket.once('error', reject).once('secureConnect', () => {
      socket.off('error', reject);
      if (socket.alpnProtocol === 'h2') return resolve(socket);
      socket.destroy();
      return reject(Object.assign(new Error('it does not offer HTTP/2, which the client speaks'), { code: NO_HTTP2 }));
    });
  });

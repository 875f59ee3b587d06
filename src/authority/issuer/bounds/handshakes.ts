import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Deny } from '../../../core/decision/decision.ts';
import { type LeafCertificate, leafFromDer } from '../../../core/identity/leaf-certificate.ts';
import { clientAddressOf } from './address.ts';
import { noCertificate } from './connections.ts';
import type { ClientConnection, Connections } from './connections.ts';
import type { OnRefused } from './limits.ts';
import type { Turns } from './turns.ts';

/** What handshakes depend on. */
interface HandshakeServices {
  readonly connections: Connections;
  readonly turns: Turns;
  /** Whether clients show certificates; otherwise a client is known by its address. */
  readonly byCertificate: boolean;
  readonly onRefused: OnRefused;
  readonly onProblem: (message: string) => void;
}

/**
 * The TLS handshakes of a server: each is delayed until its turn, and then tells whose connection it is.
 *
 * Lifecycle: from construction on, before the server listens; `close` cuts the connections in their handshake.
 */
export class Handshakes {
  readonly #server: Server;
  readonly #services: HandshakeServices;
  /** Connections in their handshake, by `peerOf`. */
  readonly #unfinished = new Map<string, ClientConnection>();
  readonly #finished = new WeakMap<Socket, ClientConnection>();

  constructor(server: Server, services: HandshakeServices) {
    this.#server = server;
    this.#services = services;
    this.#hold();
    server.on('secureConnection', (socket) => this.#identify(socket));
  }

  /** The connection of a socket whose handshake is done; `undefined` for others. */
  connectionOf(socket: Socket): ClientConnection | undefined {
    return this.#finished.get(socket);
  }

  close(): void {
    for (const { socket } of this.#unfinished.values()) socket.destroy();
  }

  /** Delays TLS on accepted connections until the turn of their handshake. */
  #hold(): void {
    const begin = this.#server.listeners('connection');
    this.#server.removeAllListeners('connection');
    this.#server.on('connection', (socket: Socket) => {
      // Before TLS listens for errors.
      socket.on('error', () => undefined);
      const address = clientAddressOf(socket.remoteAddress);
      const connection = socket.destroyed ? null : this.#services.connections.accept(socket, address);
      if (connection === null) return;
      const peer = peerOf(socket);
      this.#unfinished.set(peer, connection);
      socket.once('close', () => {
        if (this.#unfinished.get(peer) === connection) this.#unfinished.delete(peer);
      });
      void this.#beginInTurn(socket, address, begin);
    });
  }

  /** Starts TLS in the turn of the handshake. Never rejects. */
  async #beginInTurn(socket: Socket, address: string, begin: ReturnType<Server['listeners']>): Promise<void> {
    const { turns, onRefused, onProblem } = this.#services;
    try {
      const outcome = await turns.wait('handshake', address, () => socket.destroyed);
      if (outcome === 'late') onRefused('turn', address);
      if (outcome !== 'turn') socket.destroy();
      else for (const listener of begin) Reflect.apply(listener, this.#server, [socket]);
    } catch (error) {
      onProblem(`a handshake could not be started: ${error instanceof Error ? error.message : String(error)}`);
      socket.destroy();
    }
  }

  #identify(socket: TLSSocket): void {
    const connection = this.#unfinished.get(peerOf(socket));
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    this.#unfinished.delete(peerOf(socket));
    this.#finished.set(socket, connection);
    this.#services.connections.identify(connection, this.#services.byCertificate ? leafOf(socket) : noCertificate);
  }
}

/** Address and port of the peer, unique among open connections. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** The certificate of a client. INVARIANT: TLS has verified its chain, and nothing renegotiates it. */
function leafOf(socket: TLSSocket): LeafCertificate | Deny {
  const der = socket.getPeerX509Certificate()?.raw;
  return der === undefined ? noCertificate : leafFromDer(der);
}

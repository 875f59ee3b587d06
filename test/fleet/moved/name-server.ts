import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';

const HEADER_BYTES = 12;
const TYPE_A = 1;

/**
 * A DNS server over UDP that answers every question for an A record with the addresses it has now, and every other one with nothing.
 *
 * Lifecycle: `start`, `close`. @see RFC 1035 section 4
 */
export class NameServer {
  /** The IPv4 addresses of every name, in the order in which they are answered. */
  addresses: readonly string[] = [];
  /** How often an A record was asked for. */
  asked = 0;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (query, { port, address }) => {
      const answer = this.#answer(query);
      if (answer !== null) socket.send(answer, port, address);
    });
  }

  static async start(host: string, port: number): Promise<NameServer> {
    const socket = createSocket('udp4');
    const server = new NameServer(socket);
    socket.bind(port, host);
    await once(socket, 'listening');
    return server;
  }

  close(): void {
    this.#socket.close();
  }

  /** `null` for what has not exactly one question. */
  #answer(query: Buffer): Buffer | null {
    if (query.length < HEADER_BYTES + 5 || query.readUInt16BE(4) !== 1) return null;
    let end = HEADER_BYTES;
    while (query[end] !== undefined && query[end] !== 0) end += 1 + (query[end] ?? 0);
    end += 5;
    if (end > query.length) return null;
    const isA = query.readUInt16BE(end - 4) === TYPE_A;
    if (isA) this.asked += 1;
    const records = isA ? this.addresses.map((address) => recordOf(address)) : [];
    const header = Buffer.from(query.subarray(0, HEADER_BYTES));
    // An answer of an authoritative server that also recurses, without an error.
    header.writeUInt16BE(0x85_80, 2);
    header.writeUInt16BE(records.length, 6);
    header.writeUInt32BE(0, 8);
    return Buffer.concat([header, query.subarray(HEADER_BYTES, end), ...records]);
  }
}

/** An A record of the name that was asked for, to be forgotten after 30 s, as CoreDNS of Kubernetes gives it. */
const recordOf = (address: string): Buffer =>
  Buffer.from([0xc0, 0x0c, 0, TYPE_A, 0, 1, 0, 0, 0, 30, 0, 4, ...address.split('.').map(Number)]);

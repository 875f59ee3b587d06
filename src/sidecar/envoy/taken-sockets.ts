import { isServed, isThere } from '../../core/runtime/system/unix-socket.ts';
import type { SocketAccess } from '../../core/runtime/system/unix-socket.ts';
import type { BindProblem } from './grpc/grpc-server.ts';

/** A Unix socket that is taken over from the process that served it before. */
export interface TakenSocket {
  /** `unix:/absolute/path` */
  readonly address: string;
  readonly access: SocketAccess;
}

/** Options of the sockets that are taken over. */
export interface TakenSocketsOptions {
  readonly bind: (socket: TakenSocket) => Promise<string | BindProblem>;
  readonly onProblem: (problem: string) => void;
  /** The socket of an address was gone and is bound again; the count of these times. */
  readonly onRebound: (address: string, times: number) => void;
  readonly monotonicMs: () => number;
}

/** A socket that this process has. */
interface HeldSocket {
  readonly socket: TakenSocket;
  readonly boundMs: number;
  /** The least time between two binds of the same socket. */
  readonly waitMs: number;
  readonly rebound: number;
}

/** Back-off before a removed socket is bound again: it doubles, and is reset once the socket stayed for a while. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
const STAYED_MS = 10 * 60_000;

/**
 * The Unix sockets that a server takes over: each stays with the process that serves it until this process can decide. Any
 * process that may write to the folder of a socket can remove it repeatedly, so it is bound again with back-off: at once the
 * first time, then after 1 s, doubling to 60 s. Each time is reported.
 */
export class TakenSockets {
  readonly #options: TakenSocketsOptions;
  /** Sockets that another process serves. */
  readonly #waiting: TakenSocket[] = [];
  /** Sockets that this process has bound. */
  readonly #held: HeldSocket[] = [];

  constructor(options: TakenSocketsOptions) {
    this.#options = options;
  }

  /** Notes a socket. Returns whether it is bound later, since another process serves it; otherwise the caller binds it now. */
  async waits(socket: TakenSocket): Promise<boolean> {
    const isWaiting = await isServed(pathOf(socket));
    if (isWaiting) this.#waiting.push(socket);
    else this.#hold(socket);
    return isWaiting;
  }

  /** Binds what is due. Call it repeatedly, such as every 500 ms, while this process can decide. */
  look(): void {
    for (const socket of this.#waiting.splice(0)) void this.#takeOver(socket);
    for (const held of this.#held.splice(0)) void this.#keep(held);
  }

  #hold(socket: TakenSocket, { waitMs, rebound }: Pick<HeldSocket, 'waitMs' | 'rebound'> = FRESH): void {
    this.#held.push({ socket, boundMs: this.#options.monotonicMs(), waitMs, rebound });
  }

  /** Takes a socket over. After a failure it is tried again at the next look. */
  async #takeOver(socket: TakenSocket): Promise<void> {
    const outcome = await this.#options.bind(socket);
    if (typeof outcome === 'string') return this.#hold(socket);
    this.#options.onProblem(outcome.problem);
    this.#waiting.push(socket);
  }

  /** Binds a removed socket again: a former process that does not know of `takesOver` removes it by its path when it ends. */
  async #keep(held: HeldSocket): Promise<void> {
    const { socket, boundMs, waitMs, rebound } = held;
    const { bind, onProblem, onRebound, monotonicMs } = this.#options;
    const stayedMs = monotonicMs() - boundMs;
    if ((await isThere(pathOf(socket))) || stayedMs < waitMs) return void this.#held.push(held);
    const outcome = await bind(socket);
    const longer =
      stayedMs >= STAYED_MS ? FIRST_WAIT_MS : Math.min(Math.max(2 * waitMs, FIRST_WAIT_MS), LONGEST_WAIT_MS);
    if (typeof outcome === 'string') onRebound(socket.address, rebound + 1);
    else onProblem(outcome.problem);
    this.#hold(socket, { waitMs: longer, rebound: rebound + (typeof outcome === 'string' ? 1 : 0) });
  }
}

/** The first rebinding waits for nothing. */
const FRESH = { waitMs: 0, rebound: 0 };

const pathOf = ({ address }: TakenSocket): string => address.slice('unix:'.length);

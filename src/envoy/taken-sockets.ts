import { isServed, isThere } from '../runtime/unix-socket.ts';
import type { SocketAccess } from '../runtime/unix-socket.ts';
import type { BindProblem } from './grpc-server.ts';

/** A Unix socket that is taken over from the process that served it before. */
export interface TakenSocket {
  /** `unix:/absolute/path` */
  readonly address: string;
  readonly access: SocketAccess;
}

/** The Unix sockets that a server takes over: each stays with the process that serves it until this one can decide. */
export class TakenSockets {
  readonly #bind: (socket: TakenSocket) => Promise<string | BindProblem>;
  readonly #onProblem: (problem: string) => void;
  /** Those that another process serves. */
  readonly #waiting: TakenSocket[] = [];
  /** Those that this process has. */
  readonly #held: TakenSocket[] = [];

  constructor({
    bind,
    onProblem,
  }: {
    readonly bind: (socket: TakenSocket) => Promise<string | BindProblem>;
    readonly onProblem: (problem: string) => void;
  }) {
    this.#bind = bind;
    this.#onProblem = onProblem;
  }

  /** Notes a socket. Returns whether it is bound later, since another process serves it; otherwise the caller binds it now. */
  async waits(socket: TakenSocket): Promise<boolean> {
    const isWaiting = await isServed(pathOf(socket));
    (isWaiting ? this.#waiting : this.#held).push(socket);
    return isWaiting;
  }

  /** Call it each moment while this process can decide. */
  look(): void {
    for (const socket of this.#waiting.splice(0)) void this.#takeOver(socket);
    for (const socket of this.#held.splice(0)) void this.#keep(socket);
  }

  /** Takes a socket over. After a failure it is tried again at the next look. */
  async #takeOver(socket: TakenSocket): Promise<void> {
    const outcome = await this.#bind(socket);
    if (typeof outcome === 'string') this.#held.push(socket);
    else {
      this.#onProblem(outcome.problem);
      this.#waiting.push(socket);
    }
  }

  /** Binds a socket anew that is gone: a former process that does not know of `takesOver` removes it by its path when it ends. */
  async #keep(socket: TakenSocket): Promise<void> {
    if (await isThere(pathOf(socket))) this.#held.push(socket);
    else await this.#takeOver(socket);
  }
}

const pathOf = ({ address }: TakenSocket): string => address.slice('unix:'.length);

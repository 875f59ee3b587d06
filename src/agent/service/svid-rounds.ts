import type { Svid } from '../../core/identity/svid.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { OwnSvid } from '../run/own-svid.ts';
import type { UpstreamConnections } from '../forward/upstream/upstream-connections.ts';

type ConnectionsSvid = ConstructorParameters<typeof UpstreamConnections>[1]['svid'];

/** What a keeper sees of the SVID: the former certificate until its turn comes. */
export interface RebindTurn {
  /** The thumbprint that its token is to be bound to. */
  readonly thumbprint: () => string | null;
  /** The thumbprint that its token is bound to. */
  readonly boundTo: string;
  /** Called with the thumbprint of each new token. */
  readonly rebound: (thumbprint: string) => void;
  /** If the SVID was rotated, its turn is now: the former certificate cannot be used any more. */
  readonly hasten: () => void;
}

/** Longest time over which the tokens of all tasks are bound to a new SVID. */
const LONGEST_MS = 60_000;
/** Milliseconds for each task: the turns are spread over this times the number of tasks, at most over `LONGEST_MS`. */
const EACH_MS = 12;

/**
 * The SVID of a helper with many tasks. After a rotation each token must be bound anew: in turns, so that 5,000 tasks do not ask
 * the issuer in one second. Until its turn a task uses the former certificate, which is valid until its own end.
 *
 * Lifecycle: it follows `svid`, whose owner closes it.
 */
export class SvidRounds {
  readonly #svid: OwnSvid;
  readonly #ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>;
  readonly #listeners = new Set<(svid: Svid) => void>();
  #thumbprint: string | null;
  #rotatedAtMs = -Infinity;
  readonly #live: () => number;

  /** @param live the number of tasks that take turns */
  constructor(svid: OwnSvid, ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>, live: () => number) {
    this.#svid = svid;
    this.#ports = ports;
    this.#live = live;
    this.#thumbprint = svid.thumbprint();
    svid.onChange((next) => {
      for (const listener of this.#listeners) listener(next);
    });
  }

  /** A random number from 0 to 1, new at each call. */
  chance(): number {
    const [high = 0, low = 0] = this.#ports.randomBytes(2);
    return (high * 256 + low) / 65_536;
  }

  /** The SVID for the connections of one task, until `stop`. */
  renewals(): ConnectionsSvid & { readonly stop: () => void } {
    const own = new Set<(svid: Svid) => void>();
    return {
      now: () => this.#svid.now(),
      onChange: (listener) => {
        own.add(listener);
        this.#listeners.add(listener);
      },
      stop: () => {
        for (const listener of own) this.#listeners.delete(listener);
      },
    };
  }

  /** The turn of one token. @param first the thumbprint that it is bound to */
  turn(first: string): RebindTurn {
    return new Turn(this, { boundTo: first, place: this.chance() });
  }

  /** The thumbprint of the current certificate; `null` if there is none now. */
  current(): string | null {
    const now = this.#svid.thumbprint();
    if (now !== null && now !== this.#thumbprint) {
      this.#thumbprint = now;
      this.#rotatedAtMs = this.#ports.monotonicMs();
    }
    return now;
  }

  /** Whether the turn has come. @param place from 0, the first after a rotation, to 1, the last */
  isOver(place: number): boolean {
    return this.#ports.monotonicMs() >= this.#rotatedAtMs + place * Math.min(LONGEST_MS, EACH_MS * this.#live());
  }
}

/** A class, since each task has a turn: as an object of functions it takes 0.8 KB. */
class Turn implements RebindTurn {
  readonly #rounds: SvidRounds;
  readonly #place: number;
  #boundTo: string;
  #isHasty = false;

  constructor(rounds: SvidRounds, { boundTo, place }: { readonly boundTo: string; readonly place: number }) {
    this.#rounds = rounds;
    this.#boundTo = boundTo;
    this.#place = place;
  }

  get boundTo(): string {
    return this.#boundTo;
  }

  thumbprint(): string | null {
    const now = this.#rounds.current();
    return now === null || this.#isHasty || this.#rounds.isOver(this.#place) ? now : this.#boundTo;
  }

  rebound(thumbprint: string): void {
    this.#boundTo = thumbprint;
    this.#isHasty = false;
  }

  hasten(): void {
    this.#isHasty = this.#rounds.current() !== this.#boundTo;
  }
}

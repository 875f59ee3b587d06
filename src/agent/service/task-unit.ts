import type { Ports } from '../../core/runtime/ports.ts';
import type { Forwarded } from '../forward/forwarded.ts';
import { LocalUrls } from '../forward/local/local-urls.ts';
import { RunGroup } from '../run/run-group.ts';
import type { IssuerClient, TaskCredential } from '../task/issuer-client.ts';
import { issuerProblem, type IssuerProblem } from '../task/issuer-problem.ts';
import { type KeptState, TokenKeeper } from '../task/token-keeper.ts';
import type { IdleUnits } from './idle-units.ts';
import { localSecret } from './local-secret.ts';
import { type SharedByWays, UnitWay, type WayParts } from './unit-way.ts';
import type { UpstreamDoor } from './upstream-door.ts';

/** A declared task of a unit. */
export interface DeclaredTask {
  readonly resource: string;
  /** The same for tasks that may use the same tools. */
  readonly grant: string;
  readonly credential: TaskCredential;
}

/** A task of a unit. */
export interface UnitTask {
  readonly id: string;
  readonly resource: string;
}

/** What the units of one helper share. */
export interface UnitParts extends SharedByWays {
  readonly client: Pick<IssuerClient, 'further' | 'task' | 'end' | 'suspend' | 'resume'>;
  readonly idle: IdleUnits;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs' | 'randomBytes'>;
  /** How often the issuer is asked about each task of a unit of several, in milliseconds. */
  readonly heartbeatMs: () => number;
  readonly tell: (line: string) => void;
}

/** The life of a unit: when it is cancelled although nobody asked for it. Instants by the monotonic clock. */
export interface UnitLife {
  /** Longest time without a call; `Infinity` for a task that lives with a connection. */
  readonly idleMs: number;
  /** `Infinity`: that of the issuer. */
  readonly deadlineMs: number;
}

/** Pause between two looks after the tokens of a unit of several tasks. */
const LOOK_MS = 1_000;
/** Shortest such pause of a lone task; at random up to twice that, so that many tasks are spread out. */
const LONE_LOOK_MS = 4_000;

/**
 * One piece of work of a service: a task for each of its resources, each with its token, its connections and its local URL. They are one unit: what
 * ends or suspends one task ends or suspends all.
 *
 * Lifecycle: from the constructor to `withdraw`.
 */
export class TaskUnit {
  readonly tasks: readonly UnitTask[];
  readonly ways: readonly UnitWay[];
  readonly life: UnitLife;
  /** Names the unit in the header of a plain HTTP client. A secret. */
  readonly headerSecret: string;
  /** Opens its end. A secret. */
  readonly endSecret: string;
  /** The user whose place it takes; `null` for none. */
  readonly user: string | null;
  readonly #parts: UnitParts;
  readonly #keepers: readonly TokenKeeper[];
  readonly #group: RunGroup | null;
  readonly #onEnded: (unit: TaskUnit) => void;
  readonly #withdrawn: (() => void)[] = [];
  #over: IssuerProblem | null = null;
  #openCalls = 0;
  #lastCallMs: number;
  /** When its tokens are looked after next; `Infinity` while they are. */
  #nextLookMs: number;

  /** @param onEnded called if somebody else ends a task */
  constructor(
    tasks: readonly DeclaredTask[],
    {
      doors,
      life,
      user,
      onEnded,
    }: {
      readonly doors: readonly UpstreamDoor[];
      readonly life: UnitLife;
      readonly user: string | null;
      readonly onEnded: (unit: TaskUnit) => void;
    },
    parts: UnitParts,
  ) {
    // Without the first token, which is soon replaced.
    this.tasks = tasks.map(({ credential, resource }) => ({ id: credential.taskId, resource }));
    this.life = life;
    this.user = user;
    this.#parts = parts;
    this.#lastCallMs = parts.ports.monotonicMs();
    this.headerSecret = localSecret(parts.ports);
    this.endSecret = localSecret(parts.ports);
    const { client, tell } = parts;
    const ids = this.tasks.map(({ id }) => id);
    this.#group = ids.length > 1 ? new RunGroup(ids, { client, tell }) : null;
    this.#onEnded = onEnded;
    this.#nextLookMs = this.#lastCallMs + this.#pauseMs();
    const kept = tasks.map((task) => this.#kept(task));
    this.#keepers = kept.map(({ keeper }) => keeper);
    this.ways = this.#waysTo(doors, kept);
  }

  /** Its id for people: that of the task of its first resource. */
  get id(): string {
    return this.tasks[0]?.id ?? '';
  }

  /** A call begins; it ends with the `close` of its answer. */
  called(answer: { readonly once: (event: 'close', listener: () => void) => unknown }): void {
    this.#openCalls += 1;
    this.#parts.idle.busy(this);
    answer.once('close', () => {
      this.#openCalls -= 1;
      this.#lastCallMs = this.#parts.ports.monotonicMs();
      if (this.#openCalls === 0 && this.#over === null) this.#parts.idle.idle(this, this.#lastCallMs);
    });
  }

  /** Why it must be cancelled now; `null` if it may go on. */
  overBy(nowMs: number): 'idle' | 'deadline' | null {
    if (nowMs >= this.life.deadlineMs) return 'deadline';
    return this.#openCalls === 0 && nowMs >= this.#lastCallMs + this.life.idleMs ? 'idle' : null;
  }

  /** What its calls are answered once it is withdrawn; `null` before. */
  get over(): IssuerProblem | null {
    return this.#over;
  }

  /** Renews its tokens if it is time. To be called at least each second. */
  look(nowMs: number): void {
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = Infinity;
    const looked = (): void => {
      this.#nextLookMs = this.#parts.ports.monotonicMs() + this.#pauseMs();
    };
    void Promise.allSettled(this.#keepers.map((keeper) => keeper.look())).then(looked);
  }

  /** What a call by one of its ways is forwarded to. */
  forwardedBy(way: UnitWay): Forwarded {
    // The request may still be refused.
    if (this.#openCalls === 0) this.#parts.idle.idle(this, this.#parts.ports.monotonicMs());
    return way.forwarded;
  }

  /** Closes its connections. To be called only while no call is under way; the next call opens others. */
  rest(): void {
    for (const way of this.ways) way.rest();
  }

  /** Calls back once it is withdrawn. */
  onWithdrawn(withdrawn: () => void): void {
    this.#withdrawn.push(withdrawn);
  }

  /**
   * Ends its calls and its connections, and renews no token any more. Its tasks are not ended by that.
   *
   * @param taskState how its tasks are to end; the answer to calls under way
   */
  async withdraw(taskState: 'completed' | 'cancelled'): Promise<void> {
    this.#over = { ...issuerProblem('task_ended', `the task is ${taskState}`), taskState };
    for (const withdrawn of this.#withdrawn) withdrawn();
    for (const keeper of this.#keepers) keeper.close();
    this.#parts.idle.busy(this);
    this.rest();
    await this.#group?.close();
  }

  #kept({ credential, grant, resource }: DeclaredTask): Kept {
    const { client, heartbeatMs, ports, svid } = this.#parts;
    const turn = svid.turn(credential.boundTo);
    const keeper = new TokenKeeper(
      { credential, generation: 1 },
      {
        client,
        svid: turn,
        nowMs: ports.nowMs,
        after: null,
        onToken: async ({ boundTo }) => turn.rebound(boundTo),
        // A failure of the issuer would be logged once for each task.
        tell: ignored,
        onState: (id, state) => this.#entered(id, state),
        heartbeatMs: this.#group === null ? never : heartbeatMs,
      },
    );
    return { resource, taskId: credential.taskId, grant, keeper, turn };
  }

  #waysTo(doors: readonly UpstreamDoor[], kept: readonly Kept[]): readonly UnitWay[] {
    const localUrls = new LocalUrls();
    const shared = this.#parts;
    return doors.flatMap((door) => {
      const own = kept.find(({ resource }) => resource === door.target.resource);
      if (own === undefined) return [];
      const { grant, keeper, taskId, turn } = own;
      return [
        new UnitWay(door, localSecret(shared.ports), { taskId, grant, keeper, turn, localUrls, shared, unit: this }),
      ];
    });
  }

  #entered(taskId: string, state: KeptState): void {
    this.#group?.changed(taskId, state);
    if (state === 'ended') this.#onEnded(this);
  }

  /** Several tasks must notice soon what happens to one of them. */
  #pauseMs(): number {
    return this.#group === null ? LONE_LOOK_MS * (1 + this.#parts.svid.chance()) : LOOK_MS;
  }
}

const ignored = (): void => undefined;
const never = (): number => Infinity;

interface Kept extends Pick<WayParts, 'taskId' | 'grant' | 'keeper' | 'turn'> {
  readonly resource: string;
}

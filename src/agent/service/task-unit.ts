import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { Forwarded } from '../forward/forwarded.ts';
import { LocalUrls } from '../forward/local/local-urls.ts';
import { defaultUpstreamBounds, UpstreamConnections } from '../forward/upstream/upstream-connections.ts';
import { TaskMark } from '../forward/task-mark.ts';
import { RunGroup } from '../run/run-group.ts';
import type { IssuerClient, TaskCredential } from '../task/issuer-client.ts';
import { issuerProblem, type IssuerProblem } from '../task/issuer-problem.ts';
import type { KeptTools } from '../task/kept-tools.ts';
import type { ProofKey } from '../task/proof-key.ts';
import { type KeptState, TokenKeeper } from '../task/token-keeper.ts';
import { holdsSecret, localSecret } from './local-secret.ts';
import type { SvidRounds } from './svid-rounds.ts';
import type { UpstreamDoor } from './upstream-door.ts';

/** A declared task of a unit. */
export interface DeclaredTask {
  readonly resource: string;
  /** The same for tasks that may use the same tools. */
  readonly grant: string;
  readonly credential: TaskCredential;
}

/** What the units of one helper share. */
export interface UnitParts {
  readonly client: Pick<IssuerClient, 'further' | 'task' | 'end' | 'suspend' | 'resume'>;
  readonly tools: Pick<KeptTools, 'of' | 'denialsOf'>;
  readonly svid: SvidRounds;
  readonly proofKey: ProofKey | null;
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

/** A local URL of a unit, for one upstream. */
export interface UnitWay {
  readonly door: UpstreamDoor;
  readonly secret: string;
  readonly forwarded: Forwarded;
}

/** A keeper of a lone task looks this many times less often, at random up to twice that, so that many are spread out. */
const LOOKS_APART = 4;
/** After this long without a call a unit keeps no connection. Longer than an unused connection over HTTP/1.1 is kept. */
const REST_MS = 5_000;

/**
 * One piece of work of a service: a task for each of its resources, each with its token, its connections and its local URL. They are one unit: what
 * ends or suspends one task ends or suspends all.
 *
 * Lifecycle: from the constructor to `withdraw`.
 */
export class TaskUnit {
  readonly tasks: readonly DeclaredTask[];
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
  readonly #stops: (() => void)[] = [];
  readonly #withdrawn: (() => void)[] = [];
  /** What its calls are answered once it is withdrawn. */
  #over: IssuerProblem | null = null;
  #openCalls = 0;
  #lastCallMs: number;

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
    this.tasks = tasks;
    this.life = life;
    this.user = user;
    this.#parts = parts;
    this.#lastCallMs = parts.ports.monotonicMs();
    this.headerSecret = localSecret(parts.ports);
    this.endSecret = localSecret(parts.ports);
    const { client, tell } = parts;
    const ids = tasks.map(({ credential }) => credential.taskId);
    this.#group = ids.length > 1 ? new RunGroup(ids, { client, tell }) : null;
    const onState = (taskId: string, state: KeptState): void => {
      this.#group?.changed(taskId, state);
      if (state === 'ended') onEnded(this);
    };
    const localUrls = new LocalUrls();
    const kept = new Map(tasks.map((task) => [task.resource, this.#kept(task, onState)]));
    this.#keepers = [...kept.values()].map(({ keeper }) => keeper);
    this.ways = doors.flatMap((door) => {
      const own = kept.get(door.target.resource);
      return own === undefined ? [] : [this.#way(door, own, localUrls)];
    });
  }

  /** Its id for people: that of the task of its first resource. */
  get id(): string {
    return this.tasks[0]?.credential.taskId ?? '';
  }

  /** A call begins; it ends with the `close` of its answer. */
  called(answer: { readonly once: (event: 'close', listener: () => void) => unknown }): void {
    this.#openCalls += 1;
    answer.once('close', () => {
      this.#openCalls -= 1;
      this.#lastCallMs = this.#parts.ports.monotonicMs();
    });
  }

  /** Why it must be cancelled now; `null` if it may go on. */
  overBy(nowMs: number): 'idle' | 'deadline' | null {
    if (nowMs >= this.life.deadlineMs) return 'deadline';
    return this.#openCalls === 0 && nowMs >= this.#lastCallMs + this.life.idleMs ? 'idle' : null;
  }

  /**
   * Closes its connections if it was not called for 5 s: many tasks wait for a model or a person, and a session of HTTP/2 has no
   * idle time-out of its own.
   */
  rest(nowMs: number): void {
    if (this.#openCalls > 0 || nowMs < this.#lastCallMs + REST_MS) return;
    for (const { forwarded } of this.ways) forwarded.connections.rest();
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
    for (const { forwarded } of this.ways) forwarded.connections.close();
    for (const stop of this.#stops) stop();
    await this.#group?.close();
  }

  #kept(task: DeclaredTask, onState: (taskId: string, state: KeptState) => void): Kept {
    const { client, heartbeatMs, ports, svid } = this.#parts;
    const { credential } = task;
    const turn = svid.turn(credential.boundTo);
    // Several tasks must notice soon what happens to one of them.
    const isAlone = this.#group === null;
    const keeper = new TokenKeeper(
      { credential, generation: 1 },
      {
        client,
        svid: turn,
        nowMs: ports.nowMs,
        after: (delayMs, run) => after(delayMs * (isAlone ? LOOKS_APART + LOOKS_APART * svid.chance() : 1), run),
        onToken: ({ boundTo }) => {
          turn.rebound(boundTo);
          return Promise.resolve();
        },
        // A failure of the issuer would be logged once for each task.
        tell: () => undefined,
        onState,
        heartbeatMs: isAlone ? () => Infinity : heartbeatMs,
      },
    );
    return { task, keeper, turn };
  }

  #way(door: UpstreamDoor, { keeper, task: { credential, grant }, turn }: Kept, localUrls: LocalUrls): UnitWay {
    const { ports, proofKey, svid, tools } = this.#parts;
    const { authorities, port, target } = door;
    const secret = localSecret(ports);
    localUrls.add({ port, secret, target });
    const renewals = svid.renewals();
    this.#stops.push(renewals.stop);
    const connections = new UpstreamConnections(target, { svid: renewals, bounds: defaultUpstreamBounds, authorities });
    const forwarded: Forwarded = {
      target,
      connections,
      bounds: defaultUpstreamBounds,
      localUrls: {
        hidden: (value) => withoutSecrets(localUrls.hidden(value)),
        hiddenTarget: (value) => withoutSecrets(localUrls.hiddenTarget(value)),
      },
      proofKey,
      mark: new TaskMark(secret),
      current: async () => {
        // Without a connection of the certificate before, only the new certificate can be used.
        if (!connections.holds(turn.boundTo)) turn.hasten();
        return this.#unlessOver(keeper.current());
      },
      another: (refused) => this.#unlessOver(keeper.another(refused)),
      listed: () => tools.of(credential.taskId, { resource: target.resource, grant }),
      denials: () => tools.denialsOf(target.resource),
      onOwnAuthorization: door.onOwnAuthorization,
    };
    return { door, secret, forwarded };
  }

  /** INVARIANT: a call that is sent again, or that waited for its token, gets none after the end, although that token may still be good. */
  async #unlessOver(given: Promise<TaskCredential | IssuerProblem>): Promise<TaskCredential | IssuerProblem> {
    const credential = await given;
    return this.#over ?? credential;
  }
}

/** INVARIANT: no secret of any task goes upstream in a header or a path, also if a client confuses two tasks. */
const withoutSecrets = (text: string | null): string | null => (text === null || holdsSecret(text) ? null : text);

interface Kept {
  readonly task: DeclaredTask;
  readonly keeper: TokenKeeper;
  readonly turn: ReturnType<SvidRounds['turn']>;
}

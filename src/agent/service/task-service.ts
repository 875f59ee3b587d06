import { LRUCache } from 'lru-cache';
import { upTo } from '../../core/runtime/collections/up-to.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { repeatedly } from '../../core/runtime/repeatedly.ts';
import { after } from '../../core/runtime/timers.ts';
import type { OwnSvid } from '../run/own-svid.ts';
import { type OAuthDeclaration, oauthDeclarationFrom } from '../task/declaration.ts';
import type { IntentFile } from '../task/intent.ts';
import type { IssuerPlace } from '../task/issuer-call.ts';
import { isIssuerProblem } from '../task/issuer-problem.ts';
import { grantKey } from '../task/grant-key.ts';
import { KeptTools } from '../task/kept-tools.ts';
import type { ProofKey } from '../task/proof-key.ts';
import { type ApiAnswer, isApiAnswer, noRoom, refusedByIssuer, badRequest } from './api-answer.ts';
import { IdleUnits } from './idle-units.ts';
import type { TaskJournal } from './journal.ts';
import { type ServiceIssuer, serviceIssuer, type Waiting } from './service-issuer.ts';
import { secretKey } from './local-secret.ts';
import { SvidRounds } from './svid-rounds.ts';
import type { TaskRequest } from './task-request.ts';
import { type DeclaredTask, TaskUnit, type UnitParts } from './task-unit.ts';
import type { UnitWay } from './unit-way.ts';
import { type EndedTask, TaskEnds } from './task-ends.ts';
import { requestedIntent, type Templates } from './templates.ts';
import type { UpstreamDoor } from './upstream-door.ts';
import { userOf } from './user-places.ts';

/** Bounds of a helper. */
export interface ServiceBounds {
  /** Most tasks at once; a further task is answered 503. */
  readonly maxTasks: number;
  /** Most tasks at once for one user. */
  readonly maxTasksPerUser: number;
  /** Longest time without a call, in seconds, unless a request asks for less. */
  readonly idleSeconds: number;
}

/** What a service works with. */
export interface ServiceParts {
  readonly issuer: IssuerPlace;
  readonly svid: OwnSvid;
  readonly proofKey: ProofKey | null;
  readonly templates: Templates;
  /** Whether a request may bring an intent of its own. */
  readonly takesOwnIntents: boolean;
  readonly bounds: ServiceBounds;
  readonly journal: TaskJournal;
  readonly ports: Ports;
  readonly tell: (line: string) => void;
}

/** New tasks that may wait for the issuer; a further task is answered 503. */
const MAX_WAITING = 1_024;
/** Between two looks for tasks that are idle or over, or whose tokens are to be renewed. */
const LOOK_MS = 500;
const HEARTBEAT_MS = 10_000;
/** With more tasks each is asked about more rarely, so that all together ask this often. */
const HEARTBEAT_EACH_MS = 40;
/** Secrets of ended tasks, some three for each, that are still answered with what became of them. */
const MAX_ENDED = 20_000;

/** A way into a live task, by the key of its secret. */
type Opened =
  | { readonly kind: 'way'; readonly unit: TaskUnit; readonly way: UnitWay }
  | { readonly kind: 'header'; readonly unit: TaskUnit }
  | { readonly kind: 'end'; readonly unit: TaskUnit };

/** What a secret opened until its task ended. */
interface EndedSecret {
  readonly what: 'calls' | 'end';
  readonly ended: EndedTask;
}

/**
 * The tasks of a service: declares, holds and ends them. A secret of a URL opens one thing of one task.
 *
 * Lifecycle: from the constructor to `close`, which cancels all.
 */
export class TaskService {
  readonly #parts: ServiceParts;
  readonly #issuer: ServiceIssuer;
  readonly #units = new Set<TaskUnit>();
  readonly #secrets = new Map<string, Opened>();
  readonly #ended = new LRUCache<string, EndedSecret>(upTo(MAX_ENDED));
  readonly #endOf = new WeakMap<TaskUnit, EndedTask>();
  readonly #users = new Map<string, number>();
  readonly #idle = new IdleUnits();
  readonly #ends: TaskEnds;
  readonly #shared: UnitParts;
  readonly #stopLooking: () => Promise<void>;
  #doors: readonly UpstreamDoor[] = [];
  /** Places taken by requests that are being declared. */
  #taken = 0;
  readonly #declaring = new Set<Promise<unknown>>();
  #isClosing = false;

  constructor(parts: ServiceParts) {
    const { issuer, journal, ports, proofKey, svid, tell } = parts;
    this.#parts = parts;
    this.#issuer = serviceIssuer(issuer, { svid, proofKey, ports });
    this.#ends = new TaskEnds({ end: this.#issuer.end, journal, tell });
    this.#shared = {
      client: this.#issuer,
      tools: new KeptTools(this.#issuer, ports),
      svid: new SvidRounds(svid, ports, () => this.#units.size),
      idle: this.#idle,
      proofKey,
      ports,
      heartbeatMs: () => Math.max(HEARTBEAT_MS, HEARTBEAT_EACH_MS * this.#units.size),
      tell,
    };
    this.#stopLooking = repeatedly(
      () => {
        this.#look();
        return Promise.resolve();
      },
      { everyMs: LOOK_MS, after, onFault: () => undefined },
    );
  }

  /** The local addresses of its upstreams; once, before the first task. */
  serve(doors: readonly UpstreamDoor[]): void {
    this.#doors = doors;
  }

  /** The number of open tasks, and how many there may be. */
  get counts(): { readonly open: number; readonly max: number } {
    return { open: this.#units.size, max: this.#parts.bounds.maxTasks };
  }

  /** What a secret opens; `null` for none. */
  opened(secret: string): Opened | null {
    return this.#secrets.get(secretKey(secret)) ?? null;
  }

  /** The ended task that a secret opened, for calls or for its end; `null` if it is not known, or not any more. */
  endedBy(secret: string, what: 'calls' | 'end'): EndedTask | null {
    const found = this.#ended.get(secretKey(secret));
    return found?.what === what ? found.ended : null;
  }

  /** Declares the tasks of a request. */
  declare(request: TaskRequest, { isGone, traceparent }: Waiting): Promise<TaskUnit | ApiAnswer> {
    const made = this.#declare(request, { traceparent, isGone: () => this.#isClosing || isGone() });
    const tracked: Promise<TaskUnit | ApiAnswer> = made.finally(() => this.#declaring.delete(tracked));
    this.#declaring.add(tracked);
    return tracked;
  }

  async #declare(request: TaskRequest, waiting: Waiting): Promise<TaskUnit | ApiAnswer> {
    const { bounds, ports, takesOwnIntents, templates } = this.#parts;
    if (typeof request.intent !== 'string' && !takesOwnIntents)
      return badRequest(403, 'access_denied', 'an intent must be the name of one of the folder of this helper');
    const intent = requestedIntent(request, templates);
    if (isProblem(intent)) return badRequest(400, 'invalid_request', intent.problem);
    const declarations = this.#declarationsOf(intent, request);
    if (isApiAnswer(declarations)) return declarations;
    const user = request.subject === null ? null : userOf(request.subject.token);
    const full = this.#problemOfRoom(user);
    if (full !== null) return full;
    this.#taken += 1;
    if (user !== null) this.#users.set(user, (this.#users.get(user) ?? 0) + 1);
    const startedMs = ports.monotonicMs();
    const tasks = await this.#declared(declarations, waiting).finally(() => (this.#taken -= 1));
    if (isApiAnswer(tasks)) {
      this.#leave(user);
      return tasks;
    }
    const { expiresInSeconds } = intent;
    const idleSeconds = Math.min(request.idleSeconds ?? Infinity, bounds.idleSeconds);
    const unit = new TaskUnit(
      tasks,
      {
        doors: this.#doorsOf(declarations),
        life: {
          idleMs: request.hold ? Infinity : idleSeconds * 1_000,
          deadlineMs: expiresInSeconds === null ? Infinity : startedMs + expiresInSeconds * 1_000,
        },
        user,
        onEnded: (over) => void this.end(over, 'cancel'),
      },
      this.#shared,
    );
    this.#add(unit);
    // The helper began to close while the issuer was asked: nobody gets this task.
    if (!this.#isClosing) return unit;
    await this.end(unit, 'cancel');
    return noRoom('this helper is ending');
  }

  /**
   * Ends the tasks of a unit. Its URLs are dead at once; resolves with what the issuer says, or once it could not be asked: then it is asked
   * again until it answers.
   *
   * @param traceparent of the request that ends it; `null` if there is none
   */
  end(unit: TaskUnit, by: 'complete' | 'cancel', traceparent: string | null = null): Promise<EndedTask> {
    const known = this.#endOf.get(unit);
    if (known !== undefined) return known.settled;
    this.#units.delete(unit);
    const ended = this.#ends.begin(unit, by, traceparent);
    this.#endOf.set(unit, ended);
    const forget = (secret: string, what: EndedSecret['what']): void => {
      this.#secrets.delete(secretKey(secret));
      this.#ended.set(secretKey(secret), { what, ended });
    };
    forget(unit.endSecret, 'end');
    for (const secret of [unit.headerSecret, ...unit.ways.map((way) => way.secret)]) forget(secret, 'calls');
    this.#leave(unit.user);
    return ended.settled;
  }

  /** Cancels tasks that an earlier process has left. */
  endLeft(taskIds: readonly string[]): Promise<void> {
    return this.#ends.cancelLeft(taskIds);
  }

  /**
   * Takes no further task and cancels all. Resolves when the issuer has answered for each, or `withinMs` is over.
   *
   * @returns how many are not ended
   */
  async close(withinMs: number): Promise<number> {
    this.#isClosing = true;
    await this.#stopLooking();
    const { monotonicMs } = this.#parts.ports;
    const endMs = monotonicMs() + withinMs;
    for (const unit of this.#units) void this.end(unit, 'cancel');
    // The issuer may have made a task whose id is still on its way here.
    const late = new Promise<void>((resolve) => void after(withinMs, resolve));
    await Promise.race([Promise.allSettled(this.#declaring), late]);
    const left = await this.#ends.settledWithin(Math.max(0, endMs - monotonicMs()));
    this.#issuer.close();
    return left;
  }

  /** A declaration for each resource of the intent, or why a resource cannot be used here. */
  #declarationsOf(intent: IntentFile, { subject }: TaskRequest): readonly OAuthDeclaration[] | ApiAnswer {
    const declarations: OAuthDeclaration[] = [];
    for (const resource of new Set(intent.access.map((entry) => entry.resource))) {
      if (!this.#doors.some(({ target }) => target.resource === resource))
        return badRequest(400, 'invalid_target', `no --forward of this helper is for the resource ${resource}`);
      const choice = { resource, ttlSeconds: null, nowMs: this.#parts.ports.nowMs() };
      const declaration = oauthDeclarationFrom(intent, choice);
      if (isProblem(declaration)) return badRequest(400, 'invalid_request', declaration.problem);
      declarations.push({ ...declaration, subject });
    }
    return declarations;
  }

  #doorsOf(declarations: readonly OAuthDeclaration[]): readonly UpstreamDoor[] {
    return this.#doors.filter(({ target }) => declarations.some(({ resource }) => resource === target.resource));
  }

  #problemOfRoom(user: string | null): ApiAnswer | null {
    const { maxTasks, maxTasksPerUser } = this.#parts.bounds;
    if (this.#isClosing) return noRoom('this helper is ending');
    if (this.#units.size + this.#taken >= maxTasks) return noRoom(`this helper has ${maxTasks} tasks, its most`);
    if (user !== null && (this.#users.get(user) ?? 0) >= maxTasksPerUser)
      return noRoom(`this user has ${maxTasksPerUser} tasks at this helper, the most for one user`);
    return this.#issuer.waiting() >= MAX_WAITING ? noRoom('too many tasks wait for the issuer') : null;
  }

  /** Declares all of them at once. If one is refused, the others are cancelled. */
  async #declared(
    declarations: readonly OAuthDeclaration[],
    waiting: Waiting,
  ): Promise<readonly DeclaredTask[] | ApiAnswer> {
    const { journal } = this.#parts;
    const asked = await Promise.all(
      declarations.map(async (declaration) => {
        const credential = await this.#issuer.declare(declaration, waiting);
        return { resource: declaration.resource, grant: grantKey(declaration), credential };
      }),
    );
    const tasks = asked.flatMap(({ credential, ...of }) =>
      isIssuerProblem(credential) ? [] : [{ ...of, credential }],
    );
    const ids = tasks.map(({ credential }) => credential.taskId);
    const isKept = await Promise.all(ids.map((taskId) => journal.declared(taskId))).then(
      () => true,
      () => false,
    );
    const refused = asked.map(({ credential }) => credential).find(isIssuerProblem);
    if (refused === undefined && isKept) return tasks;
    void this.#ends.cancelLeft(ids);
    return refused === undefined ? noRoom('the journal of this helper cannot be written') : refusedByIssuer(refused);
  }

  #add(unit: TaskUnit): void {
    this.#units.add(unit);
    for (const way of unit.ways) this.#secrets.set(secretKey(way.secret), { kind: 'way', unit, way });
    this.#secrets.set(secretKey(unit.headerSecret), { kind: 'header', unit });
    this.#secrets.set(secretKey(unit.endSecret), { kind: 'end', unit });
  }

  #leave(user: string | null): void {
    if (user === null) return;
    const left = (this.#users.get(user) ?? 1) - 1;
    if (left > 0) this.#users.set(user, left);
    else this.#users.delete(user);
  }

  #look(): void {
    const nowMs = this.#parts.ports.monotonicMs();
    for (const unit of this.#units) {
      if (unit.overBy(nowMs) === null) unit.look(nowMs);
      else void this.end(unit, 'cancel');
    }
    this.#idle.restOverdue(nowMs);
  }
}

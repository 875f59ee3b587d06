import { isOpen } from '../../src/core/task/task.ts';
import type { Authority } from './authority.ts';
import { ORDERS_ROOT } from '../../src/core/state/feed.ts';
import { ordered, orderLifted, serverOf, stopNumber } from './order-rows.ts';
import { recordOfEnd } from './outbox-rows.ts';
import type { UseKind } from './promise.ts';
import { declaring, happening, issuing, riskRaised, rootOf, tokenRevoked } from './rows.ts';
import type { HeldByAgent, Sidecar } from './sidecar.ts';
import type { World } from './world.ts';

const KINDS: readonly UseKind[] = ['plain', 'plain', 'plain', 'call', 'once', 'read', 'send', 'send'];
const OPERATIONS = ['complete', 'revoke', 'suspend', 'suspend', 'resume', 'resume', 'risk', 'token'] as const;

const MAX_TASKS = 20;
/** Each so many tokens another one is used frequently. */
const HOT_EACH = 6;

/** Agents that declare tasks and use their tokens at any sidecar, and operators that end, suspend and resume them at any authority. */
export class Agents {
  readonly #world: World;
  readonly #tokens: HeldByAgent[] = [];
  /** Tokens in use at a time. */
  readonly #inUse: number;
  #roots = 0;
  #parts = 0;
  #issued = 0;
  #orders = 0;
  /** Ids of stops that are acknowledged. */
  readonly #stops: string[] = [];
  #isOver = false;
  /** Whether the proof after all faults is complete. */
  isProven = false;

  constructor(world: World) {
    this.#world = world;
    this.#inUse = world.random.whole(2, 7);
    for (let first = 0; first < 2; first += 1) this.#declare();
    this.#each([40, 250], () => this.#declare());
    this.#each([2, 14], () => this.#use());
    const rarely = world.random.pick([20, 80, 200]) ?? 80;
    this.#each([rarely / 4, rarely * 1.5], () => this.#operate());
    if (world.hasOrders) this.#each([rarely / 4, rarely * 1.5], () => this.#order());
    if (world.hasShares) this.#each([1, 8], () => this.#spend());
  }

  /** No more of them. */
  over(): void {
    this.#isOver = true;
  }

  /** After all faults: each sidecar must allow a new task, and must refuse it once its end is acknowledged. */
  prove(withinMs: number): void {
    const world = this.#world;
    const id = 'last';
    const token = { taskId: id, jtiDigest: `${id}/0`, generation: 1 };
    const authority = world.authorities.at(-1)?.now;
    const allowed = new Set<string>();
    let isEnforced = false;
    const endIt = (): void =>
      authority?.change(happening(id, 'complete'), (done) => {
        if (done === null) return endIt();
        authority.enforce(id, {
          seq: done.head,
          done: () => {
            isEnforced = true;
            this.isProven = allowed.size === world.sidecars.length;
            this.#acknowledged(token, () => world.promise.taskEnded(id, Infinity));
          },
        });
      });
    const declareIt = (): void =>
      authority?.change(declaring(id, null), (done) => {
        if (done === null) return declareIt();
        useIt();
      });
    const useIt = (): void => {
      const attempt = (name: string, sidecar: Sidecar, tries: number): void =>
        sidecar.use({ ...token, kind: 'plain' }, (isAllowed) => {
          if (isAllowed) allowed.add(name);
          else if (tries > 0) sidecar.party.after(50, () => attempt(name, sidecar, tries - 1));
          if (allowed.size === world.sidecars.length && isAllowed) endIt();
        });
      for (const { name, now } of world.sidecars) attempt(name, now, 20);
    };
    declareIt();
    world.schedule.after(withinMs, () => {
      const missing = world.sidecars.filter(({ name }) => !allowed.has(name)).map(({ name }) => name);
      if (missing.length > 0)
        world.promise.broken(`${missing.join(', ')} does not allow a new task although all is well again`);
      else if (!isEnforced) world.promise.broken('the last end is not acknowledged although all is well again');
    });
  }

  #each([least, most]: readonly [number, number], work: () => void): void {
    const { schedule, random } = this.#world;
    const next = (): void => {
      if (this.#isOver) return;
      work();
      schedule.after(random.between(least, most), next);
    };
    schedule.after(random.between(least, most), next);
  }

  #authority(): Authority | null {
    const authority = this.#world.anyAuthority();
    return authority?.party.isRunning === true ? authority : null;
  }

  #declare(): void {
    const { random } = this.#world;
    if (this.#roots >= MAX_TASKS) return;
    const isPart = this.#roots > 0 && random.chance(0.3);
    if (isPart) this.#parts += 1;
    else this.#roots += 1;
    const root = `r${isPart ? random.whole(Math.max(1, this.#roots - 2), this.#roots) : this.#roots}`;
    const id = isPart ? `${root}.${this.#parts}` : root;
    const askedMs = this.#world.schedule.nowMs;
    this.#authority()?.change(declaring(id, isPart ? root : null), (done) => {
      if (done?.result !== true) return;
      this.#world.promise.declarationCommitted(id, askedMs);
      this.#tokens.push({ taskId: id, jtiDigest: `${id}/0`, generation: 1 });
    });
  }

  #issue(id: string): void {
    this.#issued += 1;
    this.#authority()?.change(issuing(id, this.#issued), (done) => {
      if (done === null || done.result === null) return;
      const { jtiDigest, generation } = done.result;
      this.#tokens.push({ taskId: id, jtiDigest, generation });
    });
  }

  #use(): void {
    const { random, sidecars } = this.#world;
    const token = random.pick(this.#tokens.slice(-this.#inUse));
    const sidecar = random.pick(sidecars)?.now;
    const kind = random.pick(KINDS);
    if (token !== undefined && sidecar !== undefined && kind !== undefined)
      sidecar.party.run(() => {
        sidecar.use({ ...token, kind });
        if (this.#world.hasOrders) sidecar.bare(serverOf(rootOf(token.taskId)));
      });
  }

  /** A call of the same task for a while, so frequently that sidecars are lent shares of its budget. */
  #spend(): void {
    const { random, sidecars } = this.#world;
    const token = this.#tokens[Math.floor(this.#tokens.length / HOT_EACH) * HOT_EACH - 1] ?? this.#tokens[0];
    const sidecar = random.pick(sidecars)?.now;
    if (token !== undefined && sidecar !== undefined) sidecar.party.run(() => sidecar.use({ ...token, kind: 'call' }));
  }

  #operate(): void {
    const { random, promise, schedule } = this.#world;
    const askedMs = schedule.nowMs;
    const token = random.pick(this.#tokens.slice(-this.#inUse));
    const authority = this.#authority();
    const operation = random.pick(OPERATIONS);
    // Others use it at the same time.
    if (token !== undefined) this.#useEverywhere(token, 30);
    if (this.#world.hasLedgers && token !== undefined && authority !== null) this.#look(token, authority);
    if (token === undefined || authority === null || operation === undefined) return;
    const { taskId, jtiDigest } = token;
    const enforced = (seq: number, acknowledge: () => void): void =>
      authority.enforce(taskId, { seq, done: () => this.#acknowledged(token, acknowledge) });
    if (operation === 'token') {
      return authority.change(tokenRevoked(taskId, jtiDigest), (done) => {
        if (done?.result === true) enforced(done.head, () => promise.tokenRevoked(jtiDigest));
      });
    }
    authority.change(operation === 'risk' ? riskRaised(taskId) : happening(taskId, operation), (done) => {
      if (done === null || done.result === null) return;
      const { head, result } = done;
      if (!isOpen(result.state)) {
        this.#world.recorded(() => recordOfEnd(taskId), askedMs);
        promise.endCommitted(taskId, askedMs);
      }
      if (operation === 'risk') enforced(head, () => promise.taskRisky(taskId));
      else if (result.state === 'active') this.#issue(taskId);
      else enforced(head, () => promise.taskEnded(taskId, result.state === 'suspended' ? result.generation : Infinity));
    });
  }

  /** An operator stops a server, or lifts a stop. */
  #order(): void {
    const { mistake, promise, random, schedule, sidecars } = this.#world;
    const authority = this.#authority();
    if (authority === null) return;
    const askedMs = schedule.nowMs;
    const lifted = random.chance(0.4) ? this.#stops.shift() : undefined;
    if (lifted !== undefined) {
      promise.lifting(lifted);
      return authority.change(orderLifted(lifted), () => undefined);
    }
    this.#orders += 1;
    const stop = stopNumber(this.#orders, random.whole(0, 3));
    const callEverywhere = (withinMs: number): void => {
      for (const { now } of sidecars) schedule.after(random.between(0, withinMs), () => now.bare(stop.what), now.party);
    };
    const acknowledge = (): void => {
      promise.stopped(stop.id, stop.what, askedMs);
      this.#stops.push(stop.id);
      for (const withinMs of [0, 60, 600, 2_000]) callEverywhere(withinMs);
    };
    callEverywhere(30);
    authority.change(ordered(stop), (done) => {
      if (done === null) return;
      if (mistake === 'stop-acknowledged-at-commit') acknowledge();
      else authority.enforce(ORDERS_ROOT, { seq: done.head, done: acknowledge });
    });
  }

  /** An operator looks at a task. */
  #look({ taskId }: HeldByAgent, authority: Authority): void {
    const { promise, schedule } = this.#world;
    const askedMs = schedule.nowMs;
    authority.show(taskId, (state) => {
      if (state !== null) promise.onAnswer(taskId, state, { askedMs, authority });
    });
  }

  /** An acknowledgement: from now on nobody may allow it, so everybody is tried, at once and a little later. */
  #acknowledged(token: HeldByAgent, acknowledge: () => void): void {
    acknowledge();
    for (const withinMs of [0, 60, 600]) this.#useEverywhere(token, withinMs);
  }

  #useEverywhere(token: HeldByAgent, withinMs: number): void {
    const { schedule, random, sidecars } = this.#world;
    for (const { now } of sidecars) {
      schedule.after(random.between(0, withinMs), () => now.use({ ...token, kind: 'plain' }), now.party);
    }
  }
}

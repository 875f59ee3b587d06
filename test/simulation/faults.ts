import { LOST_COMMITS } from '../../src/core/fleet/fleet-report.ts';
import { HostileLogin } from './hostile-login.ts';
import type { Mistake } from './mistakes.ts';
import type { Party } from './party.ts';
import type { Random } from './random.ts';
import { LOOK_MS, TOLD_MS } from './terms.ts';
import type { World } from './world.ts';

/** A fault that lasts. It gives what ends it, where that is more than to heal the network and to repair the database. */
type Fault = (world: World, random: Random) => (() => void) | null;

const both = (one: string, other: string, work: (from: string, to: string) => void): void => {
  work(one, other);
  work(other, one);
};

/** Two places that talk, one of which is an authority. */
function talkingTo(world: World, random: Random): readonly [string, string] | null {
  const authority = random.pick(world.authorities)?.name;
  const others = [...world.sidecars.map(({ name }) => name), ...world.database.nodes.map(({ place }) => place)];
  const other = random.pick(others);
  return authority === undefined || other === undefined ? null : [other, authority];
}

const anyParty = (world: World, random: Random): Party | undefined =>
  random.pick([...world.sidecars, ...world.sidecars, ...world.authorities])?.now.party;

const FAULTS: Readonly<Record<string, Fault>> = {
  cut: (world, random) => {
    const pair = talkingTo(world, random);
    if (pair !== null) both(...pair, (from, to) => world.network.block(from, to));
    return null;
  },
  'half-open': (world, random) => {
    const pair = talkingTo(world, random);
    if (pair === null) return null;
    const [from, to] = random.chance(0.5) ? pair : pair.toReversed();
    if (from !== undefined && to !== undefined) world.network.block(from, to);
    return null;
  },
  slow: (world, random) => {
    const pair = talkingTo(world, random);
    if (pair === null) return null;
    const mostMs = random.between(30, 400);
    both(...pair, (from, to) => {
      if (random.chance(0.7)) world.network.slow(from, to, mostMs);
    });
    return null;
  },
  'sidecar cut off': (world, random) => {
    const sidecar = random.pick(world.sidecars)?.name;
    for (const { name } of world.authorities) both(sidecar ?? '', name, (from, to) => world.network.block(from, to));
    return null;
  },
  'authority without database': (world, random) => {
    const authority = random.pick(world.authorities)?.name;
    for (const { place } of world.database.nodes)
      both(authority ?? '', place, (from, to) => world.network.block(from, to));
    return null;
  },
  'primary cut off from standbys': ({ database, authorities, network, schedule }, random) => {
    const old = database.primary;
    const rest = database.nodes.filter((node) => node !== old);
    // Some authorities are on the side of the old primary.
    const beside = [
      ...(old === null ? [] : [old.place]),
      ...authorities.filter(() => random.chance(0.5)).map(({ name }) => name),
    ];
    for (const place of beside) for (const node of rest) both(place, node.place, (from, to) => network.block(from, to));
    if (random.chance(0.5)) schedule.after(random.between(50, 300), () => database.failOver());
    return null;
  },
  'primary dies': ({ database, schedule }, random) => {
    const old = database.primary;
    if (old === null || !old.isUp) return null;
    database.crash(old);
    schedule.after(random.between(50, 700), () => {
      if (!old.isUp) database.failOver();
    });
    return null;
  },
  'primary starts again': ({ database, schedule }, random) => {
    const old = database.primary;
    if (old === null || !old.isUp) return null;
    database.crash(old);
    schedule.after(random.between(20, 400), () => {
      if (old.isPrimary && !old.isUp) database.restart(old);
    });
    return null;
  },
  'waits are cancelled': ({ database, network, schedule }, random) => {
    const old = database.primary;
    if (old === null) return null;
    for (const { place } of database.nodes) if (place !== old.place) network.block(old.place, place);
    const times = random.whole(1, 16);
    for (let time = 0; time < times; time += 1) schedule.after(30 + 20 * time, () => database.cancelWaits(old));
    if (random.chance(0.7)) schedule.after(30 + 20 * times + random.between(0, 100), () => database.failOver());
    return null;
  },
  stop: (world, random) => {
    const party = anyParty(world, random);
    party?.stop();
    return () => party?.continue();
  },
  'machine paused': (world, random) => {
    const party = anyParty(world, random);
    // No process can know that it stood still whose wall clock was set back meanwhile.
    if (party === undefined || party.wallOffsetMs !== 0) return null;
    party.pause();
    return () => party.continue();
  },
  'sidecar dies': (world, random) => {
    const place = random.pick(world.sidecars);
    if (place?.now.party.isEnded !== false) return null;
    place.now.end();
    return () => world.startSidecar(place);
  },
  'authority dies': (world, random) => {
    const place = random.pick(world.authorities);
    if (place?.now.party.isEnded !== false) return null;
    place.now.end();
    return () => world.startAuthority(place);
  },
  'backup restored': (world) => {
    world.restoreBackup();
    return null;
  },
  'hostile login': (world) => {
    const login = new HostileLogin(world);
    return () => login.end();
  },
  'disk lost': (world, random) => {
    const place = random.pick(world.authorities);
    if (place?.now.party.isEnded !== false || world.isDiskLost) return null;
    world.isDiskLost = true;
    place.now.end();
    world.diskOf(place.name).lose();
    return () => world.startAuthority(place);
  },
  'connections reset': (world) => {
    world.resets = 0.2;
    return () => {
      world.resets = 0;
    };
  },
  'clock step': (world, random) => {
    const party = anyParty(world, random);
    if (party?.hasPaused === false) party.wallOffsetMs = random.between(-3_600_000, 3_600_000);
    return null;
  },
};

/** The names of all kinds of fault. */
export const FAULT_KINDS = Object.keys(FAULTS);

/** Met by each fourth seed, so that the others, some of which are known for what they show, run as before: by the rest of the seed. */
const LATER_KINDS: readonly (readonly string[])[] = [['machine paused'], [], ['disk lost'], ['hostile login']];
const FIRST_KINDS = FAULT_KINDS.filter((kind) => !LATER_KINDS.flat().includes(kind));

/** Mistakes that show under one kind of fault alone, and seldom: they get no other. */
const SHOWN_BY: Partial<Record<Mistake, readonly string[]>> = {
  'unsynced-card': ['waits are cancelled'],
  'no-margin': ['sidecar cut off'],
  'monotonic-lease': ['machine paused'],
  'loss-unnoticed': ['backup restored'],
  'position-unmarked': ['backup restored'],
  'restore-keeps-tasks': ['backup restored'],
  'restored-in-haste': ['backup restored'],
  'seal-key-in-database': ['hostile login'],
  'rows-go-back': ['hostile login'],
  'older-copy-shown': ['backup restored'],
  'loss-kept-to-itself': ['backup restored', 'authority dies', 'sidecar dies'],
  'loss-in-ledger-untold': ['backup restored'],
  'one-ledger-is-enough': ['authority dies', 'disk lost'],
  'forgotten-before-written': ['authority dies', 'disk lost'],
  'forgotten-in-older-copy': ['backup restored', 'disk lost'],
  'unsynced-record': ['waits are cancelled', 'disk lost'],
  'missing-untold': ['authority dies', 'disk lost'],
  'renewed-by-read': ['primary cut off from standbys'],
};

/** The kinds of fault of one run: a few kinds, often repeated, find more than all of them, each of which is rare. */
const kindsOf = ({ seed, random, mistake }: World): readonly string[] => {
  const shown = mistake === null ? undefined : SHOWN_BY[mistake];
  if (shown !== undefined) return shown;
  const count = random.whole(1, 5);
  const kinds = Array.from({ length: count }, () => random.pick(FIRST_KINDS) ?? '');
  return [...kinds, ...(LATER_KINDS[seed % LATER_KINDS.length] ?? [])];
};

/** One fault after another, some at the same time, until an instant. */
export class Faults {
  readonly #world: World;
  readonly #endMs: number;
  readonly #kinds: readonly string[];
  /** What ends the faults there are. */
  #ends: (() => void)[] = [];
  /** The names of all faults there were, for who looks into a run. */
  readonly log: string[] = [];
  /** Whether all was well again since the last fault. */
  isHealed = true;

  constructor(world: World, endMs: number) {
    this.#world = world;
    this.#endMs = endMs;
    this.#kinds = kindsOf(world);
    this.#next();
  }

  /** All is well again. Then `then`: where operators look at authorities, they restore only what those have told. */
  heal(then: () => void = () => undefined): void {
    this.isHealed = false;
    const healed = (): void => {
      this.isHealed = true;
      then();
    };
    const { database, hasLedgers, network } = this.#world;
    network.heal();
    database.repair();
    const isLooked = hasLedgers && database.isRestoreDue;
    if (!isLooked && database.isRestoreDue) this.#world.restore();
    for (const end of this.#ends.splice(0)) end();
    if (isLooked) this.#look(this.#world.schedule.nowMs + TOLD_MS, healed);
    else healed();
  }

  /** An operator waits until all authorities tell of the loss, and restores. */
  #look(untilMs: number, healed: () => void): void {
    const { authorities, database, promise, schedule } = this.#world;
    if (!database.isRestoreDue) return healed();
    const told = authorities.map(({ name, now }) => [name, now.cause] as const);
    const isOver = told.every(([, cause]) => cause === LOST_COMMITS) || schedule.nowMs >= untilMs;
    if (!isOver) return schedule.after(LOOK_MS, () => this.#look(untilMs, healed));
    promise.toldCauses(told, { isWitnessed: this.#world.isLossWitnessed });
    this.#world.restore();
    healed();
  }

  #next(): void {
    const { schedule, random } = this.#world;
    schedule.after(random.between(20, 300), () => {
      if (schedule.nowMs > this.#endMs) return;
      this.#begin();
      if (random.chance(0.25)) this.#begin();
      schedule.after(random.between(20, random.chance(0.3) ? 1_800 : 300), () => {
        this.heal(() => {
          if (schedule.nowMs < this.#endMs) this.#next();
        });
      });
    });
  }

  #begin(): void {
    const { schedule, random } = this.#world;
    const name = random.pick(this.#kinds) ?? '';
    this.log.push(`${Math.round(schedule.nowMs)} ${name}`);
    const end = FAULTS[name]?.(this.#world, random);
    if (end) this.#ends.push(end);
  }
}

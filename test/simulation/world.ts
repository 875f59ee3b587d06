import type { EncodedRecord } from '../../src/core/ledger/encoded-record.ts';
import { Authority } from './authority.ts';
import { headOf, markAt } from './database-node.ts';
import { Database } from './database.ts';
import { Disk, textOf } from './disk.ts';
import { isWithLedgers, isWithOrders, isWithShares, isWithWindows } from './mistakes.ts';
import type { Mistake } from './mistakes.ts';
import { Network } from './network.ts';
import type { Party } from './party.ts';
import { FleetPromise, SHARED_CALLS } from './promise.ts';
import { Random } from './random.ts';
import { restoring, taskIdsIn } from './rows.ts';
import { Schedule } from './schedule.ts';
import { Sidecar } from './sidecar.ts';
import { LEASE_MS } from './terms.ts';

/** A process of the fleet that can be replaced by a new life of itself. */
export interface Place<T> {
  readonly name: string;
  lives: number;
  now: T;
}

/** Everything of one run: time, chance, network, database, one to three authorities and one to five sidecars. */
export class World {
  readonly schedule = new Schedule();
  readonly seed: number;
  readonly random: Random;
  readonly mistake: Mistake | null;
  readonly network: Network;
  readonly database: Database;
  readonly promise = new FleetPromise(this.schedule);
  /** A lone authority tells nobody by a row that it lives. It enforces nothing until the leases of its earlier life are over. */
  readonly isAlone: boolean;
  /** How probably a connection is reset when it is used. */
  resets = 0;
  #restores = 0;
  /** Cards of a sidecar: often fewer than there are tasks, so that some are dropped. */
  readonly maxCards: number;
  /**
   * Whether authorities have ledgers, and operators look at tasks. In each fourth seed alone, so that the others, some of which are known for
   * what they show, run as before.
   */
  readonly hasLedgers: boolean;
  /** Whether operators stop servers, in other seeds, likewise. */
  readonly hasOrders: boolean;
  /** Whether tasks have larger budgets, of which sidecars are lent shares, in other seeds, likewise. */
  readonly hasShares: boolean;
  /** Whether calls are counted by a limit over all tasks, in place of budgets. */
  readonly hasWindows: boolean;
  /** By sidecar and task: what it was lent last, which the mistake of a refill gives to its next life. */
  readonly lentLast = new Map<string, number>();
  /** How many ledgers must have a record before the database forgets it. */
  readonly copies: number;
  readonly #disks = new Map<string, Disk>();
  /** Whether a ledger was lost with its disk: one at most, which is what two copies are good for. */
  isDiskLost = false;
  /** Processes that have seen what an older copy lacks which is in place. */
  readonly #witnesses: Party[] = [];
  /** Whether a backup was put in place: then a number can stand for two records. */
  isPutBack = false;
  readonly authorities: readonly Place<Authority>[];
  readonly sidecars: readonly Place<Sidecar>[];

  constructor(seed: number, mistake: Mistake | null) {
    this.seed = seed;
    this.random = new Random(seed);
    this.mistake = mistake;
    this.hasLedgers = seed % 4 === 2 || isWithLedgers(mistake);
    this.hasOrders = seed % 4 === 3 || isWithOrders(mistake);
    this.hasShares = seed % 4 === 0 || isWithShares(mistake);
    this.hasWindows = isWithWindows(mistake) || (this.hasShares && seed % 8 === 0);
    if (this.hasShares) this.promise.maxCalls = this.hasWindows ? Infinity : SHARED_CALLS;
    this.promise.isLossWitnessed = () => this.isLossWitnessed;
    this.network = new Network(this);
    this.database = new Database(this);
    this.maxCards = this.random.whole(1, 8);
    const authorities = this.random.whole(1, 3);
    this.isAlone = authorities === 1;
    this.copies = this.isAlone || seed % 16 === 2 ? 1 : 2;
    this.authorities = places('authority', authorities, (name) => new Authority(this, name, 1));
    this.sidecars = places('sidecar', this.random.whole(1, 5), (name) => new Sidecar(this, name, 1));
  }

  /** Whether a process is left that has seen what the database lacks. */
  get isLossWitnessed(): boolean {
    return this.#witnesses.some(({ isEnded }) => !isEnded);
  }

  /** What has this record is acknowledged; it was asked for at an instant. */
  recorded(record: () => EncodedRecord, askedMs: number): void {
    if (this.hasLedgers) this.promise.recorded(textOf(record()), askedMs);
  }

  /** The disk of the ledger of an authority. */
  diskOf(place: string): Disk {
    const disk = this.#disks.get(place) ?? new Disk();
    this.#disks.set(place, disk);
    return disk;
  }

  /**
   * An authority that takes connections; `null` where the one that was tried does not.
   * @param except the place of one that is not tried where there are others
   */
  anyAuthority(except?: string): Authority | null {
    const others = this.authorities.filter(({ name }) => name !== except);
    const authority = this.random.pick(others.length === 0 ? this.authorities : others)?.now;
    return authority === undefined || authority.party.isEnded ? null : authority;
  }

  startAuthority(place: Place<Authority>): void {
    if (!place.now.party.isEnded) return;
    place.lives += 1;
    place.now = new Authority(this, place.name, place.lives);
  }

  /** The supervisor of an authority that ends since the database was restored. */
  startAgain(authority: Authority): void {
    const place = this.authorities.find(({ now }) => now === authority);
    authority.end();
    if (place !== undefined) this.schedule.after(this.random.between(5, 50), () => this.startAuthority(place));
  }

  /**
   * A backup is put in place, in one of three ways: with the command that makes it safe; without it, so that the authorities must notice; or
   * without it, and with new authorities, so that the sidecars must notice. Who has not seen the lost changes cannot notice.
   */
  restoreBackup(): void {
    const { database, random, promise, authorities, sidecars } = this;
    const { primary } = database;
    if (primary === null || primary.log.length === 0) return;
    const head = headOf(primary.rows);
    const mark = markAt(primary.rows, head);
    const last = primary.log.findLastIndex(({ writes }) => writes.some(([name]) => name === 'head'));
    const isLittle = last > 0 && random.chance(0.5);
    // Of the last change alone, the number is soon given again.
    const length = isLittle ? last : random.whole(Math.floor(primary.log.length * 0.6), primary.log.length - 1);
    const losesChanges = primary.log.slice(length).some(({ writes }) => writes.some(([name]) => name === 'head'));
    const isSeen = losesChanges && authorities.every(({ now }) => now.hasSeen(head, mark));
    const isWitnessed = isSeen && sidecars.every(({ now }) => now.hasSeen(head, mark));
    this.isPutBack = true;
    database.putBack(length);
    promise.recordsLost();
    promise.stopsLost();
    if (!isSeen) return this.restore();
    // What was spent since is spent again until somebody notices; only the command ends that.
    promise.loss(true);
    const witnesses = isWitnessed ? [...authorities, ...sidecars] : authorities;
    // What no commit was answered for is lost too, and nobody has seen it.
    if (markAt(primary.rows, head) !== mark) this.#witnesses.push(...witnesses.map(({ now }) => now.party));
    if (!isWitnessed || random.chance(0.5)) return;
    for (const place of authorities) {
      place.now.end();
      this.startAuthority(place);
    }
  }

  /** An operator runs the command after a restored backup: from then on no task from before may be used, once leases are over. */
  restore(): void {
    const { database, mistake, promise, schedule } = this;
    const before = taskIdsIn(database.primary?.rows ?? new Map());
    this.#restores += 1;
    this.#witnesses.length = 0;
    const epoch = this.#restores + 1;
    database.restore((rows) => restoring(rows, { mistake, epoch }));
    promise.loss(false);
    schedule.after(1.05 * LEASE_MS, () => {
      for (const id of before) promise.taskEnded(id, Infinity);
    });
  }

  startSidecar(place: Place<Sidecar>): void {
    place.lives += 1;
    place.now = new Sidecar(this, place.name, place.lives);
  }
}

const places = <T>(kind: string, count: number, start: (name: string) => T): readonly Place<T>[] =>
  Array.from({ length: count }, (_, at) => ({ name: `${kind}-${at}`, lives: 1, now: start(`${kind}-${at}`) }));

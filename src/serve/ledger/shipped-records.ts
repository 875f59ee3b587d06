import { RecordShipper } from '../../sidecar/records/record-shipper.ts';
import type { AppendStream } from '../../sidecar/records/record-shipper.ts';
import { newRing } from '../../core/ledger/log/leaf-ring.ts';
import type { RingPart } from '../../core/ledger/log/leaf-ring.ts';
import { LogPages } from '../../core/ledger/log/log-pages.ts';
import { RecentLeaves } from '../../core/ledger/log/recent-leaves.ts';
import { Unacknowledged } from '../../core/ledger/unacknowledged.ts';
import type { UnacknowledgedLimits } from '../../core/ledger/unacknowledged.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import { AuthorityLink } from '../../sidecar/state/authority-link.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import type { AuthorityPlaces } from '../roles/authority-places.ts';

/** How long a stopping sidecar waits until an authority has all of its records. */
const CLOSE_MS = 5_000;

/**
 * How much may wait if the authorities are on this host. The loss of the host would take them too, and their restart must deny no call: at
 * 5,000 records a second they may be away for 13 s.
 */
const LOCAL_LIMITS: UnacknowledgedLimits = { records: 65_536, bytes: 64 * 1024 ** 2 };

/** A log that is open. */
export interface ShippedLog {
  readonly folder: string;
  readonly origin: string;
  readonly verifierKey: string;
  /** Number of its records. */
  readonly size: number;
}

/**
 * Sends the records of a sidecar to one of its authorities, and after a fault to the next authority.
 *
 * Lifecycle: `start` once the log is open, `close` once it is closed.
 */
export class ShippedRecords {
  /** The ring in which the log passes on what it has written. */
  readonly ring = newRing();
  readonly #places: AuthorityPlaces;
  readonly #services: { readonly ports: Ports; readonly faults: Faults; readonly log: (line: string) => void };
  readonly #unacknowledged: Unacknowledged;
  #shipper: RecordShipper | null = null;
  #pages: RecentLeaves | null = null;
  #next = 0;

  constructor(
    places: AuthorityPlaces,
    services: {
      readonly ports: Ports;
      readonly faults: Faults;
      readonly metrics: Metrics;
      readonly log: (line: string) => void;
    },
  ) {
    this.#places = places;
    this.#unacknowledged = new Unacknowledged(places.targets.every(isLocal) ? LOCAL_LIMITS : {});
    this.#services = services;
    const { ledgerUnacknowledged } = services.metrics;
    services.metrics.beforeScrape(() => ledgerUnacknowledged.of({}).set(this.#unacknowledged.records));
  }

  /** Records that no authority has acknowledged. */
  get unacknowledged(): number {
    return this.#unacknowledged.records;
  }

  /** Why no further record is taken; `null` if records are taken. */
  problem(queued: number): string | null {
    return this.#unacknowledged.problem(queued);
  }

  start({ folder, size, ...log }: ShippedLog): void {
    this.#unacknowledged.begin(size);
    this.#pages = new RecentLeaves(new LogPages(folder), this.ring);
    this.#shipper = new RecordShipper({
      open: () => this.#open(),
      log,
      pages: this.#pages,
      unacknowledged: this.#unacknowledged,
      ports: this.#services.ports,
      after,
      onFault: (problem) => this.#services.faults.set('records', problem),
    });
    this.#shipper.start();
  }

  /** Records were written, and signed if there is a checkpoint: they are sent without being read again. `null`: they must be read. */
  handedOut(written: RingPart | null, checkpoint: string | null): void {
    this.#pages?.wrote(written, checkpoint);
  }

  /** The log has `size` records, and its last records have this many bytes. */
  wrote(size: number, bytes: number): void {
    this.#unacknowledged.wrote(size, bytes);
    this.#shipper?.more();
  }

  /** The log has a new checkpoint. */
  signed(): void {
    this.#shipper?.more();
  }

  /** Waits until an authority has all records, at most 5 seconds. */
  async close(): Promise<void> {
    const problem = (await this.#shipper?.close(CLOSE_MS)) ?? null;
    this.#pages?.close();
    if (problem !== null) this.#services.log(`records: ${problem}`);
  }

  /** INVARIANT: a new connection for each stream, so that it shows the current SVID. */
  #open(): AppendStream | { readonly problem: string } {
    const { targets, placeOf } = this.#places;
    const target = targets[this.#next % targets.length] ?? '';
    this.#next += 1;
    const place = placeOf(target);
    if (typeof place === 'string') return { problem: place };
    const link = new AuthorityLink(place);
    const stream = link.append();
    stream.once('status', () => link.close());
    return stream;
  }
}

const isLocal = (target: string): boolean => target.startsWith('unix:');

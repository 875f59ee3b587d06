import type { DatabaseSync } from 'node:sqlite';

/**
 * How long the writes of a connection wait for those of other processes. To wait stops the event loop: so who has waited in vain
 * waits no more until a write got through. A process that hangs in a write else held up every check of all others, one after
 * the other, and those too that write nothing.
 *
 * Lifecycle: `waitedInVain` after each write that found the file locked, `written` after each that did not.
 */
export class BusyTimeout {
  readonly #db: DatabaseSync;
  readonly #busyTimeoutMs: number;
  #isLost = false;

  constructor(db: DatabaseSync, busyTimeoutMs: number) {
    this.#db = db;
    this.#busyTimeoutMs = busyTimeoutMs;
    this.#wait(busyTimeoutMs);
  }

  waitedInVain(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#wait(0);
  }

  written(): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#wait(this.#busyTimeoutMs);
  }

  #wait(busyTimeoutMs: number): void {
    this.#db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
  }
}

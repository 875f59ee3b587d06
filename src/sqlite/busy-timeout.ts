import type { DatabaseSync } from 'node:sqlite';

/**
 * The busy timeout of a connection. Waiting for a lock blocks the event loop, so after one SQLITE_BUSY the connection stops
 * waiting until a write succeeds. Otherwise one process that hangs in a write would delay every check of all others, even
 * checks that write nothing.
 *
 * Lifecycle: call `waitedInVain` after each write that failed with SQLITE_BUSY, and `written` after each write that succeeded.
 */
export class BusyTimeout {
  readonly #db: DatabaseSync;
  readonly #busyTimeoutMs: number;
  #isSuspended = false;

  constructor(db: DatabaseSync, busyTimeoutMs: number) {
    this.#db = db;
    this.#busyTimeoutMs = busyTimeoutMs;
    this.#set(busyTimeoutMs);
  }

  waitedInVain(): void {
    if (this.#isSuspended) return;
    this.#isSuspended = true;
    this.#set(0);
  }

  written(): void {
    if (!this.#isSuspended) return;
    this.#isSuspended = false;
    this.#set(this.#busyTimeoutMs);
  }

  #set(busyTimeoutMs: number): void {
    this.#db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
  }
}

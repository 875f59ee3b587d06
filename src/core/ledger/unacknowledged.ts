/** How much of a log may wait for its acknowledgement. Default 4,096 records, 8 MiB. */
export interface UnacknowledgedLimits {
  readonly records: number;
  readonly bytes: number;
}

const defaultLimits: UnacknowledgedLimits = { records: 4_096, bytes: 8 * 1024 ** 2 };

/**
 * Counts the records of a log that no other machine has acknowledged. They would be lost with this host, so at the limit no
 * further record is taken. Before the first acknowledgement only records written since `begin` count.
 */
export class Unacknowledged {
  readonly #limits: UnacknowledgedLimits;
  /** What was written, by the size of the log after it. */
  #batches: { readonly size: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #size = 0;
  #kept = 0;

  constructor(limits: Partial<UnacknowledgedLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  /** Number of records that are not acknowledged. */
  get records(): number {
    return Math.max(0, this.#size - this.#kept);
  }

  /** The log has `size` records when it is opened. */
  begin(size: number): void {
    this.#size = size;
    this.#kept = size;
  }

  /** The log has `size` records, and those just written have this many bytes. */
  wrote(size: number, bytes: number): void {
    this.#size = Math.max(this.#size, size);
    this.#batches.push({ size, bytes });
    this.#bytes += bytes;
  }

  /** The first `size` records are acknowledged. Another authority may have fewer than the previous authority. */
  kept(size: number): void {
    this.#kept = size;
    const first = this.#batches.findIndex((batch) => batch.size > this.#kept);
    const kept = this.#batches.splice(0, first === -1 ? this.#batches.length : first);
    for (const { bytes } of kept) this.#bytes -= bytes;
  }

  /**
   * Why no further record is taken; `null` if it is taken.
   *
   * @param queued records that are not yet in the log
   */
  problem(queued: number): string | null {
    const records = this.records + queued;
    if (records >= this.#limits.records) return `${records} records are not yet acknowledged by an authority`;
    if (this.#bytes >= this.#limits.bytes)
      return `${this.#bytes} bytes of records are not yet acknowledged by an authority`;
    return null;
  }
}

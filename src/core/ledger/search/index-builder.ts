import { recordBytesIn } from '../proof/leaf.ts';
import { fateOf } from '../use-fates.ts';
import { IndexEntries, MEMBER_NAMES } from './index-entries.ts';
import { queryMembers, UNEXECUTED } from './query-member.ts';
import type { RecordMembers } from './query-member.ts';

const FATE = MEMBER_NAMES.indexOf('fate');
const readers = MEMBER_NAMES.map((name) => queryMembers[name]);

/** Fills the entries of a part from its records in order. */
export class IndexBuilder {
  readonly #entries = new IndexEntries();
  readonly #allowed = new Map<string, number>();
  readonly #executed = new Set<string>();
  #records = 0;
  #firstMs = Number.POSITIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** Number of records. */
  get records(): number {
    return this.#records;
  }

  /** The earliest and the latest instant of a record, in milliseconds since the Unix epoch; `null` if no record has one. */
  get times(): readonly [firstMs: number, lastMs: number] | null {
    return this.#firstMs <= this.#lastMs ? [this.#firstMs, this.#lastMs] : null;
  }

  /** Adds the next leaf. A leaf that cannot be parsed is a candidate for every query, so that none misses it. */
  add(leaf: Uint8Array): void {
    const record = recordMembersIn(leaf);
    if (record === null) this.#entries.addAlways(this.#records);
    else this.#addRecord(record);
    this.#records += 1;
  }

  /** All entries; nothing is added afterwards. */
  finished(): IndexEntries {
    for (const [decisionId, place] of this.#allowed) {
      if (!this.#executed.has(decisionId)) this.#entries.add(place, FATE, [UNEXECUTED]);
    }
    return this.#entries;
  }

  #addRecord(record: RecordMembers): void {
    for (const [member, textsOf] of readers.entries()) this.#entries.add(this.#records, member, textsOf(record));
    const { decisionId, at } = record;
    if (typeof at === 'number') {
      this.#firstMs = Math.min(this.#firstMs, at);
      this.#lastMs = Math.max(this.#lastMs, at);
    }
    if (typeof decisionId !== 'string') return;
    if (isAllowedUse(record)) this.#allowed.set(decisionId, this.#records);
    else if (isExecution(record)) this.#executed.add(decisionId);
  }
}

/** Whether a record is of a use that was allowed. */
export const isAllowedUse = ({ kind, decision }: RecordMembers): boolean => kind === 'use' && decision === 'allow';

/** Whether a record says that an upstream answered a call. */
export const isExecution = ({ kind, details, attempts }: RecordMembers): boolean =>
  kind === 'outcome' &&
  fateOf({
    details: typeof details === 'string' ? details : '',
    attempts: typeof attempts === 'number' ? attempts : 0,
  }) === 'executed';

/** The members of the record in a leaf; `null` if it is damaged. */
export function recordMembersIn(leaf: Uint8Array): RecordMembers | null {
  try {
    const { buffer, byteOffset, length } = recordBytesIn(leaf);
    const record: unknown = JSON.parse(Buffer.from(buffer, byteOffset, length).toString('utf8'));
    // Safe: an object of parsed JSON.
    return typeof record === 'object' && record !== null ? (record as RecordMembers) : null;
  } catch {
    return null;
  }
}

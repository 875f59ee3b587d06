import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { encodedRecordFrom } from '../../../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../../../core/ledger/encoded-record.ts';
import { counterText } from '../../../../core/limit/limit-spend.ts';
import { isReadableTask, taskFrom, taskValues } from '../../../../core/state/writes/task-row.ts';
import type { Order } from '../../../../core/order/order.ts';
import { UNSEALED } from '../../../../core/order/unsealed.ts';
import { BoundedMemo } from '../../../../core/runtime/collections/bounded-memo.ts';
import type { TokenOfTask } from '../../../../core/state/store-reader.ts';
import { limitRowFrom } from './limit-rows.ts';
import type { LimitRow } from './limit-rows.ts';
import type { RootedTask, SpentRow } from './row-set.ts';
import { orderFromRow, ownOrderFrom, tokenFrom } from './rows-read.ts';

type Row = Readonly<Record<string, unknown>>;

/** For `orderLimits.maxInForce` orders twice, as the two generations of a memo need. */
const GIVEN_BOUNDS = { maxKeys: 40_000, maxChars: 32 * 1_048_576, maxKeyChars: 8_192 } as const;

/**
 * Authenticates the rows that give rights (tasks, tokens, orders, signals, and what was given back of budgets and limits) by a
 * key of the authorities (`stateKey`) that is not in the database. So write access to the database alone creates no task and no
 * token: a row without a valid seal is ignored. The revision of a task is sealed with it, and triggers let it only rise, so that
 * no earlier row comes back either.
 */
export class RowSeal {
  readonly #key: Uint8Array;
  readonly #onForged: (what: string) => void;
  /** Which rows of orders an authority wrote: all are read again at each change of them. */
  readonly #given = new BoundedMemo<boolean>({ ...GIVEN_BOUNDS, hasWholeKeys: true });

  /**
   * @param key at least 32 bytes
   * @param onForged called with each row that is not as an authority wrote it
   */
  constructor(key: Uint8Array, onForged: (what: string) => void) {
    this.#key = key;
    this.#onForged = onForged;
  }

  ofTask({ task, root, revision }: RootedTask): string {
    return this.#code(['task', ...taskValues(task), root, revision]);
  }

  /** Of what never changes of a token. That it is revoked needs no seal. */
  ofToken(token: Omit<TokenOfTask, 'revokedAtMs'>): string {
    const { jtiDigest, issuer, taskId, audience, issuedAtMs, expiresAtMs, generation, boundTo } = token;
    return this.#code(['token', jtiDigest, issuer, taskId, audience, issuedAtMs, expiresAtMs, generation, boundTo]);
  }

  /** The task of a row of `tasks`; `null` if no authority wrote it so. */
  taskIn(row: Row): RootedTask | null {
    const read = rootedFrom(row);
    return this.#isAsWritten(row, this.ofTask(read), `task ${read.task.id}`) ? read : null;
  }

  /** The token of a row of `tokens`; `null` if no authority wrote it so. */
  tokenIn(row: Row): TokenOfTask | null {
    const token = tokenFrom(row);
    return this.#isAsWritten(row, this.ofToken(token), `a token of task ${token.taskId}`) ? token : null;
  }

  /** Of what was given back of a budget: a login that raises it would get a right by that. */
  ofGiven({ key, name, given }: SpentRow): string {
    return this.#code(['given', key.issuer, key.id, name, given]);
  }

  /** The counter of a row of `budgets`. What no authority has given back counts as taken. */
  spentIn(row: Row): SpentRow {
    const read = spentFrom(row);
    if (read.given === 0) return read;
    const what = `what was given back of task ${read.key.id}`;
    return this.#isAsWritten({ seal: row['given_seal'] }, this.ofGiven(read), what) ? read : { ...read, given: 0 };
  }

  /** Of what was given back of a limit. */
  ofLimitGiven({ counter, given }: LimitRow): string {
    return this.#code(['limit given', counterText(counter), given]);
  }

  /** The counter of a row of `limit_counts`. What no authority has given back counts as taken. */
  limitIn(row: Row): LimitRow {
    const read = limitRowFrom(row);
    if (read.given === 0) return read;
    const what = `what was given back of limit ${read.counter.limit}`;
    return this.#isAsWritten({ seal: row['given_seal'] }, this.ofLimitGiven(read), what) ? read : { ...read, given: 0 };
  }

  ofOrder(order: Order): string {
    return this.#code(['order', JSON.stringify(order)]);
  }

  /** In the row of a stop that was lifted. */
  ofLifted(id: string): string {
    return this.#code(['lifted', id]);
  }

  /**
   * The order in a row; `null` for an emergency that no authority wrote so, for an order with the id of another row, and for a
   * stop that an authority lifted. A stop counts even if another login wrote it, since it gives no right, but as made by
   * `UNSEALED`, not by the name in its row.
   */
  orderIn(row: Row): Order | null {
    const order = ownOrderFrom(row);
    if (order === null) {
      this.#onForged('an order with the id of another');
      return null;
    }
    const lifted = row['lifted'] ?? null;
    if (lifted !== null && this.#isAsWritten({ seal: lifted }, this.ofLifted(order.id), `the end of stop ${order.id}`))
      return null;
    if (this.isGivenOrder(row)) return order;
    if (order.of === 'stop') return { ...order, by: UNSEALED };
    this.#onForged(`order ${order.id}`);
    return null;
  }

  /** Whether an authority wrote an order in a row: `orderIn` gives stops that another login wrote too. */
  isGivenOrder(row: Row): boolean {
    // No text of PostgreSQL has a NUL, so seal and body cannot be cut in another place.
    const text = `${String(row['seal'])}\0${String(row['body'])}`;
    return this.#given.of(text, () => isSealedBy(row['seal'], this.ofOrder(orderFromRow(row))));
  }

  /** Seal of a record for one receiver of signals; it is not valid for another. The `jti` is derived from the same bytes. */
  ofSignal(receiver: string, bytes: Uint8Array): string {
    return this.#code(['signal', receiver, Buffer.from(bytes).toString('base64url')]);
  }

  /**
   * The record in a row of `signals`; `null` if no authority wrote it so. The instant in the row decides when it is too old, so
   * it must be that of the record: otherwise a signal that was sent once could be sent again at any time.
   */
  signalIn(row: Row): EncodedRecord | null {
    const [bytes, receiver] = [signalBytes(row), String(row['receiver'])];
    const what = `signal ${String(row['seq'])} for receiver \`${receiver}\``;
    if (!this.#isAsWritten(row, this.ofSignal(receiver, bytes), what)) return null;
    const record = encodedRecordFrom(bytes);
    if (record.at === Number(row['at_ms'])) return record;
    this.#onForged(what);
    return null;
  }

  #isAsWritten({ seal }: Row, expected: string, what: string): boolean {
    const isAsWritten = isSealedBy(seal, expected);
    if (!isAsWritten) this.#onForged(what);
    return isAsWritten;
  }

  #code(values: readonly (string | number | null)[]): string {
    return createHmac('sha256', this.#key).update(JSON.stringify(values)).digest('base64url');
  }
}

function isSealedBy(seal: unknown, expected: string): boolean {
  const [given, code] = [Buffer.from(typeof seal === 'string' ? seal : ''), Buffer.from(expected)];
  return given.length === code.length && timingSafeEqual(given, code);
}

/**
 * Digest by which the database recognises the seal that lifts a stop, without revealing it. Hexadecimal, as PostgreSQL writes it.
 */
export const liftDigestOf = (lifted: string): string => createHash('sha256').update(lifted).digest('hex');

/** The column is `bytea`. */
const signalBytes = (row: Row): Uint8Array => row['bytes'] as Uint8Array;

/** A signal as it is read without a key; `null` if its bytes are not a record. */
function readableSignal(row: Row): EncodedRecord | null {
  try {
    return encodedRecordFrom(signalBytes(row));
  } catch {
    // No authority wrote it: a record is JSON.
    return null;
  }
}

const rootedFrom = (row: Row): RootedTask => ({
  task: taskFrom(row),
  root: String(row['root']),
  revision: Number(row['revision'] ?? 0),
});

const spentFrom = (row: Row): SpentRow => ({
  key: { issuer: String(row['issuer']), id: String(row['task']) },
  name: String(row['name']),
  taken: Number(row['spent']),
  given: Number(row['given']),
});

/** Reads rows that have a seal: `null` for a row that no authority wrote so. A counter then has nothing given back. */
export interface RowReader {
  readonly taskIn: (row: Row) => RootedTask | null;
  readonly tokenIn: (row: Row) => TokenOfTask | null;
  readonly spentIn: (row: Row) => SpentRow;
  readonly orderIn: (row: Row) => Order | null;
  readonly isGivenOrder: (row: Row) => boolean;
  readonly limitIn: (row: Row) => LimitRow;
  readonly signalIn: (row: Row) => EncodedRecord | null;
}

/**
 * The reader of a seal; without a seal, all rows count.
 * @param onUnreadable called with each task without a seal whose row cannot be read
 */
export const readerOf = (seal: RowSeal | null, onUnreadable: (what: string) => void = () => undefined): RowReader =>
  seal === null
    ? {
        taskIn: (row) => {
          if (!isReadableTask(row)) onUnreadable(`task ${String(row['id'])}`);
          return rootedFrom(row);
        },
        tokenIn: tokenFrom,
        spentIn: spentFrom,
        orderIn: (row) => ((row['lifted'] ?? null) === null ? ownOrderFrom(row) : null),
        isGivenOrder: () => true,
        limitIn: limitRowFrom,
        signalIn: readableSignal,
      }
    : {
        taskIn: (row) => seal.taskIn(row),
        tokenIn: (row) => seal.tokenIn(row),
        spentIn: (row) => seal.spentIn(row),
        orderIn: (row) => seal.orderIn(row),
        isGivenOrder: (row) => seal.isGivenOrder(row),
        limitIn: (row) => seal.limitIn(row),
        signalIn: (row) => seal.signalIn(row),
      };

import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Receipt } from '../../../core/fleet/receipt.ts';

/** How far an authority is, as the others see it. */
export interface ReplicaMark {
  readonly id: string;
  /** Grows with each of its commits. */
  readonly beat: number;
  /** Every change up to here is enforced at its sidecars. */
  readonly enforcedSeq: number;
  /** The lease that it gives. */
  readonly leaseMs: number;
}

/** A mark with the details that an authority publishes. */
export interface DescribedMark extends ReplicaMark {
  readonly address: string;
  /** JSON for people. */
  readonly details: string;
}

/** What became of a change at the sidecars of an authority. */
export interface ReplicaReceipt extends Omit<Receipt, 'enforced'> {
  readonly replica: string;
  readonly seq: number;
}

/** The board on which the authorities over a database publish how far they are. */
export interface ReplicaBoard {
  /** The id of this authority. */
  readonly id: string;
  /** How far this authority is; published by the next beat. */
  report(enforcedSeq: number): void;
  /** The lease that this authority gives. Call it before it gives any. */
  givesLeases(ms: number): void;
  /** Details of this authority, as JSON for people; published by the next beat. */
  describe(details: string): void;
  /** The marks of all authorities, including this authority. */
  marks(): Promise<readonly DescribedMark[] | StoreFailure>;
  addReceipts(receipts: readonly Omit<ReplicaReceipt, 'replica'>[]): Promise<null | StoreFailure>;
  /** The receipts of the last change of each root task up to a head, from all authorities that had holders of it. */
  receiptsOf(roots: readonly string[], head: number): Promise<readonly ReplicaReceipt[] | StoreFailure>;
  /** Takes an authority that is gone for good off the list. */
  leave(id: string): Promise<null | StoreFailure>;
}

/** The partitions of the table of settled uses. */

/** Partitions of `settled`. Each holds what was settled within a slot of ten minutes. */
export const PARTS_OF_SETTLED = 8;
const SLOT_MS = 600_000;
/** A slot is emptied two slots after its end. */
const KEPT_SLOTS = 3;

/** The place for a decision that is settled now. */
export interface SettledPlace {
  readonly part: number;
  readonly slot: number;
}

/**
 * The place of a decision that is settled at an instant of the clock of the database. INVARIANT: writing and emptying use this same clock, or
 * an authority whose clock is ahead would empty the slot that others write.
 */
export function settledPlace(databaseMs: number): SettledPlace {
  const slot = Math.floor(databaseMs / SLOT_MS);
  return { part: slot % PARTS_OF_SETTLED, slot };
}

/** The latest slot whose decisions are old at an instant of the clock of the database: settled at least 20 minutes ago. */
export const oldSlot = (databaseMs: number): number => Math.floor(databaseMs / SLOT_MS) - KEPT_SLOTS;

/** Partitions of `settled`. Each holds what was settled within one slot of ten minutes. */
export const PARTS_OF_SETTLED = 8;
const SLOT_MS = 600_000;
/** A slot is emptied once it has been over for two more, by a clock that may be 20 minutes off in either direction. */
const KEPT_SLOTS = 3;

/** Where a decision that is settled now is kept. */
export interface SettledPlace {
  readonly part: number;
  readonly slot: number;
}

/** The place of a decision that is settled at an instant of the floor. */
export function settledPlace(floorMs: number): SettledPlace {
  const slot = Math.floor(floorMs / SLOT_MS);
  return { part: slot % PARTS_OF_SETTLED, slot };
}

/** The latest slot whose decisions are old at an instant of the floor: settled at least 10 minutes ago, whatever the clock that noted it. */
export const oldSlot = (floorMs: number): number => Math.floor(floorMs / SLOT_MS) - KEPT_SLOTS;

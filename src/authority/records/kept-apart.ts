/** Keeps records that are dated ahead apart from all others. */
import type { RecordStore } from './record-store.ts';
import { isAfter } from './record-instant.ts';

/** How far ahead of its receipt a record may be dated: clocks differ. */
const AHEAD_MS = 3_600_000;

/**
 * A store that keeps sections whose records are dated ahead of their receipt in `ahead`: the retention keeps what is younger than its name says
 * (`received-retention.ts`), so in a shared file the records of one sidecar would keep those of all others.
 *
 * @param nowMs the instant of receipt, in milliseconds since the Unix epoch
 */
export function keptApart(
  store: RecordStore,
  { ahead, nowMs }: { readonly ahead: RecordStore; readonly nowMs: () => number },
): RecordStore {
  return {
    keep: async (sections) => {
      const limitMs = nowMs() + AHEAD_MS;
      const apart = new Set(sections.filter((section) => isAfter(section, limitMs)));
      if (apart.size === 0) return store.keep(sections);
      const others = sections.filter((section) => !apart.has(section));
      return (others.length === 0 ? null : await store.keep(others)) ?? ahead.keep([...apart]);
    },
  };
}

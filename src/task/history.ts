/**
 * What a task was allowed so far, and with it every task it is a part of and every part of those: what was read by one hand
 * is known to the other, so handing on a part of a task washes nothing off.
 */
export interface TaskHistory {
  /** 0 before the first entry; each change adds 1. */
  readonly version: number;
  /** Ids of the catalog, each once, in the order of their first use. At most `MAX_HISTORY_ACTIONS`. */
  readonly actions: readonly string[];
  /** The labels the catalog gave them, in the same way. At most `MAX_HISTORY_LABELS`. */
  readonly labels: readonly string[];
}

/** What one use adds, decided by the history of that version. */
export interface HistoryEntry {
  readonly version: number;
  readonly action: string;
  readonly labels: readonly string[];
}

/** A use that would pass one of these is refused: nothing is ever forgotten to make room. */
export const MAX_HISTORY_ACTIONS = 256;
export const MAX_HISTORY_LABELS = 64;

/** The history of what has not acted, or is no task. */
export const noHistory: TaskHistory = Object.freeze({ version: 0, actions: [], labels: [] });

/** The history with one more use in it; `same` where it holds all of that already, `full` where there is no room for it. */
export function historyWith(history: TaskHistory, use: Omit<HistoryEntry, 'version'>): TaskHistory | 'same' | 'full' {
  const actions = withAll(history.actions, [use.action]);
  const labels = withAll(history.labels, use.labels);
  if (actions === history.actions && labels === history.labels) return 'same';
  if (actions.length > MAX_HISTORY_ACTIONS || labels.length > MAX_HISTORY_LABELS) return 'full';
  return { version: history.version + 1, actions, labels };
}

function withAll(known: readonly string[], more: readonly string[]): readonly string[] {
  if (more.every((name) => known.includes(name))) return known;
  return [...known, ...new Set(more.filter((name) => !known.includes(name)))];
}

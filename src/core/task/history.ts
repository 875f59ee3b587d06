/**
 * What has been allowed to a task and all tasks of its tree: its ancestors and all their sub-tasks. A sub-task shares the
 * history, because an agent can pass on what it has read; delegation does not reset it.
 */
export interface TaskHistory {
  /** 0 before the first entry; each change adds 1. */
  readonly version: number;
  /** Catalog ids, each once, in order of first use. At most `MAX_HISTORY_ACTIONS`. */
  readonly actions: readonly string[];
  /** Catalog labels, in the same way. At most `MAX_HISTORY_LABELS`. */
  readonly labels: readonly string[];
}

/** What one use adds, with the history version by which it was decided. Without an action it adds nothing: the history was only read. */
export interface HistoryEntry {
  readonly version: number;
  readonly action: string;
  readonly labels: readonly string[];
}

/** Limits of a history. A use beyond them is refused; nothing is forgotten to make room. */
export const MAX_HISTORY_ACTIONS = 256;
export const MAX_HISTORY_LABELS = 64;

/** The history of a task that has not acted, or of a call without a task. */
export const noHistory: TaskHistory = Object.freeze({ version: 0, actions: [], labels: [] });

/** Adds a use to the history; `same` if nothing is new, `full` if a limit is reached. */
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

import type { PlacedOrder, SearchedLogs } from './searched-logs.ts';
import { readAll, recordReaders } from './read-record.ts';
import type { Read, ReadEnd, ReadIntent, ReadToken } from './read-record.ts';

/** One task on the way from a call up to the task that no other delegated. */
export interface ChainedTask {
  readonly task: string;
  /** Its intent; `null` if no record has it. */
  readonly intent: Read<ReadIntent> | null;
  /** Its end; `null` if no record has one. */
  readonly end: Read<ReadEnd> | null;
  /** The token by which it delegated the part below it; `null` for the task of the call, or if no record has it. */
  readonly delegated: Read<ReadToken> | null;
}

/** Most tasks of a chain: more than a chain of actors can have. */
const MAX_TASKS = 32;

const OLDEST: PlacedOrder = { limit: 1, isNewestFirst: false };
const NEWEST: PlacedOrder = { limit: 1, isNewestFirst: true };

/** The task of a call and the tasks of which it is a part, nearest first. */
export function taskChain(task: string, logs: SearchedLogs): readonly ChainedTask[] {
  const chain: ChainedTask[] = [];
  const seen = new Set<string>();
  let below: Read<ReadIntent> | null = null;
  for (let id: string | null = task; id !== null && !seen.has(id) && chain.length < MAX_TASKS;) {
    seen.add(id);
    const linked: ChainedTask = chainedTask(id, below, logs);
    chain.push(linked);
    below = linked.intent;
    id = linked.intent?.value.parent ?? null;
  }
  return chain;
}

function chainedTask(task: string, below: Read<ReadIntent> | null, logs: SearchedLogs): ChainedTask {
  const [intent = null] = readAll(logs, logs.found({ task, kind: 'intent' }, OLDEST), recordReaders.intent);
  const [end = null] = readAll(logs, logs.found({ task, kind: 'end' }, NEWEST), recordReaders.end);
  return { task, intent, end, delegated: below === null ? null : delegatedTo(below.value, task, logs) };
}

/** The newest token of a task that its delegate could exchange when it declared its part. */
function delegatedTo(
  { agent, at }: Pick<ReadIntent, 'agent' | 'at'>,
  task: string,
  logs: SearchedLogs,
): Read<ReadToken> | null {
  if (agent === null) return null;
  const filter = { task, kind: 'token', delegate: agent, untilMs: at + 1 };
  return readAll(logs, logs.found(filter, NEWEST), recordReaders.token)[0] ?? null;
}

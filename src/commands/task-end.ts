import { printable } from '../ledger/timeline-text.ts';
import { systemPorts } from '../ports.ts';
import { openStore } from '../store/sqlite.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import type { Store } from '../store/store.ts';
import type { TaskEvent } from '../task/task.ts';
import { type TaskJson, taskJson } from '../task/task-json.ts';
import { EXIT } from './command.ts';
import type { CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';
import { isRefusal, type Refusal, refusal, sourceOptions, stateFileOf, taskWith } from './task-source.ts';

const ends: ReadonlyMap<string, TaskEvent['kind']> = new Map([
  ['revoked', 'revoke'],
  ['cancelled', 'cancel'],
  ['completed', 'complete'],
]);
const MAX_CAUSE = 256;

/** `remit task end`: ends a task by hand, on disk when it says so. */
export async function taskEnd(args: readonly string[], io: Pick<CommandIo, 'environment'>): Promise<string | Refusal> {
  const own = { cause: { type: 'string' }, as: { type: 'string' } } as const;
  const options = optionsFrom(args, { ...sourceOptions, ...own }, 1);
  if (typeof options === 'string') return refusal(options);
  const [id] = options.operands;
  const { as = 'revoked', cause = '', json } = options.values;
  if (id === undefined) return refusal('the id of a task is required');
  const kind = ends.get(as);
  if (kind === undefined) return refusal(`--as must be one of ${[...ends.keys()].join(', ')}`);
  if (cause === '') return refusal('--cause is required: why is the task ended');
  if (cause.length > MAX_CAUSE) return refusal(`--cause must have at most ${MAX_CAUSE} characters`);
  const stateFile = await stateFileOf(options.values, io);
  if (isRefusal(stateFile)) return stateFile;
  const store = openStore(stateFile, { ...systemPorts, access: 'write' });
  if (isStoreFailure(store)) return refusal(store.detail);
  try {
    const ended = endIn(store, id, { kind, cause });
    if (isRefusal(ended)) return ended;
    if (json === true) return JSON.stringify(ended.task);
    return `${ended.task.id} ${ended.changed ? 'is' : 'was already'} ${ended.task.state}`;
  } finally {
    store.close();
  }
}

function endIn(
  store: Store,
  id: string,
  event: TaskEvent,
): { readonly task: TaskJson; readonly changed: boolean } | Refusal {
  const found = taskWith(store, id);
  if (isRefusal(found)) return found;
  const ended = store.applyTaskEvent(found, event, 'operator');
  if (isStoreFailure(ended)) return refusal(ended.detail);
  if (ended === undefined) return refusal(`there is no task \`${printable(id)}\``, EXIT.no);
  if ('problem' in ended) return refusal(`the task is already \`${ended.state}\``, EXIT.no);
  return { task: taskJson(ended.task, store.nowMs()), changed: ended.changed };
}

/** The program of the thread that writes the state file. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Clocks } from '../../../core/runtime/ports.ts';
import { systemPorts } from '../../../core/runtime/ports.ts';
import { messageOfFault } from '../../../core/runtime/repeatedly.ts';
import { collectOnceIdle } from '../../../core/runtime/system/garbage.ts';
import { after } from '../../../core/runtime/timers.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { FloorMark } from '../../../core/state/clock-floor.ts';
import type { Store } from '../../../core/state/store.ts';
import type {
  AuthorityMessage,
  AuthorityRequest,
  AuthorityThreadInput,
  WriteAnswer,
  WriteCall,
} from './authority-messages.ts';
import { openUnmarkedStore } from './open-store.ts';

// The thread started by `authority-thread.ts`. It has the only writing connection of the process.

/** INVARIANT: the thread reads no clock. Each call is decided by the clock readings that came with it. */
const clock: { now: Clocks; mark: FloorMark } = {
  now: { wallMs: 0, floorMs: 0, monotonicMs: 0 },
  mark: { floorMs: 0, boot: null },
};
let writes: (StoreFailure | null)[] = [];
let hasRecords = false;

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const say = (message: AuthorityMessage): void => parentPort?.postMessage(message);

const { path, ...limits } = workerData as AuthorityThreadInput;
const store = openUnmarkedStore(path, {
  ...limits,
  clock: { read: () => clock.now, mark: () => clock.mark },
  randomBytes: systemPorts.randomBytes,
  onFatal: (failure) => say({ kind: 'fatal', failure }),
  onRecords: () => (hasRecords = true),
  onWrite: (failure) => writes.push(failure),
});

if (isStoreFailure(store)) {
  say({ kind: 'unopened', failure: store });
  parentPort?.close();
} else {
  serve(store);
}

function serve(open: Store): void {
  parentPort?.on('message', (first: AuthorityRequest) => {
    const calls: WriteCall[] = [];
    let closing: AuthorityRequest | null = null;
    // All waiting calls share a sync.
    for (let next: AuthorityRequest | null = first; next !== null; next = nextRequest()) {
      clock.mark = next.mark;
      if (next.kind === 'writes') calls.push(...next.calls);
      else closing = next;
    }
    if (calls.length > 0) answer(inOneCommit(open, calls));
    if (closing?.kind === 'close') {
      clock.now = closing.clocks;
      open.close();
      say({ kind: 'closed' });
      parentPort?.close();
    }
  });
  collectOnceIdle({ after });
  say({ kind: 'opened' });
}

/** The message was sent by `authority-thread.ts`. */
const nextRequest = (): AuthorityRequest | null =>
  parentPort === null ? null : ((receiveMessageOnPort(parentPort)?.message as AuthorityRequest | undefined) ?? null);

function answer(answers: readonly WriteAnswer[]): void {
  say({ kind: 'answers', answers, writes, hasRecords });
  writes = [];
  hasRecords = false;
}

/**
 * Runs all calls in a single transaction. If a call rolls it back, each call gets a transaction of its own, so that none makes another fail.
 * If another process holds the lock, all fail at once, so that they wait for it together and not one after the other.
 */
function inOneCommit(open: Store, calls: readonly WriteCall[]): readonly WriteAnswer[] {
  if (calls.length === 1) return calls.map((call) => made(open, call));
  let answers: readonly WriteAnswer[] = [];
  const failure = open.inOneCommit(() => {
    answers = calls.map((call) => made(open, call));
  });
  if (failure === null) return answers;
  return failure.code === 'broken' || failure.code === 'busy'
    ? calls.map(() => ({ value: failure }))
    : calls.map((call) => made(open, call));
}

function made(open: Store, { name, input, clocks }: WriteCall): WriteAnswer {
  clock.now = clocks;
  try {
    // The input is that of the method of this name: only `authority-thread.ts` makes calls.
    const method = open[name] as (...given: readonly unknown[]) => unknown;
    return { value: method.apply(open, [...input]) };
  } catch (error) {
    return { error: messageOfFault(error) };
  }
}

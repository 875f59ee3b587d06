/** The program of the thread that runs one command. */
import { parentPort, workerData } from 'node:worker_threads';
import { threadCommands } from './thread-commands.ts';
import type { ThreadInput, ThreadMessage } from './thread-commands.ts';

// Entry point of the thread of `command-thread.ts`, which supplies all input at the start. An error of the command ends the
// thread and rejects `runInThread`.
const { name, args, environment, hasProgress } = workerData as ThreadInput;

const say = (message: ThreadMessage): void =>
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(message);
const saying =
  (to: 'out' | 'err' | 'progress') =>
  (line: string): void =>
    say({ to, line });

const run = await threadCommands[name]();
const exit = await run(args, {
  out: saying('out'),
  err: saying('err'),
  environment,
  ...(hasProgress ? { progress: saying('progress') } : {}),
});
say({ exit });

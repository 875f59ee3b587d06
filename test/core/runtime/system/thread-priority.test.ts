import { getPriority } from 'node:os';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from '@jest/globals';

/** A thread that lowers its priority, and tells what it has then. */
const thread = `
  import { readlinkSync } from 'node:fs';
  import { getPriority } from 'node:os';
  import { parentPort } from 'node:worker_threads';
  import { yieldToOthers } from '${new URL('../../../../src/core/runtime/system/thread-priority.ts', import.meta.url).href}';
  yieldToOthers();
  parentPort.postMessage(getPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1))));
`;

(process.platform === 'linux' ? describe : describe.skip)('yieldToOthers', () => {
  it('lowers the priority of the calling thread, and of no other', async () => {
    const before = getPriority();
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(thread)}`), { execArgv: [] });
    // Awaited together: a thread that ends at once is told to have ended in the same turn as its message.
    const [said] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    expect(said).toEqual([Math.max(before, 10)]);
    expect(getPriority()).toBe(before);
  });
});

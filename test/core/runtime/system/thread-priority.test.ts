import { execFile } from 'node:child_process';
import { getPriority } from 'node:os';
import { once } from 'node:events';
import { promisify } from 'node:util';
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

/** A process that lowers the priority of V8's threads, and prints that of all its threads by their names. */
const lowered = `
  import { readdirSync, readFileSync } from 'node:fs';
  import { getPriority } from 'node:os';
  import { lowerCompilers } from '${new URL('../../../../src/core/runtime/system/thread-priority.ts', import.meta.url).href}';
  lowerCompilers();
  const threads = readdirSync('/proc/self/task').map((thread) => ({
    isOfV8: readFileSync('/proc/self/task/' + thread + '/comm', 'utf8').includes('V8Worker'),
    priority: getPriority(Number(thread)),
  }));
  console.log(JSON.stringify(threads));
`;

(process.platform === 'linux' ? describe : describe.skip)('lowerCompilers', () => {
  it('lowers the priority of the threads of V8, and of no other', async () => {
    const before = getPriority();
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', lowered]);
    const threads = JSON.parse(stdout) as readonly { readonly isOfV8: boolean; readonly priority: number }[];
    const ofV8 = threads.filter(({ isOfV8 }) => isOfV8);
    expect(ofV8.length).toBeGreaterThan(0);
    expect(ofV8.every(({ priority }) => priority === Math.max(before, 10))).toBe(true);
    expect(threads.filter(({ isOfV8 }) => !isOfV8).every(({ priority }) => priority === before)).toBe(true);
  });
});

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

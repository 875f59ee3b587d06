import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { ProofInput, ReadPolicies, SetProof } from './proof.ts';

/**
 * Proves a policy set in isolation. A problem where the proof cannot be completed.
 *
 * @param onRead may be called before types are checked, if there are no findings so far
 */
export type Compile = (
  input: ProofInput,
  onRead?: (read: ReadPolicies) => void,
) => Promise<SetProof | { readonly problem: string }>;

/** A message of the thread: the policies once they are read, unless there are findings; then the proof without them. */
export type ProofMessage = { readonly read: ReadPolicies } | { readonly proof: Omit<SetProof, keyof ReadPolicies> };

/**
 * Time-out of a proof: 60 s, plus 10 ms per KiB of policies. It stops an engine that never answers, with room for a container
 * with a tenth of a core. Measured on two busy cores: 3 s for 1,000 policies of 0.2 KiB, 17 s for 10,000.
 */
export function compileTimeoutMs(input: ProofInput): number {
  const characters = input.policies.reduce((sum, { text }) => sum + text.length, 0);
  return 60_000 + Math.ceil(characters / 1024) * 10;
}

/**
 * Proves a policy set in a disposable thread: a policy that traps the engine, or keeps it busy beyond the time-out, ends that
 * thread only.
 */
export function compileInWorker(timeoutMs: (input: ProofInput) => number = compileTimeoutMs): Compile {
  return (input, onRead = () => {}) =>
    new Promise((resolve) => {
      const worker = new Worker(workerFile(), { workerData: input, execArgv: [] });
      const limitMs = timeoutMs(input);
      let read: ReadPolicies = { policies: [], templates: [] };
      const settle = (result: SetProof | { readonly problem: string }): void => {
        clearTimeout(timer);
        void worker.terminate();
        resolve(result);
      };
      // `setImmediate` lets an answer that arrived while this thread was busy be received first.
      const late = (): unknown => setImmediate(() => settle({ problem: `no answer within ${limitMs} ms` }));
      const timer = setTimeout(late, limitMs);
      worker.on('message', (message: ProofMessage) => {
        if ('proof' in message) return settle({ ...read, ...message.proof });
        ({ read } = message);
        onRead(read);
      });
      worker.once('error', (error) => settle({ problem: String(error) }));
      worker.once('exit', (code) => settle({ problem: `the thread ended with ${code}` }));
    });
}

/** The same for command-line tools: policies of equal form share one conversion to Cedar's JSON format. */
export function compileForTool(): Compile {
  const compile = compileInWorker();
  return (input, onRead) => compile({ ...input, isForTool: true }, onRead);
}

/** The worker's path: beside this file, with its extension (`.ts` in the sources, `.js` in the build). */
function workerFile(): string {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  return fileURLToPath(new URL(`./compile-worker${extension}`, import.meta.url).href);
}

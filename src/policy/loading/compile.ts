import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { ProofInput, ReadPolicies, SetProof } from './proof.ts';

/**
 * Proves a policy set somewhere it can do no harm; a set that cannot be proved there is a problem.
 *
 * @param onRead may be called before types are checked, where nothing was found so far
 */
export type Compile = (
  input: ProofInput,
  onRead?: (read: ReadPolicies) => void,
) => Promise<SetProof | { readonly problem: string }>;

/** What the thread says: its policies as soon as they are read, unless something was found; then the proof, without them. */
export type ProofMessage = { readonly read: ReadPolicies } | { readonly proof: Omit<SetProof, keyof ReadPolicies> };

/**
 * How long a set may take to be proved: 60 s, and 10 ms more for each KiB of policies. It bounds an engine that never answers, so
 * it leaves room for a container with a tenth of a core. Measured on two busy cores: 3 s for 1,000 policies of 0.2 KiB, 17 s
 * for 10,000.
 */
export function compileTimeoutMs(input: ProofInput): number {
  const characters = input.policies.reduce((sum, { text }) => sum + text.length, 0);
  return 60_000 + Math.ceil(characters / 1024) * 10;
}

/**
 * Proves a policy set in a thread that is thrown away: a policy that traps the engine, or keeps it busy for longer than
 * the time-out, costs that thread and nothing else.
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
      // A thread that is busy meanwhile takes an answer that has come before it says that there is none.
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

/** The same for a tool, which asks many policies little: Cedar's JSON form is made once for policies of one form. */
export function compileForTool(): Compile {
  const compile = compileInWorker();
  return (input, onRead) => compile({ ...input, isForTool: true }, onRead);
}

/** Beside this file and with its extension: `.ts` from the sources, `.js` once built. */
function workerFile(): string {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  return fileURLToPath(new URL(`./compile-worker${extension}`, import.meta.url).href);
}

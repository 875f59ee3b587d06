import { setImmediate as nextTurn } from 'node:timers/promises';
import { receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import type { PolicyEntry } from './policy-file.ts';
import type { ProofInput, ReadPolicies, SetProof } from './proof.ts';
import { programBeside } from '../../runtime/system/program-beside.ts';

/**
 * Proves a policy set in isolation. A problem if the proof cannot be completed.
 *
 * @param onRead may be called before types are checked, if there are no findings so far
 */
export type Compile = (
  input: ProofInput,
  onRead?: (read: ReadPolicies) => void,
) => Promise<SetProof | { readonly problem: string }>;

/** A message of the thread: the policies once they are read, unless there are findings; then the proof without them. */
export type CompileMessage = { readonly read: SentPolicies } | { readonly proof: Omit<SetProof, keyof ReadPolicies> };

/** What a thread knows from its start. */
export interface ThreadSettings {
  /** Whether checks are answered meanwhile. */
  readonly isBesideChecks: boolean;
}

/** Policies on their way from the thread. */
export interface SentPolicies extends Pick<ReadPolicies, 'templates'> {
  /** Has `pieces` messages, each with some of the policies. They are received singly. */
  readonly policies: MessagePort;
  readonly pieces: number;
}

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
      const worker = newThread({ isBesideChecks: input.isBesideChecks === true });
      const limitMs = timeoutMs(input);
      let reading: Promise<ReadPolicies> = Promise.resolve({ policies: [], templates: [] });
      const settle = (result: SetProof | { readonly problem: string }): void => {
        clearTimeout(timer);
        void worker.terminate();
        resolve(result);
      };
      // `setImmediate` lets an answer that arrived while this thread was busy be received first.
      const late = (): unknown => setImmediate(() => settle({ problem: `no answer within ${limitMs} ms` }));
      const timer = setTimeout(late, limitMs);
      worker.on('message', (message: CompileMessage) => {
        if ('read' in message) {
          reading = received(message.read, onRead);
          return;
        }
        // The thread ends now, perhaps before all of its policies are received.
        worker.removeAllListeners('exit');
        clearTimeout(timer);
        reading.then(
          (read) => settle({ ...read, ...message.proof }),
          (error: unknown) => settle({ problem: String(error) }),
        );
      });
      worker.once('error', (error) => settle({ problem: String(error) }));
      worker.once('exit', (code) => settle({ problem: `the thread ended with ${code}` }));
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(input);
    });
}

/** The policies of the thread, one piece in each turn of the event loop: 10,000 policies in one turn take 150 ms. */
async function received(
  { policies: port, pieces, templates }: SentPolicies,
  onRead: (read: ReadPolicies) => void,
): Promise<ReadPolicies> {
  const policies: PolicyEntry[] = [];
  for (let piece = 0; piece < pieces; piece += 1) {
    await nextTurn();
    policies.push(...(receiveMessageOnPort(port)?.message as readonly PolicyEntry[]));
  }
  port.close();
  onRead({ policies, templates });
  return { policies, templates };
}

/** The same for a server: from the second set on checks are answered meanwhile, so that the thread yields to them. */
export function compileToServe(): Compile {
  const compile = compileInWorker();
  let isBesideChecks = false;
  return (input, onRead) => {
    const proof = compile({ ...input, isBesideChecks }, onRead);
    isBesideChecks = true;
    return proof;
  };
}

/** Half of Node's default: a server proves a set in less memory, and takes no longer. */
const LIMITS = { maxYoungGenerationSizeMb: 24 };

const newThread = (settings: ThreadSettings): Worker =>
  new Worker(programBeside(import.meta.url, 'compile-worker'), {
    workerData: settings,
    execArgv: [],
    resourceLimits: LIMITS,
  });

/** The same for command-line tools: policies of equal form share one conversion to Cedar's JSON format. */
export function compileForTool(): Compile {
  const compile = compileInWorker();
  return (input, onRead) => compile({ ...input, isForTool: true }, onRead);
}

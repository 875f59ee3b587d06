import { parentPort, workerData } from 'node:worker_threads';
import { freshCedar } from '../cedar.ts';
import { withFormsOnce } from './policy-json.ts';
import { prove } from './proof.ts';
import type { ProofInput } from './proof.ts';

// The throw-away thread of `compile.ts`, alone in handing it its input. A trap of the engine ends this thread, no other.
const input = workerData as ProofInput;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
parentPort?.postMessage(prove(input, input.isForTool === true ? withFormsOnce(freshCedar()) : freshCedar()));

import { parentPort, workerData } from 'node:worker_threads';
import { freshCedar } from '../cedar.ts';
import type { ProofMessage } from './compile.ts';
import { withFormsOnce } from './policy-json.ts';
import { prove } from './proof.ts';
import type { ProofInput } from './proof.ts';

// The disposable thread of `compile.ts`, which alone supplies its input. A trap of the engine ends this thread only.
const input = workerData as ProofInput;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
const say = (message: ProofMessage): void => parentPort?.postMessage(message);
const cedar = input.isForTool === true ? withFormsOnce(freshCedar()) : freshCedar();
const { findings, warnings } = prove(input, cedar, (read) => say({ read }));
say({ proof: { findings, warnings } });

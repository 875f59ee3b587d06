/** The program of the thread that proves a policy set. */
import { MessageChannel, parentPort, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { yieldToOthers } from '../../runtime/system/thread-priority.ts';
import { freshCedar } from '../cedar.ts';
import type { CompileMessage, ThreadSettings } from './compile.ts';
import { withFormsOnce } from './policy-json.ts';
import { prove } from './proof.ts';
import type { ProofInput, ReadPolicies } from './proof.ts';

/** Few enough that receiving them takes 2 ms. */
const POLICIES_PER_PIECE = 128;

// The disposable thread of `compile.ts`, which supplies its only input, one message. A trap of the engine ends only this thread.
const { isBesideChecks } = workerData as ThreadSettings;
if (isBesideChecks) yieldToOthers();
const engine = freshCedar();
const input = await asked();
const cedar = input.isForTool === true ? withFormsOnce(engine) : engine;
const { findings, warnings } = prove(input, cedar, handOver);
say({ proof: { findings, warnings } });

function asked(): Promise<ProofInput> {
  return new Promise((resolve) => parentPort?.once('message', resolve));
}

/** For a tool, policies of equal form share their facts, and only a single message keeps them shared. */
function handOver({ policies, templates }: ReadPolicies): void {
  const { port1, port2 } = new MessageChannel();
  const size = input.isForTool === true ? Math.max(1, policies.length) : POLICIES_PER_PIECE;
  const pieces = Math.ceil(policies.length / size);
  for (let piece = 0; piece < pieces; piece += 1)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    port1.postMessage(policies.slice(piece * size, (piece + 1) * size));
  say({ read: { policies: port2, pieces, templates } }, port2);
}

function say(message: CompileMessage, ...handedOver: readonly MessagePort[]): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(message, [...handedOver]);
}

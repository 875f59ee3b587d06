import type { Config } from '../config/config.ts';
import type { Ports } from '../ports.ts';
import { ProofFile } from '../store/proof-file.ts';
import { openStore } from '../store/sqlite.ts';
import type { StoreOptions } from '../store/sqlite.ts';
import { lockState } from '../store/state-lock.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import type { Store } from '../store/store.ts';
import { ProofMemory } from '../token/proof-memory.ts';
import type { OnProofRefused, ReplayMemory } from '../token/proof-memory.ts';
import { defaultProofRules } from '../token/proof.ts';
import type { StartProblem } from './start-problem.ts';

/**
 * How long a write waits for that of another process: half of the deadline that Envoy ships with, so that a check which cannot be
 * written is still answered with its denial.
 */
const SHARED_BUSY_MS = 250;

/** Where each role holds proofs to one use. */
export interface Proofs {
  memoryFor(role: 'checks' | 'issuer', onRefused: OnProofRefused): ReplayMemory;
}

/** What the guarantees of a process are kept in. */
export interface State {
  readonly store: Store;
  readonly proofs: Proofs;
}

/** What the state is opened with. */
export interface StateServices {
  readonly ports: Ports;
  readonly onFatal: (detail: string) => void;
  readonly onRecords: NonNullable<StoreOptions['onRecords']>;
  readonly onWrite: NonNullable<StoreOptions['onWrite']>;
  /** Takes what closes what was opened, to be called from the last to the first, also where the rest could not be opened. */
  readonly closers: { push(closer: () => void): void };
}

/**
 * Opens the state file of a configuration, for this process alone or to be shared. What one process keeps in memory for a
 * guarantee is in a file where several give it: `stateAccess` says which, and a lock holds all of them to the same word.
 */
export function openState(
  { state: path, stateAccess }: Pick<Config, 'state' | 'stateAccess'>,
  { ports, onFatal, onRecords, onWrite, closers }: StateServices,
): State | StartProblem {
  const isShared = stateAccess === 'shared';
  const lock = lockState(path, stateAccess);
  if (isStoreFailure(lock)) return { problem: lock.detail };
  closers.push(() => lock.release());
  const failing = ({ detail }: { readonly detail: string }): void => onFatal(detail);
  const waiting = isShared ? { busyTimeoutMs: SHARED_BUSY_MS } : {};
  const store = openStore(path, { ...ports, ...waiting, onFatal: failing, onRecords, onWrite });
  if (isStoreFailure(store)) return { problem: store.detail };
  closers.push(() => store.close());
  const remembering = { pastSeconds: defaultProofRules.pastSeconds, startedAtMs: store.nowMs() };
  if (!isShared)
    return { store, proofs: { memoryFor: (_role, onRefused) => new ProofMemory({ ...remembering, onRefused }) } };
  const proofs = ProofFile.open(`${path}.proofs`, {
    ...remembering,
    busyTimeoutMs: SHARED_BUSY_MS,
    onFatal: failing,
  });
  if (isStoreFailure(proofs)) return { problem: proofs.detail };
  closers.push(() => proofs.close());
  return { store, proofs };
}

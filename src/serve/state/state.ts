import type { Deny } from '../../core/decision/decision.ts';
import type { DatabaseReport } from '../../core/fleet/fleet-report.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { migrateFile, pendingVersion } from '../../authority/state/sqlite/migration.ts';
import { stateFormat } from '../../authority/state/sqlite/schema.ts';
import { AuthorityThread } from '../../authority/state/sqlite/authority-thread.ts';
import type { AuthorityThreadOptions } from '../../authority/state/sqlite/authority-thread.ts';
import type { StateAccess } from '../../authority/state/sqlite/state-access.ts';
import type { FileLock } from '../../core/sqlite/file-lock.ts';
import { lockState } from '../../authority/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import { usesElsewhere } from '../../core/state/reported-uses.ts';
import type { UsesOfToken } from '../../core/state/reported-uses.ts';
import type { UseSharingServices } from '../../core/state/use-sharing.ts';
import type { Authority, Upkeep } from '../../core/state/authority.ts';
import type { PostgresState } from '../../authority/state/postgres/postgres-state.ts';
import type { SidecarState } from '../../sidecar/state/sidecar-state.ts';
import type { ReportTarget } from '../../core/state/reports.ts';
import type { StateReader } from '../../authority/state/sqlite/state-reader.ts';
import type { Log } from '../../core/telemetry/log.ts';
import { ProofMemory } from '../../core/token/proof/proof-memory.ts';
import type { OnProofRefused, ReplayMemory } from '../../core/token/proof/proof-memory.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import type { Proof } from '../../core/token/proof/proof.ts';
import type { OutboxSource } from '../ledger/state-outbox.ts';
import type { StartProblem } from '../start-problem.ts';

/** The replay memory of each role. */
export interface Proofs {
  memoryFor(role: 'checks' | 'issuer', onRefused: OnProofRefused): ReplayMemory;
  /** Whether another process has seen a proof that the memory has just used up; absent if each process remembers only its own proofs. */
  readonly usedElsewhere?: (proof: Proof) => Promise<Deny | null> | null;
}

/** What only a process with a state file has. */
export interface StateFile extends Pick<StateAccess, 'authority' | 'feed'> {
  /** Synchronous reads of the file. They see each commit at once. */
  readonly reader: StateReader;
}

/** A PostgreSQL with the state of tasks. */
interface OpenDatabase {
  readonly state: PostgresState;
  readonly outbox: OutboxSource;
  /** Why commits do not survive the failures that they must; `null` if they do. Checked each minute, after a problem each 5 s. */
  readonly problem: () => string | null;
  /** Why it is known to lack commits, with the way out; `null` if it is not. Nothing is read or written meanwhile. */
  readonly lost: () => string | null;
  /** Asks its servers now; calls within a second share an answer. */
  readonly report: () => Promise<DatabaseReport>;
  /** The answer of the last look, each minute; `null` before the first. */
  readonly lastReport: () => DatabaseReport | null;
}

/** Uses of tokens, shared with the sidecars of an authority. */
export interface SharedUses {
  readonly before: UseSharingServices['usesBefore'];
  readonly write: (uses: readonly UsesOfToken[]) => Promise<null | StoreFailure>;
}

/** The state and the replay memory of a process. */
export interface State extends Pick<StateAccess, 'states' | 'settling'> {
  /** Issues tasks; `null` at a sidecar. */
  readonly authority: (Authority & Upkeep) | null;
  /** `null` if the state is elsewhere. */
  readonly stateFile: StateFile | null;
  /** `null` if the state is not in a PostgreSQL. */
  readonly database: OpenDatabase | null;
  /** `null` if this process is no sidecar. */
  readonly sidecar: SidecarState | null;
  /** The writes of reports. */
  readonly reporting: ReportTarget['authority'];
  /** The uses of tokens that other processes reported, and where to report those of this process; `null` if there are no others. */
  readonly sharedUses: SharedUses | null;
  /** The digest that represents a static secret. */
  readonly digestOf: (secret: string) => string;
  readonly proofs: Proofs;
}

/** Dependencies of the state. */
export interface StateServices {
  readonly ports: Ports;
  readonly log: Log;
  /** Whether sidecars share the uses of tokens with this process. */
  readonly hasSidecars: boolean;
  readonly onFatal: (detail: string) => void;
  readonly onRecords: NonNullable<AuthorityThreadOptions['onRecords']>;
  readonly onWrite: NonNullable<AuthorityThreadOptions['onWrite']>;
  readonly onEnded: NonNullable<AuthorityThreadOptions['onEnded']>;
  /** Receives the closers of what was opened. Call them last to first, even if the rest could not be opened. */
  readonly closers: { push(closer: () => unknown): void };
}

/**
 * Locks a state file against other processes. It is the first step of a start: otherwise a second process would fail at its first address,
 * without mentioning the state, or wait for its SVID.
 */
export function lockStateFile(path: string): FileLock | StartProblem {
  const lock = lockState(path);
  if (!isStoreFailure(lock)) return lock;
  const pending = lock.code === 'busy' ? pendingVersion(path, stateFormat) : null;
  // Not as its sidecar: the process that serves is of another release.
  return pending === null || isStoreFailure(pending)
    ? { problem: lock.detail }
    : {
        problem: `the state file \`${path}\` must be migrated, but is in use: stop the process that serves with it first`,
      };
}

/** Opens the state file at a path. INVARIANT: the caller holds it (`lockStateFile`) until this is closed. */
export async function openStateFile(
  path: string,
  { ports, log, hasSidecars, onFatal, onRecords, onWrite, onEnded, closers }: StateServices,
): Promise<State | StartProblem> {
  const outdated = broughtUpToDate(path, log);
  if (outdated !== null) return outdated;
  const failing = ({ detail }: { readonly detail: string }): void => onFatal(detail);
  const thread = await AuthorityThread.open(path, { ...ports, onFatal: failing, onRecords, onWrite, onEnded });
  if (isStoreFailure(thread)) return { problem: thread.detail };
  closers.push(() => thread.close());
  const { states, settling, authority, feed, reader } = thread;
  const remembering = { pastSeconds: defaultProofRules.pastSeconds, startedAtMs: reader.nowMs() };
  return {
    states,
    settling,
    authority,
    stateFile: { authority, feed, reader },
    database: null,
    sidecar: null,
    reporting: authority,
    sharedUses: hasSidecars ? sharedUsesOf(authority, reader) : null,
    digestOf: (secret) => reader.digestOf(secret),
    proofs: { memoryFor: (_role, onRefused) => new ProofMemory({ ...remembering, onRefused }) },
  };
}

/** The name stays the same over restarts, since no other process serves checks with this file. */
const sharedUsesOf = (authority: Upkeep, reader: StateReader): SharedUses => ({
  before: (_key, jtiDigest) => {
    const reports = reader.reportedUses(jtiDigest);
    return isStoreFailure(reports) ? undefined : usesElsewhere(reports);
  },
  write: (uses) => authority.writeUses(uses, { name: 'authority', audiences: null }),
});

/** Migrates a state file of an earlier release. Returns why it could not, or `null`. */
function broughtUpToDate(path: string, log: Log): StartProblem | null {
  const migrated = migrateFile(path, stateFormat, { keepsCopy: true });
  if (isStoreFailure(migrated)) return { problem: migrated.detail };
  if (migrated !== null) {
    const { from, to, copy } = migrated;
    log(
      `state file \`${path}\`: migrated from schema version ${from} to ${to}; the former file is kept as \`${copy}\``,
      'migrated',
      { from, to, copy },
    );
  }
  return null;
}

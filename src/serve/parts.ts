import type { Config } from '../core/config/config.ts';
import type { LiveSettings } from '../core/config/live-config.ts';
import type { PathGuard } from '../core/config/writable-path.ts';
import type { SvidSource } from '../core/identity/svid.ts';
import type { BundleInForce } from '../core/policy/bundle/bundle-feed.ts';
import type { PolicyInForce } from '../core/policy/policy-in-force.ts';
import type { Ports } from '../core/runtime/ports.ts';
import type { AnnouncedKeys } from './keys/announced-keys.ts';
import type { CheckActivity } from './roles/check-activity.ts';
import type { Reports } from '../core/state/reports.ts';
import type { Shares } from '../core/state/shares.ts';
import type { KeyFiles } from './keys/key-files.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { StateHealth } from './state/state-health.ts';
import type { State } from './state/state.ts';
import type { LineSink } from '../core/telemetry/decision-log.ts';
import type { Faults } from '../core/telemetry/faults.ts';
import type { Log } from '../core/telemetry/log.ts';
import type { Metrics } from '../core/telemetry/metrics/metrics.ts';
import type { Telemetry } from '../core/telemetry/telemetry.ts';
import type { Trial } from '../core/shadow/trial.ts';

/** Parts shared by the roles of a process. */
export interface Parts extends Pick<
  State,
  'states' | 'settling' | 'sharedUses' | 'digestOf' | 'authority' | 'stateFile' | 'database' | 'sidecar' | 'proofs'
> {
  readonly config: Config;
  readonly ports: Ports;
  /** The shares of budgets that this process was lent; the same object as `settling`. */
  readonly shares: Pick<Shares, 'close'>;
  /** Background writes. */
  readonly reports: Reports;
  readonly ledger: Ledger;
  readonly policies: PolicyInForce;
  readonly policyLoads: PolicyLoads;
  /** The signed policy bundle in force; `null` if the policies are from a folder. */
  readonly bundle: () => BundleInForce | null;
  /** Receives every decision. */
  readonly trial: Trial;
  /** `null` if the configuration names no SVID. */
  readonly svid: SvidSource | null;
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  /** Keys of tokens that an authority announces to a sidecar. */
  readonly announced: AnnouncedKeys;
  readonly checkActivity: CheckActivity;
  /** Receives the decision log, if configured; `null` if there is no output. */
  readonly decisionStream: LineSink | null;
  /** Logs one line for the operator. Never a secret. */
  readonly log: Log;
  readonly faults: Faults;
  readonly stateHealth: StateHealth;
  /** Key and certificate files, read again on SIGHUP. */
  readonly keyFiles: KeyFiles;
  /** The live configuration; `config` is the configuration of the start. */
  readonly live: () => LiveSettings;
  /** Refuses trusted files that others can write. */
  readonly guard: PathGuard;
}

/** Loads of the policies in force. */
export interface PolicyLoads {
  /** Loads now, and logs the result. */
  readonly reload: () => Promise<void>;
  /** Logs the set in force, unless it was logged already. */
  readonly report: () => void;
}

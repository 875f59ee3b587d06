import type { Config } from '../config/config.ts';
import type { LiveSettings } from '../config/live-config.ts';
import type { PathGuard } from '../config/writable-path.ts';
import type { SvidSource } from '../identity/svid.ts';
import type { PolicyInForce } from '../policy/policy-in-force.ts';
import type { Ports } from '../runtime/ports.ts';
import type { StateAccess } from '../state/sqlite/direct-authority.ts';
import type { StoreReader } from '../state/store.ts';
import type { CheckActivity } from './check-activity.ts';
import type { Reports } from '../state/reports.ts';
import type { KeyFiles } from './key-files.ts';
import type { Ledger } from './ledger.ts';
import type { StateHealth } from './state-health.ts';
import type { Proofs } from './state.ts';
import type { LineSink } from '../telemetry/decision-log.ts';
import type { Faults } from '../telemetry/faults.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Trial } from '../policy-tools/shadow/trial.ts';

/** What the roles of one process share. */
export interface Parts extends StateAccess {
  readonly config: Config;
  readonly ports: Ports;
  /** Synchronous reads of the state file. */
  readonly reader: StoreReader;
  /** Writes that decide nothing. */
  readonly reports: Reports;
  readonly proofs: Proofs;
  readonly ledger: Ledger;
  readonly policies: PolicyInForce;
  readonly policyLoads: PolicyLoads;
  /** Is told of every decision. */
  readonly trial: Trial;
  /** `null` where the configuration names none. */
  readonly svid: SvidSource | null;
  readonly telemetry: Telemetry;
  readonly metrics: Metrics;
  readonly checkActivity: CheckActivity;
  /** Where decisions are logged, if the configuration says so; `null` where there is no such place. */
  readonly decisionStream: LineSink | null;
  /** Told, a line each, of what an operator should know. Never a secret. */
  readonly log: Log;
  readonly faults: Faults;
  readonly stateHealth: StateHealth;
  /** Files of keys and certificates, read again on SIGHUP. */
  readonly keyFiles: KeyFiles;
  /** What of the configuration holds now; `config` is that of the start. */
  readonly live: () => LiveSettings;
  /** Refuses files that are believed and that others can write. */
  readonly guard: PathGuard;
}

/** The loads of the policies in force. */
export interface PolicyLoads {
  /** Loads now, and says in the log what came of it. */
  readonly reload: () => Promise<void>;
  /** Says in the log what is in force, where that was not said yet. */
  readonly report: () => void;
}

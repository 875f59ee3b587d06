import type { PathGuard } from '../core/config/writable-path.ts';
import type { LiveSettings } from '../core/config/live-config.ts';
import type { Ports } from '../core/runtime/ports.ts';
import type { LineSink } from '../core/telemetry/decision-log.ts';
import type { Log } from '../core/telemetry/log.ts';
import type { StartRehearsal } from './start-rehearsal.ts';

/** Options of a process of Remit, besides its configuration. */
export interface RemitOptions {
  readonly ports: Ports;
  /** Read only for the `OTEL_*` variables. The configuration was read before. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Logs one line for the operator. Never a secret. */
  readonly log: Log;
  /** Receives the decision log, if configured; absent, decisions are not logged. */
  readonly stdout?: LineSink;
  /** Refuses trusted files that others can write, at start and at each reload. Default `writablePathProblem`. */
  readonly guard?: PathGuard;
  /** The live configuration, if it can change. Default: the configuration of the start. */
  readonly live?: () => LiveSettings;
  /**
   * Ends a start that waits for an SVID, a database or a bundle of policies. Default: none, so that a start waits a few seconds at most, and
   * what is missing is its problem.
   */
  readonly stop?: AbortSignal;
  /**
   * Rehearses the start before a state file is migrated, which the release before could not read any more. Default: none.
   */
  readonly rehearse?: () => Promise<StartRehearsal>;
  /** Whether nothing may be left elsewhere: a sidecar then sends no records to its authority. Default false. */
  readonly isRehearsal?: boolean;
  /** Why this process gets no SVID, if that is certain: it then asks for none. Default: it asks for the configured SVID. */
  readonly noSvid?: string | null;
  /** Called once when the state file fails. Everything is denied from then on, and the process must exit. */
  readonly onFatal: (detail: string) => void;
}

import { bool, optional } from '../runtime/fields.ts';
import { section } from './fields.ts';

/** What spans show in addition to their fixed attributes. The variables of OpenTelemetry say where spans are sent. */
export interface TelemetryConfig {
  /**
   * Whether the spans of checks have the arguments that the ledger records, those that the catalog marks `record: true`. Default `false`, since
   * everyone who can read traces could read these values.
   */
  readonly spanArguments: boolean;
}

/** Reads the section `telemetry`. */
export const telemetrySection = section<TelemetryConfig>({ spanArguments: optional(bool, false) });

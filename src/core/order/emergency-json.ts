import type { ObserveOrder } from './order.ts';

/** An emergency as the issuer and `--json` show it; instants in RFC 3339. */
export interface EmergencyJson {
  readonly id: string;
  readonly agents: readonly string[];
  /** `null` for every server. */
  readonly servers: readonly string[] | null;
  readonly by: string;
  readonly because: string;
  readonly made: string;
  readonly until: string;
}

/** An emergency in its JSON form. */
export const emergencyJson = ({
  id,
  agents,
  servers,
  by,
  because,
  madeAtMs,
  untilMs,
}: ObserveOrder): EmergencyJson => ({
  id,
  agents,
  servers,
  by,
  because,
  made: new Date(madeAtMs).toISOString(),
  until: new Date(untilMs).toISOString(),
});

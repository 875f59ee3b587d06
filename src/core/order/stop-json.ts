import type { StopOrder } from './order.ts';
import { UNSEALED } from './unsealed.ts';

/**
 * A stop as the issuer and `--json` show it; instants in RFC 3339, `until` is `null` if it holds until it is lifted. `unsealed` is `true` if no
 * authority wrote its row, and absent otherwise.
 */
export const stopJson = ({ id, kind, what, by, because, madeAtMs, untilMs }: StopOrder) => ({
  id,
  kind,
  what,
  by,
  because,
  made: new Date(madeAtMs).toISOString(),
  until: untilMs === null ? null : new Date(untilMs).toISOString(),
  ...(by === UNSEALED && { unsealed: true }),
});

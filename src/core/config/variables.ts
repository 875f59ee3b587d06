/** The `REMIT_*` variables that are not fields of the configuration. */
import { TERMINATION_MESSAGE } from '../runtime/system/termination-message.ts';
import { GUIDE_URL } from './guide.ts';

/** `REMIT_…` variables that are not fields of the configuration: those of `remit run`, `remit agent` and their commands, of tools, and of the tests. */
const OTHERS: ReadonlySet<string> = new Set([
  'REMIT_BUNDLE',
  'REMIT_CACHE',
  GUIDE_URL,
  'REMIT_MCP_SERVERS',
  'REMIT_REQUIRE_PARTS',
  'REMIT_SVID',
  'REMIT_TASKS',
  'REMIT_TASKS_SOCKET',
  'REMIT_TASK_ID',
  TERMINATION_MESSAGE,
  'REMIT_TOKEN',
  'REMIT_TOKEN_FILE',
  'REMIT_TOKEN_URL',
  'REMIT_TOKEN_URL_AUTH',
]);

/**
 * Whether a variable has a purpose outside the configuration: a variable of ours, or a variable that Kubernetes sets in each pod for a
 * service whose name begins with `remit`, such as `REMIT_SERVICE_HOST` and `REMIT_PORT_9472_TCP_ADDR`.
 *
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
export const isOfOthers = (name: string): boolean =>
  OTHERS.has(name) ||
  /^REMIT_FORWARD_[A-Z0-9_]+$/.test(name) ||
  /^REMIT_(?:[A-Z0-9_]{1,64}_)?(?:SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]{1,64})?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/.test(
    name,
  );

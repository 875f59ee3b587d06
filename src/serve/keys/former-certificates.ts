import { LRUCache } from 'lru-cache';
import { isDeny } from '../../core/decision/decision.ts';
import { withOtherCertificate } from '../../core/decide/decided-check.ts';
import type { CheckObserver } from '../../core/telemetry/finished-check.ts';
import type { Parts } from '../parts.ts';

/** Consecutive denials of an agent before it is logged: an agent that exchanges its token after a renewal gets fewer denials. */
const IN_A_ROW = 20;
/** Most agents that are counted; the least recently denied agent is dropped first. */
const MAX_AGENTS = 1_024;

/**
 * Logs once for each agent that its calls are denied again and again because its certificate is not the certificate that its tokens are bound
 * to. Such an agent does not exchange its tokens, or a proxy before it keeps connections that were opened with a former certificate.
 */
export function formerCertificates({ config, log }: Pick<Parts, 'config' | 'log'>): CheckObserver {
  if (config.extAuthz.binding !== 'certificate') return () => undefined;
  const denials = new LRUCache<string, number>({ max: MAX_AGENTS });
  return (check) => {
    const { caller } = check.facts;
    if (isDeny(caller)) return;
    if (!isDeny(check.decision)) {
      // Most of the time no agent is counted.
      if (denials.size > 0 && denials.get(caller.id) !== Infinity) denials.delete(caller.id);
      return;
    }
    if (!withOtherCertificate(check)) return;
    const count = (denials.get(caller.id) ?? 0) + 1;
    denials.set(caller.id, count < IN_A_ROW ? count : Infinity);
    if (count === IN_A_ROW)
      log(
        `warning: \`${caller.id}\` was denied ${IN_A_ROW} times in a row with its own token, which is bound to another certificate of it: after a renewal of its SVID an agent exchanges its token (\`remit run\` does); if a proxy of a mesh keeps its connections, set \`extAuthz.binding: spiffe-id\``,
      );
  };
}

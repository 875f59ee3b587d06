import { isDeny } from '../decision/decision.ts';
import type { CheckObserver } from '../telemetry/finished-check.ts';
import type { Parts } from './parts.ts';

/**
 * Counts the checks that came without the certificate of their caller where tokens are bound to certificates, and says so in the log
 * once: such a proxy is misconfigured, and every token that is bound is denied behind it.
 */
export function missingCertificates({
  config,
  metrics,
  log,
}: Pick<Parts, 'config' | 'metrics' | 'log'>): CheckObserver {
  const { identity, binding } = config.extAuthz;
  if (binding !== 'certificate') return () => undefined;
  const missing = metrics.peerCertificatesMissing.of({});
  const cure =
    identity === 'peer'
      ? 'set `include_peer_certificate: true` in the ext_authz filter of Envoy'
      : 'forward `Hash` in xfcc';
  let isTold = false;
  return ({ facts: { caller } }) => {
    if (isDeny(caller) || caller.certificateSha256 !== null) return;
    missing.inc();
    if (!isTold)
      log(
        `warning: a check came without the certificate of its caller, and \`extAuthz.binding\` is \`certificate\`: ${cure}`,
      );
    isTold = true;
  };
}

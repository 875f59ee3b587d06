import { isDeny } from '../../core/decision/decision.ts';
import type { CheckObserver } from '../../core/telemetry/finished-check.ts';
import type { Parts } from '../parts.ts';

/**
 * Counts checks without a client certificate if tokens are bound to certificates, and logs that once: the proxy is misconfigured, and
 * every bound token behind it is denied.
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

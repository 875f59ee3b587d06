import { isOfNetwork } from '../../core/config/ext-authz.ts';
import type { NetworkTransport, TransportParts } from '../../sidecar/envoy/server-options.ts';
import { trustDomainOf } from '../../core/identity/spiffe-id.ts';
import { after } from '../../core/runtime/timers.ts';
import { TokenBucket } from '../../core/runtime/collections/token-bucket.ts';
import { awaitedSvid } from '../keys/own-svid.ts';
import type { Parts } from '../parts.ts';
import type { StartProblem } from '../start-problem.ts';

/** Log lines about refused connections: a few at once, then a line every ten seconds. */
const LOG_BUDGET = { burst: 10, perSecond: 0.1 };

/** Makes the servers of checks over the network; `null` if none is configured. grpc-js is loaded only here. */
export async function networkOf({
  config: { extAuthz, file },
  live,
  svid,
  ports: { nowMs, monotonicMs },
  log,
  metrics,
}: Pick<Parts, 'config' | 'live' | 'svid' | 'ports' | 'log' | 'metrics'>): Promise<
  ((parts: TransportParts) => NetworkTransport) | StartProblem | null
> {
  const { callers, listen, maxBodyBytes } = extAuthz;
  if (callers.length === 0) return null;
  const needed = `${file}: \`extAuthz.callers\` needs a valid SVID of this process`;
  if (svid === null) return { problem: needed };
  const own = await awaitedSvid(svid);
  if ('problem' in own) return { problem: `${needed}: ${own.problem}`, mayPass: true };
  const foreign = callers.find((caller) => trustDomainOf(caller) !== trustDomainOf(own.id));
  if (foreign !== undefined) {
    return {
      problem: `${file}: \`extAuthz.callers\`: \`${foreign}\` is not of the trust domain of this process, whose SVID is \`${own.id}\``,
    };
  }
  // A rehearsal has other addresses.
  if (!listen.some(isOfNetwork)) return null;
  const { NetworkServer } = await import('../../sidecar/envoy/network/network-server.ts');
  const logBudget = new TokenBucket({ ...LOG_BUDGET, monotonicMs });
  const onRefused = (address: string, problem: string): void => {
    metrics.networkRefusals.of({}).inc();
    if (logBudget.take()) log(`checks: refused a connection of ${address}: ${problem}`, 'caller-refused', { address });
  };
  return (parts) =>
    new NetworkServer({
      ...parts,
      svid,
      callers: () => live().extAuthz.callers,
      maxBodyBytes,
      onRefused,
      nowMs,
      monotonicMs,
      after,
    });
}

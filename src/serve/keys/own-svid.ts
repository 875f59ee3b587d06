import { X509Certificate } from 'node:crypto';
import type { Config } from '../../core/config/config.ts';
import { firstSvid } from '../../core/identity/first-svid.ts';
import type { Svid, SvidProblem, SvidSource } from '../../core/identity/svid.ts';
import { after } from '../../core/runtime/timers.ts';
import { NoSvid } from './no-svid.ts';
import { trustDomainOf } from '../../core/identity/spiffe-id.ts';

/** Why a process must not serve with this SVID and this configuration, in one line; `null` if it may. */
export function ownSvidProblem(
  { id }: Pick<Svid, 'id'>,
  { file, trustDomains, ownTrustDomain }: Pick<Config, 'file' | 'trustDomains' | 'ownTrustDomain'>,
): string | null {
  const own = trustDomainOf(id);
  if (trustDomains.includes(own) || ownTrustDomain === own) return null;
  return `${file}: \`trustDomains\` is \`${trustDomains.join(', ')}\`, but the SVID of this process is \`${id}\`: add \`${own}\`, or set \`ownTrustDomain: ${own}\` if its workloads must not call`;
}

/**
 * Why most clients would refuse this SVID, in one line; `null` if they accept it. Clients that verify the SPIFFE ID accept it anyway.
 */
function ownSvidWarning({ certificates }: Svid, { file, issuer }: Pick<Config, 'file' | 'issuer'>): string | null {
  const [leaf] = certificates;
  if (issuer === null || leaf === undefined) return null;
  const { hostname } = new URL(issuer.url);
  if (new X509Certificate(leaf).checkHost(hostname, { subject: 'never' }) !== undefined) return null;
  return `warning: ${file}: \`issuer.url\` is \`${issuer.url}\`, but the SVID of this process has no DNS name \`${hostname}\`, so clients that verify names refuse it: register it with that name (SPIRE: \`-dns ${hostname}\`), or change \`issuer.url\``;
}

/** Logs the problem of each new SVID. Returns the problem of the current SVID, which makes the start fail; `null` for none. */
export function followOwnSvid(
  source: SvidSource | null,
  { config, log }: { readonly config: Config; readonly log: (line: string) => void },
): string | null {
  let loggedLine: string | null = null;
  const look = (svid: Svid): string | null => {
    const problem = ownSvidProblem(svid, config);
    const line = problem ?? ownSvidWarning(svid, config);
    // Logged once, not at each renewal.
    if (line !== null && line !== loggedLine) log(line);
    loggedLine = line;
    return problem;
  };
  source?.onChange(look);
  const current = source?.current() ?? null;
  return current === null ? null : look(current);
}

const FIRST_SVID_MS = 10_000;

/** The SVID of this process, once its source has an SVID, or why it has none. For roles that cannot serve without an SVID. */
export const awaitedSvid = async (source: SvidSource): Promise<Svid | SvidProblem> =>
  source instanceof NoSvid ? { problem: source.problem() } : firstSvid(source, { withinMs: FIRST_SVID_MS, after });

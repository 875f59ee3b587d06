import type { RefusedRequest } from '../../check/asked-check.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import type { PeerFacts } from '../../../core/identity/caller.ts';
import { authorityFrom } from './canonical.ts';
import type { DecodedCheckRequest, DecodedHttpRequest } from './check-request.ts';
import type { CertificateSource } from './peer-certificate.ts';
import { peerFrom } from './peer-facts.ts';

const NOBODY: PeerFacts = { principal: '', certificate: '', xfcc: [] };

/**
 * A request that is refused, with what it shows of its caller, its host and its token all the same: while its call is only observed, it passes.
 * Nothing else of it is read.
 */
export function refusedRequest(
  why: Deny,
  request: DecodedCheckRequest,
  rules: { readonly certificateFrom?: CertificateSource },
): RefusedRequest {
  const http = request.attributes?.request?.http;
  if (http === undefined) return why;
  const headers = shownHeaders(http);
  const peer = peerFrom(request, headers, rules);
  const authorization = headers.get('authorization') ?? [];
  return { ...why, seen: { peer: isDeny(peer) ? NOBODY : peer, host: hostIn(http, headers), authorization } };
}

/** The values of all headers by lower-case name, also of lines that are refused. */
function shownHeaders({ headers = {}, header_map: map }: DecodedHttpRequest): ReadonlyMap<string, readonly string[]> {
  const shown = new Map<string, string[]>();
  const add = (name: string, value: string): void => {
    const values = shown.get(name);
    if (values === undefined) shown.set(name, [value]);
    else values.push(value);
  };
  for (const [name, value] of Object.entries(headers)) add(name.toLowerCase(), value);
  for (const { line, refused } of map?.headers ?? []) {
    if (!isDeny(line)) add(line.name, line.value);
    else for (const value of refused?.values ?? []) add(refused?.name ?? '', value);
  }
  return shown;
}

/** The host; `null` if the request names several, or none that can be read. */
function hostIn({ host = '' }: DecodedHttpRequest, headers: ReadonlyMap<string, readonly string[]>): string | null {
  const named = [...(headers.get(':authority') ?? []), ...(headers.get('host') ?? [])];
  const authority = authorityFrom(host);
  return isDeny(authority) || named.some((one) => one !== host) ? null : authority.host;
}

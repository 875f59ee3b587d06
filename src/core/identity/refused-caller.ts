import { isDeny } from '../decision/decision.ts';
import type { IdentityRules, PeerFacts } from './caller.ts';
import { leafFromUrlEncodedPem } from './leaf-certificate.ts';
import { xfccFrom } from './xfcc.ts';

/** What a refused caller presented. Nothing vouches for it, so no agent is blamed or counted by it. */
export interface RefusedCaller {
  /** At most 512 characters of printable ASCII; quotes, backslashes and others become `?`; truncated with `…`. */
  readonly id: string;
  /** Peer IP address of the connection (of the hop, if any); `null` if not known. */
  readonly address: string | null;
}

const MAX_ID_CHARS = 512;

/**
 * The id that a refused caller presented, for investigation: with `xfcc` the `URI` of the nearest element, else the principal,
 * else the id in its certificate; `null` if there is none. Never throws.
 */
export function refusedCallerFrom(
  { principal, certificate, xfcc }: PeerFacts,
  { mode, leafFrom = leafFromUrlEncodedPem }: Pick<IdentityRules, 'mode' | 'leafFrom'>,
  address: string | null,
): RefusedCaller | null {
  const shown = (mode === 'xfcc' ? uriIn(xfcc) : null) ?? (principal === '' ? idIn(certificate, leafFrom) : principal);
  return shown === null ? null : { id: plain(shown), address };
}

function uriIn([value, ...others]: PeerFacts['xfcc']): string | null {
  if (value === undefined || others.length > 0) return null;
  const elements = xfccFrom(value);
  return isDeny(elements) ? null : (elements.at(-1)?.uri ?? null);
}

function idIn(certificate: string, leafFrom: NonNullable<IdentityRules['leafFrom']>): string | null {
  const leaf = certificate === '' ? null : leafFrom(certificate);
  return leaf === null || isDeny(leaf) ? null : leaf.id;
}

function plain(text: string): string {
  const shown = text.slice(0, MAX_ID_CHARS).replaceAll(/[^ !#-[\]-~]/g, '?');
  return text.length > MAX_ID_CHARS ? `${shown}…` : shown;
}

import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { leafFromUrlEncodedPem, type LeafCertificate, type LeafReader } from './leaf-certificate.ts';
import { BoundedMemo } from '../runtime/collections/bounded-memo.ts';
import { MAX_SPIFFE_ID_BYTES, spiffeIdFrom, trustDomainOf, type SpiffeId, type TrustDomain } from './spiffe-id.ts';
import { xfccFrom, type XfccElement } from './xfcc.ts';

/** What Envoy says about the sender of a call, not yet checked. */
export interface PeerFacts {
  /** `attributes.source.principal`; `''` if there is none. */
  readonly principal: string;
  /** `attributes.source.certificate`, the URL-encoded PEM of the leaf; `''` if there is none. */
  readonly certificate: string;
  /** Values of `x-forwarded-client-cert`, as received. */
  readonly xfcc: readonly string[];
}

/** Which source of identity is trusted. */
export interface IdentityRules {
  /** `peer`: the peer of the connection. `xfcc`: the peer that the proxy in front reports. */
  readonly mode: 'peer' | 'xfcc';
  /** Trust domains a caller may belong to. */
  readonly trustDomains: ReadonlySet<TrustDomain>;
  /** `xfcc`: each accepted `By`, the SPIFFE IDs of the proxies themselves; an empty list accepts none. */
  readonly proxyIds: readonly SpiffeId[];
  /** `xfcc`: peers that may forward the identity of others. */
  readonly forwarders: ReadonlySet<SpiffeId>;
  /** Parses the peer's leaf. Default: without a cache; `leafCache(max)` caches. */
  readonly leafFrom?: LeafReader;
}

/** A caller: a workload whose identity a source asserts and no other contradicts. */
export interface Caller {
  readonly id: SpiffeId;
  readonly trustDomain: TrustDomain;
  readonly source: 'peer' | 'xfcc';
  /** base64url SHA-256 of its certificate's DER; `null` if not known. */
  readonly certificateSha256: string | null;
  /** Last instant its certificate is valid, milliseconds since the Unix epoch; `null` if not known. */
  readonly certificateNotAfterMs: number | null;
}

/** How each mode finds the caller. */
const modes: ReadonlyMap<
  IdentityRules['mode'],
  (facts: PeerFacts, rules: IdentityRules, nowMs: number) => Caller | Deny
> = new Map([
  ['peer', peerCaller],
  ['xfcc', xfccCaller],
]);

/**
 * The caller of a call, from the source that `rules.mode` trusts. Never throws.
 *
 * Denies with `identity.missing` if that source is empty, `identity.invalid` if it breaks a rule, `identity.untrusted-domain` if its
 * trust domain is not accepted, and `identity.conflict` if another source, trusted or not, contradicts it.
 *
 * @param nowMs milliseconds since the Unix epoch, at which certificates must be valid
 */
export function callerFrom(facts: PeerFacts, rules: IdentityRules, nowMs: number): Caller | Deny {
  const find = modes.get(rules.mode);
  return find === undefined ? deny('internal', 'the identity mode is not known') : find(facts, rules, nowMs);
}

function peerCaller(facts: PeerFacts, rules: IdentityRules, nowMs: number): Caller | Deny {
  if (facts.principal === '') return deny('identity.missing', 'the connection has no principal');
  const id = acceptedId(facts.principal, rules);
  if (isDeny(id)) return id;
  const leaf = peerLeaf(facts, rules, nowMs);
  if (isDeny(leaf)) return leaf;
  const conflict = headerConflict(facts.xfcc, id, leaf);
  if (conflict !== null) return conflict;
  return callerOf(id, 'peer', { sha256: leaf?.sha256 ?? null, notAfterMs: leaf?.notAfterMs ?? null });
}

function xfccCaller(facts: PeerFacts, rules: IdentityRules, nowMs: number): Caller | Deny {
  const elements = elementsOf(facts.xfcc);
  if (isDeny(elements)) return elements;
  const element = pinnedElement(elements, rules.proxyIds);
  if (isDeny(element)) return element;
  if (element.uri === null) return deny('identity.missing', 'xfcc has no `URI`');
  const id = acceptedId(element.uri, rules);
  if (isDeny(id)) return id;
  const leaf = peerLeaf(facts, rules, nowMs);
  if (isDeny(leaf)) return leaf;
  const isForwarded = facts.principal !== '' && facts.principal !== id;
  if (isForwarded && !isForwarder(facts.principal, rules)) {
    return deny('identity.conflict', 'the principal is not the `URI` of xfcc and may not forward for another');
  }
  const own = isForwarded ? null : leaf;
  if (own !== null && hashDiffers(element, own)) return hashConflict();
  return callerOf(id, 'xfcc', { sha256: own?.sha256 ?? element.sha256, notAfterMs: own?.notAfterMs ?? null });
}

/** The peer's leaf, whose chain Envoy has verified: it must match the principal and be valid now. `null` if Envoy sent none. */
function peerLeaf(facts: PeerFacts, rules: IdentityRules, nowMs: number): LeafCertificate | null | Deny {
  if (facts.certificate === '') return null;
  const leaf = (rules.leafFrom ?? leafFromUrlEncodedPem)(facts.certificate);
  if (isDeny(leaf)) return leaf;
  if (leaf.id !== facts.principal) {
    return deny('identity.conflict', 'the principal is not the id of the peer certificate');
  }
  if (!(leaf.notBeforeMs <= nowMs)) return deny('identity.invalid', 'the peer certificate is not valid yet');
  if (!(nowMs <= leaf.notAfterMs)) return deny('identity.invalid', 'the peer certificate has expired');
  return leaf;
}

/** In `peer` mode the header is not trusted, but must not contradict: `URI`, and `Hash` if the leaf is known. */
function headerConflict(xfcc: readonly string[], id: SpiffeId, leaf: LeafCertificate | null): Deny | null {
  if (xfcc.length === 0) return null;
  const elements = elementsOf(xfcc);
  if (isDeny(elements)) {
    return deny('identity.conflict', `xfcc beside a principal could not be read: ${elements.detail}`);
  }
  // The last element is the nearest proxy's; anyone may have written the others.
  const element = elements.at(-1);
  if (element === undefined) return null;
  if (element.uri !== null && element.uri !== id) {
    return deny('identity.conflict', 'the principal is not the `URI` of xfcc');
  }
  return leaf !== null && hashDiffers(element, leaf) ? hashConflict() : null;
}

/**
 * The last element, if only a pinned proxy can have written it. Envoy does not escape names, so a certificate can make an element look
 * like two; then the `By` of a pinned proxy also appears before the last element. A path that passes through
 * pinned proxies twice is refused too.
 */
function pinnedElement(elements: readonly XfccElement[], proxyIds: readonly string[]): XfccElement | Deny {
  const element = elements.at(-1);
  if (element === undefined || element.by.length !== 1 || !element.by.some((by) => proxyIds.includes(by))) {
    return deny('identity.invalid', '`By` of xfcc must be the pinned proxy, exactly once');
  }
  const isAlone = elements.every((other) => other === element || !other.by.some((by) => proxyIds.includes(by)));
  return isAlone
    ? element
    : deny('identity.invalid', '`By` of xfcc must be the pinned proxy in the last element alone');
}

/** The elements of the header, which must be there exactly once. */
function elementsOf(xfcc: readonly string[]): readonly XfccElement[] | Deny {
  const [value, ...others] = xfcc;
  if (value === undefined) return deny('identity.missing', 'the call has no xfcc');
  return others.length === 0
    ? headers.of(value, xfccFrom)
    : deny('identity.invalid', 'the call must have one xfcc header');
}

/** Parsed headers: a workload sends the same header with every call. */
const headers = new BoundedMemo<readonly XfccElement[] | Deny>({ maxKeys: 2_048, maxKeyChars: 4_096 });

const ids = new BoundedMemo<SpiffeId | Deny>({ maxKeyChars: MAX_SPIFFE_ID_BYTES });

function acceptedId(text: string, rules: IdentityRules): SpiffeId | Deny {
  const id = ids.of(text, spiffeIdFrom);
  return isDeny(id) || rules.trustDomains.has(trustDomainOf(id))
    ? id
    : deny('identity.untrusted-domain', 'the trust domain of the caller is not accepted');
}

function isForwarder(principal: string, rules: IdentityRules): boolean {
  const id = spiffeIdFrom(principal);
  return !isDeny(id) && rules.forwarders.has(id);
}

const hashDiffers = (element: XfccElement, leaf: LeafCertificate): boolean =>
  element.sha256 !== null && element.sha256 !== leaf.sha256;

const hashConflict = (): Deny => deny('identity.conflict', 'the peer certificate is not that of `Hash` in xfcc');

const callerOf = (
  id: SpiffeId,
  source: Caller['source'],
  certificate: { readonly sha256: string | null; readonly notAfterMs: number | null },
): Caller => ({
  id,
  trustDomain: trustDomainOf(id),
  source,
  certificateSha256: certificate.sha256,
  certificateNotAfterMs: certificate.notAfterMs,
});

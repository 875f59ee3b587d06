import { deny, isDeny, type Deny } from '../decision/decision.ts';
import { isAnchored } from './anchor.ts';
import { leafFromUrlEncodedPem, type LeafCertificate, type LeafReader } from './leaf-certificate.ts';
import { BoundedMemo } from '../runtime/bounded-memo.ts';
import { MAX_SPIFFE_ID_BYTES, spiffeIdFrom, trustDomainOf, type SpiffeId, type TrustDomain } from './spiffe-id.ts';
import { xfccFrom, type XfccElement } from './xfcc.ts';

/** What Envoy says about who sent a call. Nothing in it is checked yet. */
export interface PeerFacts {
  /** `attributes.source.principal`; `''` is none. */
  readonly principal: string;
  /** `attributes.source.certificate`, the URL-encoded PEM of the leaf; `''` is none. */
  readonly certificate: string;
  /** Values of `x-forwarded-client-cert`, as received. */
  readonly xfcc: readonly string[];
}

/** Which source of identity is trusted, and for what. */
export interface IdentityRules {
  /** `peer`: who is at the other end of the connection. `xfcc`: who the proxy in front says was. */
  readonly mode: 'peer' | 'xfcc';
  /** Trust domains a caller may belong to. */
  readonly trustDomains: ReadonlySet<TrustDomain>;
  /** `xfcc`: the one `By` that is believed, the SPIFFE ID of the proxy itself; `null` believes none. */
  readonly proxyId: SpiffeId | null;
  /** `xfcc`: peers that may forward the identity of another. */
  readonly forwarders: ReadonlySet<SpiffeId>;
  /** CA certificates of which one must have signed the peer's leaf, a PEM text each; none leaves the chain to Envoy. */
  readonly anchors: readonly string[];
  /** Reads the peer's leaf, by default without memory; `leafCache(max)` is one that remembers. */
  readonly leafFrom?: LeafReader;
}

/** Who calls: a workload, by an identity that one source asserts and no other contradicts. */
export interface Caller {
  readonly id: SpiffeId;
  readonly trustDomain: TrustDomain;
  readonly source: 'peer' | 'xfcc';
  /** base64url of the SHA-256 of the DER of its certificate; `null` where that is not known. */
  readonly certificateSha256: string | null;
  /** Last instant its certificate is valid, milliseconds since the Unix epoch; `null` where that is not known. */
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
 * Who sent the call, from the source that `rules.mode` trusts. It never throws.
 *
 * Denies with `identity.missing` where that source is silent, `identity.invalid` where it breaks a rule,
 * `identity.untrusted-domain` where it names a trust domain that is not accepted, and `identity.conflict` where a second
 * source says something else, trusted or not.
 *
 * @param nowMs milliseconds since the Unix epoch, against which certificates are judged on each use
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
  const element = pinnedElement(elements, rules.proxyId);
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

/** The leaf the peer presented, agreeing with its principal and valid now; `null` where Envoy sent none. */
function peerLeaf(facts: PeerFacts, rules: IdentityRules, nowMs: number): LeafCertificate | null | Deny {
  if (facts.certificate === '') {
    return rules.anchors.length > 0 && facts.principal !== ''
      ? deny('identity.missing', 'the peer certificate is required to check its chain')
      : null;
  }
  const leaf = (rules.leafFrom ?? leafFromUrlEncodedPem)(facts.certificate);
  if (isDeny(leaf)) return leaf;
  if (leaf.id !== facts.principal) {
    return deny('identity.conflict', 'the principal is not the id of the peer certificate');
  }
  if (!(leaf.notBeforeMs <= nowMs)) return deny('identity.invalid', 'the peer certificate is not valid yet');
  if (!(nowMs <= leaf.notAfterMs)) return deny('identity.invalid', 'the peer certificate has expired');
  return rules.anchors.length === 0 || isAnchored(leaf, nowMs, rules)
    ? leaf
    : deny('identity.invalid', 'no anchor of its trust domain signed the peer certificate');
}

/** The header is not trusted in `peer` mode, and yet may not contradict: `URI`, and `Hash` where the leaf is known. */
function headerConflict(xfcc: readonly string[], id: SpiffeId, leaf: LeafCertificate | null): Deny | null {
  if (xfcc.length === 0) return null;
  const elements = elementsOf(xfcc);
  if (isDeny(elements)) {
    return deny('identity.conflict', `xfcc beside a principal could not be read: ${elements.detail}`);
  }
  // The rightmost is of the nearest proxy; all that is left of it anyone may have written.
  const element = elements.at(-1);
  if (element === undefined) return null;
  if (element.uri !== null && element.uri !== id) {
    return deny('identity.conflict', 'the principal is not the `URI` of xfcc');
  }
  return leaf !== null && hashDiffers(element, leaf) ? hashConflict() : null;
}

/**
 * The rightmost element, if the pinned proxy wrote it, and it alone. Envoy does not escape names, so one certificate
 * could make an element look like two; the proxy's own `By` to the left of the last element gives that away. A path that
 * leads through the pinned proxy twice is refused with it.
 */
function pinnedElement(elements: readonly XfccElement[], proxyId: SpiffeId | null): XfccElement | Deny {
  const element = elements.at(-1);
  if (element === undefined || proxyId === null || element.by.length !== 1 || element.by[0] !== proxyId) {
    return deny('identity.invalid', '`By` of xfcc must be the pinned proxy, exactly once');
  }
  const isAlone = elements.every((other) => other === element || !other.by.includes(proxyId));
  return isAlone
    ? element
    : deny('identity.invalid', '`By` of xfcc must be the pinned proxy in the last element alone');
}

/** The elements of the one header there must be. */
function elementsOf(xfcc: readonly string[]): readonly XfccElement[] | Deny {
  const [value, ...others] = xfcc;
  if (value === undefined) return deny('identity.missing', 'the call has no xfcc');
  return others.length === 0
    ? headers.of(value, xfccFrom)
    : deny('identity.invalid', 'the call must have one xfcc header');
}

/** Headers of the workloads that call, which come with every call of each. */
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

const hashConflict = (): Deny => deny('identity.conflict', 'the peer certificate is not the one of `Hash` in xfcc');

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

import type { KeyObject, X509Certificate } from 'node:crypto';
import { isDeny } from '../decision/decision.ts';
import { bundleProblem } from './bundle-match.ts';
import { leafFromDer } from './leaf-certificate.ts';
import { trustDomainOf, type SpiffeId, type TrustDomain } from './spiffe-id.ts';

/** This process's identity: an X509-SVID with its key and the bundles to verify peers with. Immutable. */
export interface Svid {
  readonly id: SpiffeId;
  /** DER of the leaf, then of any intermediates. */
  readonly certificates: readonly Uint8Array[];
  /** The same as one PEM text. */
  readonly certificatePem: string;
  /** PKCS#8 PEM. A secret: never in a log, a message or a file. */
  readonly keyPem: string;
  /** CA certificates of each trust domain, one PEM text each. Always includes the SVID's own trust domain. */
  readonly bundles: ReadonlyMap<TrustDomain, readonly string[]>;
  /** First instant at which its whole chain is valid, milliseconds since the Unix epoch. */
  readonly notBeforeMs: number;
  /** Last instant of its validity, milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
}

/**
 * A source of this process's SVID, which renews it.
 *
 * Lifecycle: serves from construction on. `close` ends renewal; the SVID held stays available.
 */
export interface SvidSource {
  /** The SVID to use now; `null` if there is none, it has expired or it was withdrawn. */
  current(): Svid | null;
  /** Why the SVID cannot be renewed, even while {@link current} is still good; `null` if nothing is wrong. */
  problem(): string | null;
  /** Why the SVID that was offered last is not in use, while an earlier SVID may be; `null` once an offered SVID is in use. */
  refusal(): SvidRefusal | null;
  /** Calls `listener` with every new SVID or bundle. The returned function unsubscribes. */
  onChange(listener: (svid: Svid) => void): () => void;
  close(): void;
}

/** The parsed parts of an SVID, not yet checked against each other. */
export interface SvidParts {
  /** The leaf, then any intermediates. */
  readonly chain: readonly X509Certificate[];
  readonly key: KeyObject;
  /** The bundle of the SVID's own trust domain. */
  readonly bundle: readonly X509Certificate[];
  /** The bundles of other trust domains. */
  readonly federated: ReadonlyMap<TrustDomain, readonly X509Certificate[]>;
}

/** Why there is no SVID. Contains nothing secret. */
export interface SvidProblem {
  readonly problem: string;
  /** Default `invalid`. */
  readonly cause?: SvidRefusalCause;
}

/** What is wrong with an SVID that was offered: `untrusted` if its own bundle does not verify it; `invalid` for anything without a name here. */
export const SVID_REFUSALS = ['expired', 'not-yet-valid', 'wrong-key', 'untrusted', 'other-id', 'invalid'] as const;
export type SvidRefusalCause = (typeof SVID_REFUSALS)[number];

/** An SVID that was offered and not taken over. Contains nothing secret. */
export interface SvidRefusal {
  readonly cause: SvidRefusalCause;
  readonly problem: string;
}

/**
 * An SVID from `parts` that fit together: the leaf is a valid X509-SVID and has not expired, the key belongs to it, and the
 * bundle of its trust domain verifies its chain, as every peer of the domain will. It may not be valid yet: `HeldSvid` waits for that.
 */
export function svidFrom({ chain, key, bundle, federated }: SvidParts, nowMs: number): Svid | SvidProblem {
  const [first] = chain;
  if (first === undefined) return { problem: 'the svid has no certificate' };
  const leaf = leafFromDer(first.raw);
  if (isDeny(leaf)) return { problem: leaf.detail };
  if (leaf.notAfterMs < nowMs) {
    return { cause: 'expired', problem: `the certificate expired at ${certificateInstant(leaf.notAfterMs)}` };
  }
  if (!first.checkPrivateKey(key)) {
    return { cause: 'wrong-key', problem: 'the key does not belong to the certificate' };
  }
  if (bundle.length === 0) return { problem: 'the bundle has no certificate' };
  const notBeforeMs = Math.max(...chain.map(({ validFromDate }) => validFromDate.getTime()));
  const unverified = bundleProblem(chain, bundle, Math.max(nowMs, notBeforeMs));
  if (unverified !== null) return { cause: 'untrusted', problem: unverified };
  const bundles = new Map([...federated].map(([trustDomain, foreign]) => [trustDomain, pemsOf(foreign)]));
  bundles.set(trustDomainOf(leaf.id), pemsOf(bundle));
  return Object.freeze({
    id: leaf.id,
    certificates: chain.map(({ raw }) => raw),
    certificatePem: pemsOf(chain).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }),
    bundles,
    notBeforeMs,
    notAfterMs: leaf.notAfterMs,
  });
}

/**
 * The PEM texts for a TLS server or client: chain, key, and the bundle of the SVID's own trust domain only. With bundles of
 * other domains, TLS would let the CA of one domain vouch for a name of another.
 *
 * @see SPIFFE Workload API section 4.6
 */
export const tlsMaterialOf = (svid: Svid): { certificate: string; key: string; bundle: string } => ({
  certificate: svid.certificatePem,
  key: svid.keyPem,
  bundle: (svid.bundles.get(trustDomainOf(svid.id)) ?? []).join(''),
});

/** Whether two SVIDs are equal in everything that is used. */
export const isSameSvid = (one: Svid, other: Svid): boolean =>
  one.certificatePem === other.certificatePem && one.keyPem === other.keyPem && bundlesText(one) === bundlesText(other);

/** An instant as RFC 3339 text. */
export const certificateInstant = (ms: number): string => new Date(ms).toISOString();

const bundlesText = ({ bundles }: Svid): string => JSON.stringify([...bundles].sort(([a], [b]) => (a < b ? -1 : 1)));

const pemsOf = (certificates: readonly X509Certificate[]): readonly string[] =>
  certificates.map((certificate) => certificate.toString());

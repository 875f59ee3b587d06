import type { KeyObject, X509Certificate } from 'node:crypto';
import { isDeny } from '../decision/decision.ts';
import { bundleProblem } from './bundle-match.ts';
import { leafFromDer } from './leaf-certificate.ts';
import { trustDomainOf, type SpiffeId, type TrustDomain } from './spiffe-id.ts';

/** This process's own identity: an X509-SVID with its key and the bundles to verify others with. Never changes. */
export interface Svid {
  readonly id: SpiffeId;
  /** DER of the leaf, then of any intermediates. */
  readonly certificates: readonly Uint8Array[];
  /** The same as one PEM text. */
  readonly certificatePem: string;
  /** PKCS#8 PEM. A secret: not for a log, a message or a file. */
  readonly keyPem: string;
  /** CA certificates of each trust domain, PEM texts of one each. The SVID's own trust domain is always among them. */
  readonly bundles: ReadonlyMap<TrustDomain, readonly string[]>;
  /** First instant of its validity, milliseconds since the Unix epoch. */
  readonly notBeforeMs: number;
  /** Last instant of its validity, milliseconds since the Unix epoch. */
  readonly notAfterMs: number;
}

/**
 * Where this process has its SVID from, renewed while it runs.
 *
 * Lifecycle: serves from its making until `close`, which ends the renewing and keeps what is held.
 */
export interface SvidSource {
  /** The SVID to use now; `null` where there is none, its validity is over or it was withdrawn. */
  current(): Svid | null;
  /** What stands in the way of a fresh SVID, also while {@link current} still has a good one; `null` where nothing does. */
  problem(): string | null;
  /** Has `listener` called with every SVID or bundle that is new from now on; the result ends that. */
  onChange(listener: (svid: Svid) => void): () => void;
  close(): void;
}

/** The parts of an SVID, parsed but not yet held against each other. */
export interface SvidParts {
  /** The leaf, then any intermediates. */
  readonly chain: readonly X509Certificate[];
  readonly key: KeyObject;
  /** The bundle of the SVID's own trust domain. */
  readonly bundle: readonly X509Certificate[];
  /** The bundles of other trust domains. */
  readonly federated: ReadonlyMap<TrustDomain, readonly X509Certificate[]>;
}

/** Why there is no SVID, in words that hold nothing secret. */
export interface SvidProblem {
  readonly problem: string;
}

/**
 * An SVID of `parts` that fit together: the leaf keeps the rules of an X509-SVID and is not past its end, the key is its
 * own, and the bundle of its trust domain verifies its chain, as every peer of the domain will.
 */
export function svidFrom({ chain, key, bundle, federated }: SvidParts, nowMs: number): Svid | SvidProblem {
  const [first] = chain;
  if (first === undefined) return { problem: 'the svid has no certificate' };
  const leaf = leafFromDer(first.raw);
  if (isDeny(leaf)) return { problem: leaf.detail };
  if (leaf.notAfterMs < nowMs) return { problem: `the certificate ended at ${certificateInstant(leaf.notAfterMs)}` };
  if (!first.checkPrivateKey(key)) return { problem: 'the key is not the one of the certificate' };
  if (bundle.length === 0) return { problem: 'the bundle has no certificate' };
  const unverified = bundleProblem(chain, bundle, nowMs);
  if (unverified !== null) return { problem: unverified };
  const bundles = new Map([...federated].map(([trustDomain, foreign]) => [trustDomain, pemsOf(foreign)]));
  bundles.set(trustDomainOf(leaf.id), pemsOf(bundle));
  return Object.freeze({
    id: leaf.id,
    certificates: chain.map(({ raw }) => raw),
    certificatePem: pemsOf(chain).join(''),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }),
    bundles,
    notBeforeMs: leaf.notBeforeMs,
    notAfterMs: leaf.notAfterMs,
  });
}

/**
 * What a TLS server or client is made with, PEM: chain, key, and the bundle of the SVID's own trust domain alone. Bundles of
 * other trust domains are left out, since TLS would let the CA of one domain vouch for a name of another.
 *
 * @see SPIFFE Workload API section 4.6
 */
export const tlsMaterialOf = (svid: Svid): { certificate: string; key: string; bundle: string } => ({
  certificate: svid.certificatePem,
  key: svid.keyPem,
  bundle: (svid.bundles.get(trustDomainOf(svid.id)) ?? []).join(''),
});

/** Whether two SVIDs are the same in everything that is used of them. */
export const isSameSvid = (one: Svid, other: Svid): boolean =>
  one.certificatePem === other.certificatePem && one.keyPem === other.keyPem && textOf(one) === textOf(other);

/** An instant as RFC 3339 text. */
export const certificateInstant = (ms: number): string => new Date(ms).toISOString();

const textOf = ({ bundles }: Svid): string => JSON.stringify([...bundles].sort(([a], [b]) => (a < b ? -1 : 1)));

const pemsOf = (certificates: readonly X509Certificate[]): readonly string[] =>
  certificates.map((certificate) => certificate.toString());

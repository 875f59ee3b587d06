import { createPrivateKey, sign, verify, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isDeny } from '../decision/decision.ts';
import { bundleProblem } from './bundle-match.ts';
import { leafFromDer } from './leaf-certificate.ts';
import { trustDomainOf } from './spiffe-id.ts';
import type { Svid } from './svid.ts';

/** Longest proof, in UTF-16 code units. */
const MAX_PROOF = 32_768;
/** Most certificates of its chain. */
const MAX_CHAIN = 4;
/** How long a proof counts after the end of its certificate: longer than the last token of a key whose authority is gone. */
const KEPT_MS = 3_600_000;
const SKEW_MS = 60_000;

/** What a proof is about: a text that names the key and its fleet. */
export type Proven = string;

/**
 * A signature over a text by the private key of an SVID, with its certificates. It is stored beside the text, in a place that others can
 * write.
 */
export function keyProofOf(said: Proven, svid: Pick<Svid, 'certificates' | 'keyPem'>): string {
  const key = createPrivateKey(svid.keyPem);
  return JSON.stringify({
    chain: svid.certificates.map((der) => Buffer.from(der).toString('base64')),
    signature: sign(digestFor(key), bytesOf(said), key).toString('base64'),
  });
}

/**
 * Why a proof does not show that a workload of the same SPIFFE ID as `svid` signed the text; `null` if it does. Its certificate
 * may have expired at most an hour ago. Never throws.
 */
export function keyProofProblem(
  said: Proven,
  proof: string | null,
  { svid, nowMs }: { readonly svid: Pick<Svid, 'id' | 'bundles'>; readonly nowMs: number },
): string | null {
  try {
    const parts = proof === null || proof.length > MAX_PROOF ? null : partsFrom(proof);
    if (parts === null) return 'has no proof of an authority';
    const [first] = parts.chain;
    const leaf = first === undefined ? null : leafFromDer(first.raw);
    if (first === undefined || leaf === null || isDeny(leaf)) return 'has a proof without an SVID';
    if (leaf.id !== svid.id) return `has a proof of \`${leaf.id}\`, which is no authority`;
    if (leaf.notBeforeMs > nowMs + SKEW_MS || leaf.notAfterMs + KEPT_MS < nowMs)
      return 'has a proof by a certificate that is not valid now';
    const bundle = (svid.bundles.get(trustDomainOf(svid.id)) ?? []).map((pem) => new X509Certificate(pem));
    if (bundleProblem(parts.chain, bundle, nowMs) !== null) return 'has a proof that the trust bundle does not verify';
    const { publicKey } = first;
    return verify(digestFor(publicKey), bytesOf(said), publicKey, parts.signature)
      ? null
      : 'has the proof of another key';
  } catch {
    return 'has a proof that cannot be read';
  }
}

const bytesOf = (said: Proven): Buffer => Buffer.from(`remit.authority.proof.v1\n${said}`, 'utf8');

/** Ed25519 has a digest of its own. */
const digestFor = ({ asymmetricKeyType }: KeyObject): 'sha256' | null =>
  asymmetricKeyType === 'ed25519' ? null : 'sha256';

/** `null` if it is not of the form that `keyProofOf` gives. */
function partsFrom(text: string): { readonly chain: readonly X509Certificate[]; readonly signature: Buffer } | null {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null || !('chain' in parsed) || !('signature' in parsed)) return null;
  const { chain, signature } = parsed;
  if (!Array.isArray(chain) || chain.length > MAX_CHAIN || typeof signature !== 'string') return null;
  return {
    chain: chain.map((der) => new X509Certificate(Buffer.from(String(der), 'base64'))),
    signature: Buffer.from(signature, 'base64'),
  };
}

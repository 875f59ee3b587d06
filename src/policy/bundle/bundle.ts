import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign } from 'jose';
import type { JWK } from 'jose';
import { isDeny } from '../../decision/decision.ts';
import { algorithmOfKey } from '../../token/algorithms.ts';
import { compactJwsFrom, signatureProblem } from '../../token/compact-jws.ts';
import type { VerificationKey } from '../../token/jwks.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { integer, listOf, members, text } from '../../runtime/fields.ts';
import { strictJsonFrom } from '../../token/strict-json.ts';
import { hashOf } from '../loading/proved-set.ts';
import { isPolicyFile } from '../loading/source.ts';
import type { PolicySource, SourceFile } from '../loading/source.ts';

/** The metadata of a bundle. */
export interface BundleHead {
  /** Version, in the operator's words. */
  readonly version: string;
  /** Monotonic: a bundle with a lower serial than one that was in force is refused. 1 to 2^53 - 1. */
  readonly serial: number;
  /** Milliseconds since the Unix epoch. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A bundle whose signature was verified. */
export interface Bundle extends BundleHead {
  /** Id of the key that verified it; `null` for a key without an id. */
  readonly keyId: string | null;
  /** Hash of its policy set. */
  readonly hash: string;
  readonly source: PolicySource;
}

/** Longest bundle, in bytes. */
export const MAX_BUNDLE_BYTES = 16 * 1024 * 1024;

const TYPE = 'remit-policies+jws';
const MAX_TEXT = 8 * 1024 * 1024;
const MAX_FILES = 1000;

/** A private key that signs bundles, with its public half. */
export interface BundleKey {
  readonly key: KeyObject;
  readonly algorithm: string;
  readonly jwk: JWK;
}

/** Parses a PEM private key for ES256, Ed25519 or RS256. */
export async function bundleKeyFrom(pem: string): Promise<BundleKey | Problem> {
  try {
    const key = createPrivateKey(pem);
    const jwk = createPublicKey(key).export({ format: 'jwk' }) as JWK;
    const algorithm = algorithmOfKey(jwk.kty, jwk.crv)?.name;
    if (algorithm === undefined) return { problem: 'must be for ES256, Ed25519 or RS256' };
    return { key, algorithm, jwk: { ...jwk, alg: algorithm, kid: await calculateJwkThumbprint(jwk) } };
  } catch {
    // The library's message may quote the key.
    return { problem: 'must be a private key in PEM' };
  }
}

/** Signs the files of a policy folder as a bundle: a compact JWS. @see RFC 7515 section 7.1 */
export async function signedBundle(
  source: PolicySource,
  head: BundleHead,
  { key, algorithm, jwk }: BundleKey,
): Promise<string> {
  const files = [source.catalog, source.schema, ...source.policies, ...source.entities];
  const sets = Array.from(source.descriptorSets).flatMap(([name, bytes]) =>
    isProblem(bytes) ? [] : [{ name, data: Buffer.from(bytes).toString('base64url') }],
  );
  const payload = {
    version: head.version,
    serial: head.serial,
    issuedAt: head.issuedAtMs,
    expiresAt: head.expiresAtMs,
    hash: hashOf(source),
    files: files.map(({ name, text: content }) => ({ name, text: content })),
    descriptorSets: sets,
  };
  return new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg: algorithm, kid: jwk.kid ?? '', typ: TYPE })
    .sign(key);
}

/**
 * Parses a bundle and verifies it, or says what is wrong as a clause. Its content is not read before the signature is verified.
 * The caller checks expiry and serial.
 *
 * @param label the name of the bundle in findings
 */
export function bundleFrom(content: string, keys: readonly VerificationKey[], label: string): Bundle | Problem {
  const jws = compactJwsFrom(content.trim(), MAX_BUNDLE_BYTES);
  if (isDeny(jws)) return { problem: `is not a signed bundle: ${jws.detail}` };
  if (jws.type !== TYPE) return { problem: `is not a bundle: its \`typ\` must be \`${TYPE}\`` };
  const key = keys.find(({ keyId, algorithm }) => keyId === jws.keyId && algorithm === jws.algorithm);
  if (key === undefined) return { problem: 'is signed with a key that is not trusted' };
  if (signatureProblem(jws, key.key) !== null) return { problem: 'has a signature that does not verify' };
  const json = strictJsonFrom(jws.payload);
  const read = isProblem(json) ? json : bundleMembers(json.value);
  if (isProblem(read)) return { problem: `is signed, but ${read.problem}` };
  const { version, serial, issuedAt: issuedAtMs, expiresAt: expiresAtMs, hash } = read;
  const source = sourceOf(read, label);
  if (isProblem(source)) return source;
  if (hashOf(source) !== hash) return { problem: 'is signed, but its `hash` does not match its files' };
  return { keyId: key.keyId, version, serial, issuedAtMs, expiresAtMs, hash, source };
}

const whole = integer(1, Number.MAX_SAFE_INTEGER);

const name = text({ max: 1024 });

const bundleMembers = members({
  version: text({ max: 128 }),
  serial: whole,
  issuedAt: whole,
  expiresAt: whole,
  hash: text({ max: 128 }),
  files: listOf(members({ name, text: text({ min: 0, max: MAX_TEXT }) }), { max: MAX_FILES }),
  descriptorSets: listOf(members({ name, data: text({ min: 0, max: MAX_TEXT }) }), { min: 0, max: 16 }),
});

function sourceOf(
  {
    files,
    descriptorSets,
  }: {
    readonly files: readonly { readonly name: string; readonly text: string }[];
    readonly descriptorSets: readonly { readonly name: string; readonly data: string }[];
  },
  label: string,
): PolicySource | Problem {
  const all: readonly SourceFile[] = files.map((file) => ({
    name: file.name,
    file: `${label}/${file.name}`,
    text: file.text,
  }));
  const catalog = all.find((file) => file.name === 'actions.yaml');
  const schema = all.find((file) => file.name === 'base.cedarschema');
  if (catalog === undefined || schema === undefined)
    return { problem: 'is signed, but lacks the catalog or the base schema' };
  return {
    folder: label,
    catalog,
    schema,
    descriptorSets: new Map(descriptorSets.map((set) => [set.name, Buffer.from(set.data, 'base64url')])),
    policies: all.filter((file) => isPolicyFile(file.name)),
    entities: all.filter((file) => file.name.endsWith('.cedarentities.json')),
  };
}

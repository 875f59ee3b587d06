import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign } from 'jose';
import type { JWK } from 'jose';
import { isDeny } from '../../decision/decision.ts';
import { algorithmOfKey } from '../../token/algorithms.ts';
import { compactJwsFrom, signatureProblem } from '../../token/compact-jws.ts';
import type { VerificationKey } from '../../token/jwks.ts';
import { isProblem, listOf, membersFrom, text } from '../../token/members.ts';
import type { Problem, Reader } from '../../token/members.ts';
import { strictJsonFrom } from '../../token/strict-json.ts';
import { hashOf } from '../loading/proved-set.ts';
import { isPolicyFile } from '../loading/source.ts';
import type { PolicySource, SourceFile } from '../loading/source.ts';

/** What a bundle says of itself. */
export interface BundleHead {
  /** In the operator's words. */
  readonly version: string;
  /** Never goes down: a bundle of a lower serial than one that was in force is refused. 1 to 2^53 - 1. */
  readonly serial: number;
  /** Milliseconds since the Unix epoch. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A bundle whose signature holds. */
export interface Bundle extends BundleHead {
  /** Of the key that verified its signature; `null` of one without an id. */
  readonly keyId: string | null;
  /** That of the policy set in it. */
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

/** The key in a PEM text, for ES256, Ed25519 or RS256. */
export async function bundleKeyFrom(pem: string): Promise<BundleKey | Problem> {
  try {
    const key = createPrivateKey(pem);
    const jwk = createPublicKey(key).export({ format: 'jwk' }) as JWK;
    const algorithm = algorithmOfKey(jwk.kty, jwk.crv)?.name;
    if (algorithm === undefined) return { problem: 'is for none of ES256, Ed25519 and RS256' };
    return { key, algorithm, jwk: { ...jwk, alg: algorithm, kid: await calculateJwkThumbprint(jwk) } };
  } catch {
    // Its message may quote the key.
    return { problem: 'is no private key in PEM' };
  }
}

/** A bundle as it is published: a compact JWS over the files of a policy folder. @see RFC 7515 section 7.1 */
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
 * The bundle in a text that a key verifies, or what is wrong with it, as a clause. What is in it is not looked at before
 * the signature holds. Whether it has expired or is older than another is the caller's to say.
 *
 * @param label what findings call the bundle
 */
export function bundleFrom(content: string, keys: readonly VerificationKey[], label: string): Bundle | Problem {
  const jws = compactJwsFrom(content.trim(), MAX_BUNDLE_BYTES);
  if (isDeny(jws)) return { problem: `is no signed bundle: ${jws.detail}` };
  if (jws.type !== TYPE) return { problem: `is no bundle: its \`typ\` must be \`${TYPE}\`` };
  const key = keys.find(({ keyId, algorithm }) => keyId === jws.keyId && algorithm === jws.algorithm);
  if (key === undefined) return { problem: 'is signed with a key that is not trusted' };
  if (signatureProblem(jws, key.key) !== null) return { problem: 'has a signature that does not verify' };
  const json = strictJsonFrom(jws.payload);
  const read = isProblem(json) ? json : membersFrom(json.value, readers, { noun: 'member', others: 'refused' });
  if (isProblem(read)) return { problem: `is signed, but ${read.problem}` };
  const { version, serial, issuedAt: issuedAtMs, expiresAt: expiresAtMs, hash } = read;
  const source = sourceOf(read, label);
  if (isProblem(source)) return source;
  if (hashOf(source) !== hash) return { problem: 'is signed, but its `hash` is not that of its files' };
  return { keyId: key.keyId, version, serial, issuedAtMs, expiresAtMs, hash, source };
}

const whole: Reader<number> = (value) =>
  Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : { problem: 'must be a whole number above 0' };

const strict =
  <R extends Readonly<Record<string, Reader<unknown>>>>(of: R) =>
  (value: unknown) =>
    membersFrom(value, of, { noun: 'member', others: 'refused' });

const name = text({ max: 1024 });

const readers = {
  version: text({ max: 128 }),
  serial: whole,
  issuedAt: whole,
  expiresAt: whole,
  hash: text({ max: 128 }),
  files: listOf(strict({ name, text: text({ min: 0, max: MAX_TEXT }) }), { max: MAX_FILES }),
  descriptorSets: listOf(strict({ name, data: text({ min: 0, max: MAX_TEXT }) }), { min: 0, max: 16 }),
};

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
    return { problem: 'is signed, but has no catalog or no base schema' };
  return {
    folder: label,
    catalog,
    schema,
    descriptorSets: new Map(descriptorSets.map((set) => [set.name, Buffer.from(set.data, 'base64url')])),
    policies: all.filter((file) => isPolicyFile(file.name)),
    entities: all.filter((file) => file.name.endsWith('.cedarentities.json')),
  };
}

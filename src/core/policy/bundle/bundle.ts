import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign } from 'jose';
import type { JWK } from 'jose';
import { bundleName, MAX_SIGNATURES } from '../../config/policies.ts';
import { isDeny } from '../../decision/decision.ts';
import { algorithmOfKey } from '../../token/jose/algorithms.ts';
import { compactJwsFrom, signatureProblem } from '../../token/jose/compact-jws.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { integer, listOf, members, text } from '../../runtime/fields.ts';
import { strictJsonFrom } from '../../token/jose/strict-json.ts';
import { hasSetHash, setHashOf } from '../loading/set-hash.ts';
import {
  ENFORCEMENT,
  isCatalogFile,
  isEntitiesFile,
  isPolicyFile,
  LIMITS,
  SCHEMA_FILE,
} from '../loading/source-names.ts';
import { sourceTexts } from '../loading/source.ts';
import type { PolicySource, SourceFile } from '../loading/source.ts';
import { maySign } from './bundle-keys.ts';
import type { BundleSigningKey } from './bundle-keys.ts';

/** The metadata of a bundle. */
export interface BundleHead {
  /** What its policies are for. A process accepts only bundles of the name in its configuration. */
  readonly name: string;
  /** Version, in the operator's words. */
  readonly version: string;
  /** Monotonic: a bundle with a lower serial than a bundle that was in force is refused. 1 to 2^53 - 1. */
  readonly serial: number;
  /** Milliseconds since the Unix epoch. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** A bundle whose signatures were verified. */
export interface Bundle extends BundleHead {
  /** Names of the keys that signed it and may sign its name, in the order of the signatures: `kid`, or the thumbprint of a key without `kid`. */
  readonly signers: readonly string[];
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

/** Which bundles are accepted. */
export interface BundleTrust {
  readonly keys: readonly BundleSigningKey[];
  /** The only accepted name; `null`: any name, for tools that show what a bundle is. */
  readonly name: string | null;
  /** How many different keys must have signed it, 1 to `MAX_SIGNATURES`. */
  readonly signatures: number;
}

/** Signs the files of a policy folder as a bundle: a JWS in the general JSON serialization. @see RFC 7515 section 7.2.1 */
export function signedBundle(source: PolicySource, head: BundleHead, key: BundleKey): Promise<string> {
  const sets = Array.from(source.descriptorSets).flatMap(([name, bytes]) =>
    isProblem(bytes) ? [] : [{ name, data: Buffer.from(bytes).toString('base64url') }],
  );
  const payload = {
    name: head.name,
    version: head.version,
    serial: head.serial,
    issuedAt: head.issuedAtMs,
    expiresAt: head.expiresAtMs,
    hash: setHashOf(source),
    files: sourceTexts(source).map(({ name, text: content }) => ({ name, text: content })),
    descriptorSets: sets,
  };
  const encoded = Buffer.from(JSON.stringify(payload)).toString('base64url');
  return withSignature({ payload: encoded, signatures: [] }, key);
}

/** Adds the signature of another key to a bundle. A problem if the text is not a bundle, or already has `MAX_SIGNATURES`. */
export async function cosignedBundle(content: string, key: BundleKey): Promise<string | Problem> {
  const envelope = envelopeFrom(content);
  if (isProblem(envelope)) return envelope;
  return envelope.signatures.length < MAX_SIGNATURES
    ? withSignature(envelope, key)
    : { problem: `has ${MAX_SIGNATURES} signatures already, the most that are read` };
}

async function withSignature({ payload, signatures }: Envelope, { key, algorithm, jwk }: BundleKey): Promise<string> {
  const compact = await new CompactSign(Buffer.from(payload, 'base64url'))
    .setProtectedHeader({ alg: algorithm, kid: jwk.kid ?? '', typ: TYPE })
    .sign(key);
  const [header = '', , signature = ''] = compact.split('.');
  return JSON.stringify({ payload, signatures: [...signatures, { protected: header, signature }] });
}

/**
 * Parses a bundle and verifies it, or says what is wrong as a clause. Its content is not read before enough signatures are verified. A
 * signature by an unknown key is ignored; a signature that does not verify refuses the bundle. The caller checks expiry and serial.
 *
 * @param label the name of the bundle in findings
 */
export function bundleFrom(content: string, trust: BundleTrust, label: string): Bundle | Problem {
  const envelope = envelopeFrom(content);
  if (isProblem(envelope)) return envelope;
  const verified = signersOf(envelope, trust.keys);
  if (isProblem(verified)) return verified;
  const few = tooFew(verified, trust);
  if (few !== null) return few;
  const json = strictJsonFrom(Buffer.from(envelope.payload, 'base64url'));
  const read = isProblem(json) ? json : bundleMembers(json.value);
  if (isProblem(read)) return { problem: `is signed, but ${read.problem}` };
  const { name, version, serial, issuedAt: issuedAtMs, expiresAt: expiresAtMs, hash } = read;
  if (trust.name !== null && name !== trust.name)
    return { problem: `is signed, but is named \`${name}\`, and \`policies.bundle.name\` is \`${trust.name}\`` };
  const signers = verified.filter((key) => maySign(key, name));
  const unfit = tooFew(signers, trust);
  if (unfit !== null) return { problem: `${unfit.problem} for bundles named \`${name}\`` };
  const source = sourceOf(read, label);
  if (isProblem(source)) return source;
  if (!hasSetHash(source, hash)) return { problem: 'is signed, but its `hash` does not match its files' };
  const names = signers.map(({ keyId, thumbprint }) => keyId ?? thumbprint);
  return { signers: names, name, version, serial, issuedAtMs, expiresAtMs, hash, source };
}

/** A bundle as it is written, not verified. */
interface Envelope {
  readonly payload: string;
  readonly signatures: readonly { readonly protected: string; readonly signature: string }[];
}

const envelopeMembers = members({
  payload: text({ max: MAX_BUNDLE_BYTES }),
  signatures: listOf(members({ protected: text({ max: 1024 }), signature: text({ max: 1024 }) }), {
    max: MAX_SIGNATURES,
  }),
});

function envelopeFrom(content: string): Envelope | Problem {
  if (content.length > MAX_BUNDLE_BYTES) return { problem: `is larger than ${MAX_BUNDLE_BYTES} bytes` };
  const json = strictJsonFrom(Buffer.from(content.trim()));
  const read = isProblem(json) ? json : envelopeMembers(json.value);
  return isProblem(read) ? { problem: `is not a signed bundle: ${read.problem}` } : read;
}

/** The known keys that signed, each once, however often or under which `kid` it did. */
function signersOf(
  { payload, signatures }: Envelope,
  keys: readonly BundleSigningKey[],
): readonly BundleSigningKey[] | Problem {
  const signers = new Map<string, BundleSigningKey>();
  for (const { protected: header, signature } of signatures) {
    const jws = compactJwsFrom(`${header}.${payload}.${signature}`, MAX_BUNDLE_BYTES);
    if (isDeny(jws)) return { problem: `is not a signed bundle: ${jws.detail}` };
    if (jws.type !== TYPE) return { problem: `is not a bundle: its \`typ\` must be \`${TYPE}\`` };
    const key = keys.find(({ keyId, algorithm }) => keyId === jws.keyId && algorithm === jws.algorithm);
    if (key === undefined) continue;
    if (signatureProblem(jws, key.key) !== null) return { problem: 'has a signature that does not verify' };
    signers.set(key.thumbprint, key);
  }
  return [...signers.values()];
}

function tooFew(signers: readonly BundleSigningKey[], { signatures }: BundleTrust): Problem | null {
  if (signers.length >= signatures) return null;
  return signatures === 1
    ? { problem: 'is signed with a key that is not trusted' }
    : { problem: `is signed by ${signers.length} trusted keys, and ${signatures} are required` };
}

const whole = integer(1, Number.MAX_SAFE_INTEGER);

const fileName = text({ max: 1024 });

const bundleMembers = members({
  name: bundleName,
  version: text({ max: 128 }),
  serial: whole,
  issuedAt: whole,
  expiresAt: whole,
  hash: text({ max: 128 }),
  files: listOf(members({ name: fileName, text: text({ min: 0, max: MAX_TEXT }) }), { max: MAX_FILES }),
  descriptorSets: listOf(members({ name: fileName, data: text({ min: 0, max: MAX_TEXT }) }), { min: 0, max: 16 }),
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
  const catalogs = all.filter((file) => isCatalogFile(file.name));
  const schema = all.find((file) => file.name === SCHEMA_FILE);
  if (catalogs.length === 0 || schema === undefined)
    return { problem: 'is signed, but lacks the catalog or the base schema' };
  const enforcement = all.find((file) => file.name === ENFORCEMENT);
  const limits = all.find((file) => file.name === LIMITS);
  const single = new Set([...catalogs, schema, enforcement, limits]);
  const unread = all.find((file) => !single.has(file) && !isPolicyFile(file.name) && !isEntitiesFile(file.name));
  if (unread !== undefined) return { problem: `is signed, but has \`${unread.name}\`, which is not read` };
  return {
    folder: label,
    catalogs,
    schema,
    descriptorSets: new Map(descriptorSets.map((set) => [set.name, Buffer.from(set.data, 'base64url')])),
    policies: all.filter((file) => isPolicyFile(file.name)),
    entities: all.filter((file) => isEntitiesFile(file.name)),
    ...(enforcement === undefined ? {} : { enforcement }),
    ...(limits === undefined ? {} : { limits }),
  };
}

import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { isDeny } from '../decision/decision.ts';
import { certificatesFromDer } from './certificate-list.ts';
import { trustDomainFrom, type SpiffeId, type TrustDomain } from './spiffe-id.ts';
import { svidFrom, type Svid, type SvidProblem, type SvidRefusalCause } from './svid.ts';

/** Which identity is wanted, if there are several; the first if both are `null`. */
export interface WantedSvid {
  readonly id: SpiffeId | null;
  readonly hint: string | null;
}

/** The same, and the workload whose SVID is in use, which is preferred. */
interface WantedAmong extends WantedSvid {
  readonly held?: SpiffeId | null;
}

/** The result of one message of the stream. */
export type SvidUpdate =
  | {
      readonly kind: 'svid';
      readonly svid: Svid;
      /** A foreign bundle that was left out. */ readonly problem: string | null;
    }
  | { /** To be discarded. */ readonly kind: 'unusable'; readonly problem: string; readonly cause?: SvidRefusalCause }
  | {
      /** The identity that is wanted is not among those given any more. */ readonly kind: 'withdrawn';
      readonly problem: string;
    };

/**
 * Reads a decoded X509SVIDResponse. Each message is the complete state: what it does not contain is gone.
 *
 * A foreign bundle that cannot be parsed is left out and reported: a partner's mistake must not stop our own SVID from being
 * renewed. Everything of the SVID itself must be valid.
 *
 * @see SPIFFE Workload API sections 4.4, 4.5 and 5.2.1
 */
export function svidUpdateFrom(response: unknown, wanted: WantedAmong, nowMs: number): SvidUpdate {
  const given = memberOf(response, 'svids');
  if (!Array.isArray(given) || given.length === 0) return unusable('the message has no svid');
  const entries: readonly unknown[] = given;
  const fit = entries.filter((candidate) => isWanted(candidate, wanted));
  const entry = fit.find((candidate) => memberOf(candidate, 'spiffe_id') === wanted.held) ?? fit[0];
  if (entry === undefined) return { kind: 'withdrawn', problem: notAmong(entries.length, wanted) };
  const foreign = federatedFrom(memberOf(response, 'federated_bundles'));
  const svid = svidOf(entry, foreign.bundles, nowMs);
  return 'problem' in svid ? { kind: 'unusable', ...svid } : { kind: 'svid', svid, problem: foreign.problem };
}

const isWanted = (entry: unknown, { id, hint }: WantedSvid): boolean =>
  (id === null || memberOf(entry, 'spiffe_id') === id) && (hint === null || memberOf(entry, 'hint') === hint);

const notAmong = (count: number, { id, hint }: WantedSvid): string => {
  const name = [...(id === null ? [] : [`with id \`${id}\``]), ...(hint === null ? [] : [`with hint \`${hint}\``])];
  return `the workload api gives ${count} svids, none ${name.join(' and ')}`;
};

function svidOf(
  entry: unknown,
  federated: ReadonlyMap<TrustDomain, readonly X509Certificate[]>,
  nowMs: number,
): Svid | SvidProblem {
  const chain = certificatesOf(entry, 'x509_svid');
  if (chain === null) return { problem: 'the certificates of the svid could not be read' };
  const key = keyOf(memberOf(entry, 'x509_svid_key'));
  if (key === null) return { problem: 'the key of the svid could not be read' };
  const bundle = certificatesOf(entry, 'bundle');
  if (bundle === null) return { problem: 'the bundle of the svid could not be read' };
  const svid = svidFrom({ chain, key, bundle, federated }, nowMs);
  return 'problem' in svid || svid.id === memberOf(entry, 'spiffe_id')
    ? svid
    : { problem: 'the spiffe id of the certificate differs from that of its message' };
}

const certificatesOf = (entry: unknown, member: string): readonly X509Certificate[] | null => {
  const der = memberOf(entry, member);
  return der instanceof Uint8Array ? certificatesFromDer(der) : null;
};

function keyOf(der: unknown): KeyObject | null {
  if (!(der instanceof Uint8Array)) return null;
  try {
    return createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
  } catch {
    return null;
  }
}

function federatedFrom(given: unknown): {
  readonly bundles: ReadonlyMap<TrustDomain, readonly X509Certificate[]>;
  readonly problem: string | null;
} {
  const bundles = new Map<TrustDomain, readonly X509Certificate[]>();
  let leftOut = 0;
  for (const [name, der] of typeof given === 'object' && given !== null ? Object.entries(given) : []) {
    const trustDomain = trustDomainFrom(name.replace(/^spiffe:\/\//, ''));
    const certificates = der instanceof Uint8Array ? certificatesFromDer(der) : null;
    if (isDeny(trustDomain) || certificates === null) leftOut += 1;
    else bundles.set(trustDomain, certificates);
  }
  return { bundles, problem: leftOut === 0 ? null : `${leftOut} bundles of other trust domains could not be read` };
}

/** A member of a decoded message; `undefined` if the wire does not have it. */
const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null
    ? (Object.getOwnPropertyDescriptor(value, name)?.value as unknown)
    : undefined;

const unusable = (problem: string): SvidUpdate => ({ kind: 'unusable', problem });

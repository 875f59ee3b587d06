import type { Config } from '../../core/config/config.ts';
import { ReplicaKeys } from '../../authority/issuer/keys/replica-keys.ts';
import { type OwnKeys, type PublicJwks, SigningKeys } from '../../authority/issuer/keys/signing-keys.ts';
import { after } from '../../core/runtime/timers.ts';
import type { KeyRing } from '../../core/token/jose/keys.ts';
import type { Closers } from '../closers.ts';
import { keyProofsOf } from './key-proofs.ts';
import { openKeyRing } from './keys.ts';
import type { Parts } from '../parts.ts';
import { movedKeysWarning } from './signing-key-place.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';

/** The keys of tokens. */
export interface TokenKeysOfProcess {
  /** Verifies the tokens of checks. */
  readonly ring: KeyRing;
  /** `null` if this process issues no tokens. */
  readonly signingKeys: OwnKeys | null;
  /** Reads the keys of all authorities as of a position of the feed or later; `null` if this process has only its own. */
  readonly readKeys: ((position: number) => Promise<boolean>) | null;
}

/** Shortest time that a key of an authority is published before it signs. */
const MIN_WAIT_MS = 10_000;

/** Opens the keys that verify tokens, kept in step with the signing keys of this process. */
export async function openTokenKeys(
  parts: Parts,
  {
    onPublished,
    isCurrent,
    closers,
  }: { readonly onPublished: () => void; readonly isCurrent: () => boolean; readonly closers: Closers },
): Promise<TokenKeysOfProcess | StartProblem> {
  const { config, ports, faults, log } = parts;
  const { issuer } = config;
  let ring: KeyRing | null = null;
  const options = {
    ports,
    after,
    onProblem: (problem: string | null) => faults.set('signing keys', problem),
    onPublished: (jwks: PublicJwks) => {
      if (issuer !== null && parts.database === null) ring?.replace(issuer.url, jwks);
      onPublished();
      log(`signing keys: ${jwks.keys.length} published`, 'keys-published', { keys: jwks.keys.length });
    },
  };
  let signingKeys: OwnKeys | null = null;
  let readKeys: TokenKeysOfProcess['readKeys'] = null;
  if (issuer !== null && parts.database !== null) {
    const store = parts.database.state.keys;
    const proofs = parts.svid === null ? null : keyProofsOf(parts.svid, { issuer: issuer.url, nowMs: ports.nowMs });
    const keys = await ReplicaKeys.open({
      ...options,
      store,
      ...(proofs && { proofs }),
      isCurrent,
      waitMs: waitMsOf(config),
    });
    signingKeys = keys;
    readKeys = (position) => keys.readTo(position);
  } else if (issuer !== null) {
    const moved = movedKeysWarning(config);
    if (moved !== null) log(moved);
    const keys = await SigningKeys.open(issuer.signingKey, options);
    if (isStartProblem(keys)) return keys;
    signingKeys = keys;
  }
  closers.push(() => signingKeys?.close());
  // An authority on a PostgreSQL decides no checks.
  const own =
    issuer === null || signingKeys === null || parts.database !== null
      ? null
      : { issuer: issuer.url, jwks: signingKeys.jwks() };
  const { announced, sidecar } = parts;
  // A key signs two leases after it was announced: with a lease, this sidecar has heard of every key that signs.
  const mayBeBehind = (): boolean => sidecar !== null && (announced.issuer === null || sidecar.problem() !== null);
  const opened = await openKeyRing(parts, config.acceptedIssuers, own, mayBeBehind);
  if (isStartProblem(opened)) return opened;
  ring = opened;
  announced.follow(opened);
  closers.push(() => opened.close());
  return { ring: opened, signingKeys, readKeys };
}

const LOOK_MS = 100;
/** How much longer than usual a start waits for the key; then it goes on, and `/readyz` shows what is missing. */
const LATE_MS = 10_000;

/**
 * Waits until the key of an authority on a PostgreSQL signs: until then its issuer does not listen, so that a balancer of connections tries another
 * authority.
 */
export async function untilKeySigns({ config, database, ports, log }: Parts, keys: OwnKeys | null): Promise<void> {
  const problem = database === null ? null : (keys?.problem() ?? null);
  if (problem === null) return;
  log(`signing keys: ${problem}`);
  const endMs = ports.monotonicMs() + waitMsOf(config) + LATE_MS;
  while (keys?.problem() !== null && ports.monotonicMs() < endMs)
    await new Promise<void>((resolve) => void after(LOOK_MS, resolve));
}

/** Two leases: a sidecar has the key by then, or its lease is over. */
const waitMsOf = ({ authority: { leaseSeconds } }: Config): number => Math.max(MIN_WAIT_MS, 2 * leaseSeconds * 1_000);

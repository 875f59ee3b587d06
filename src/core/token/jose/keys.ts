import type { KeyObject } from 'node:crypto';
import { deny, type Deny } from '../../decision/decision.ts';
import type { Ports } from '../../runtime/ports.ts';
import type { SignatureAlgorithm } from './algorithms.ts';
import type { VerificationKey } from './jwk.ts';
import type { IssuerKind, VerificationKeys } from './jwt.ts';
import { verificationKeysFrom } from './jwks.ts';
import { defaultRefreshRules, type JwksFetch, JwksRefresh, type RefreshRules } from './jwks-refresh.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { After } from '../../runtime/timers.ts';

/** A trusted issuer and the source of its keys. */
export interface TrustedIssuer {
  /** Its `iss`, compared exactly. */
  readonly issuer: string;
  /** What it is trusted with; `remit` by default. */
  readonly kind?: IssuerKind;
  /** Algorithms it may sign with. */
  readonly algorithms: readonly SignatureAlgorithm[];
  readonly source:
    | { /** A JSON Web Key Set known here; `replace` changes it. */ readonly kind: 'static'; readonly jwks: unknown }
    | { /** A key server asked in the background. */ readonly kind: 'remote'; readonly fetch: JwksFetch };
}

/** What a key ring needs. */
export interface KeyRingOptions {
  readonly ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>;
  readonly after: After;
  /** Called with every failed refresh and refused set (`null` once it succeeds), for a log and a metric. Contains no key. */
  readonly onProblem: (issuer: string, problem: string | null) => void;
  /**
   * Whether an authority may have announced an issuer or a key that this ring has not received. While it is true, an unknown issuer or
   * key is a fault here, not of the token: `token.keys-unavailable`. Default no.
   */
  readonly mayBeBehind?: () => boolean;
  /** `defaultRefreshRules` if absent. */
  readonly rules?: Partial<RefreshRules>;
}

interface Held {
  readonly kind: IssuerKind;
  readonly algorithms: ReadonlySet<SignatureAlgorithm>;
  /** `null` for an issuer with static keys. */
  readonly refresh: JwksRefresh | null;
  readonly current: () => readonly VerificationKey[] | null;
  /** Whether an authority announces its keys. */
  readonly isAnnounced: boolean;
}

/**
 * The verification keys of every trusted issuer, held in memory. A key server that is slow or down costs a check nothing while
 * its keys are within their grace period. An unknown key id triggers a refresh but does not wait for it.
 *
 * Lifecycle: static keys are available from the constructor on; `start` begins refreshing the others; `close` ends that.
 */
export class KeyRing implements VerificationKeys {
  readonly #issuers = new Map<string, Held>();
  readonly #static = new Map<string, readonly VerificationKey[]>();
  readonly #options: KeyRingOptions;

  /** @throws TypeError for a duplicate issuer, which is a bug of the caller */
  constructor(issuers: readonly TrustedIssuer[], options: KeyRingOptions) {
    this.#options = options;
    for (const trusted of issuers) {
      if (this.#issuers.has(trusted.issuer)) throw new TypeError(`issuer \`${trusted.issuer}\` is named twice`);
      this.#issuers.set(trusted.issuer, this.#heldFor(trusted, options));
      if (trusted.source.kind === 'static') this.replace(trusted.issuer, trusted.source.jwks);
    }
  }

  #heldFor({ algorithms, issuer, kind = 'remit', source }: TrustedIssuer, options: KeyRingOptions): Held {
    const allowed = new Set(algorithms);
    if (source.kind === 'static') {
      const current = () => this.#static.get(issuer) ?? null;
      return { kind, algorithms: allowed, refresh: null, current, isAnnounced: false };
    }
    const refresh = new JwksRefresh({
      fetch: source.fetch,
      algorithms: allowed,
      rules: { ...defaultRefreshRules, ...options.rules },
      ports: options.ports,
      after: options.after,
      onProblem: (problem) => options.onProblem(issuer, problem),
    });
    return { kind, algorithms: allowed, refresh, current: () => refresh.current(), isAnnounced: false };
  }

  /** Asks every key server once and starts refreshing. Resolves when each has answered or timed out. Never rejects. */
  async start(): Promise<void> {
    const refreshes = [...this.#issuers.values()].map(({ refresh }) => refresh).filter((refresh) => refresh !== null);
    await Promise.all(refreshes.map((refresh) => refresh.start()));
  }

  /** The kind of an issuer; `undefined` if it is not trusted. */
  kindOf(issuer: string): IssuerKind | undefined {
    return this.#issuers.get(issuer)?.kind;
  }

  /** @see VerificationKeys.keyFor */
  keyFor(issuer: string, keyId: string | undefined, algorithm: string, kind: IssuerKind = 'remit'): KeyObject | Deny {
    const held = this.#issuers.get(issuer);
    if (held === undefined) return this.#unknown('token.issuer', 'claim `iss` is not a trusted issuer');
    if (held.kind !== kind) return deny('token.issuer', `claim \`iss\` is not an issuer of ${tokensOf[kind]}`);
    if (!isOneOf(held.algorithms, algorithm)) {
      return deny('token.algorithm', 'header member `alg` is not permitted for its issuer');
    }
    const keys = held.current();
    if (keys === null) return deny('token.keys-unavailable', 'the keys of the issuer are not available');
    if (keyId === undefined) return onlyKeyFor(keys, algorithm);
    const found = keys.find((key) => key.keyId === keyId);
    if (found === undefined) {
      held.refresh?.hint();
      const detail = 'unknown key id: header member `kid` is not a key of its issuer';
      return kind === 'remit' ? this.#unknown('token.signature', detail) : deny('token.signature', detail);
    }
    return found.algorithm === algorithm
      ? found.key
      : deny('token.algorithm', 'header member `alg` is not the algorithm of the key');
  }

  #unknown(reason: 'token.issuer' | 'token.signature', detail: string): Deny {
    return this.#options.mayBeBehind?.() === true
      ? deny('token.keys-unavailable', 'the authority has not sent its current issuer and keys yet')
      : deny(reason, detail);
  }

  /**
   * Replaces the static keys of an issuer, such as Remit's own, atomically. A refused set leaves the old set in use; the problem
   * is returned and reported to `onProblem`.
   */
  replace(issuer: string, jwks: unknown): string | null {
    const held = this.#issuers.get(issuer);
    if (held === undefined || held.refresh !== null) return `issuer \`${issuer}\` has no static keys here`;
    if (held.isAnnounced)
      return `the keys of \`${issuer}\` come from the authority: do not name them in the configuration`;
    const keys = verificationKeysFrom(jwks, held.algorithms);
    if (isProblem(keys)) {
      const problem = `the key set ${keys.problem}`;
      this.#options.onProblem(issuer, problem);
      return problem;
    }
    this.#static.set(issuer, keys);
    return null;
  }

  /**
   * Replaces all keys of Remit's issuer by those of an authority, possibly none. They also replace a source that the configuration names
   * for the same issuer, which could still have a revoked key; an unusable set withdraws all, for the same reason. Returns why they cannot
   * be used; `null` if they can.
   */
  announce(issuer: string, jwks: unknown): string | null {
    const held = this.#issuers.get(issuer);
    if (held !== undefined && held.kind !== 'remit') return `\`${issuer}\` is an issuer of ${tokensOf[held.kind]} here`;
    if (held?.isAnnounced !== true) {
      held?.refresh?.close();
      const trusted = { issuer, algorithms: ANNOUNCED_ALGORITHMS, source: { kind: 'static', jwks } as const };
      this.#issuers.set(issuer, { ...this.#heldFor(trusted, this.#options), isAnnounced: true });
    }
    const keys = hasNoKey(jwks) ? [] : verificationKeysFrom(jwks, new Set(ANNOUNCED_ALGORITHMS));
    this.#static.set(issuer, isProblem(keys) ? [] : keys);
    const problem = isProblem(keys) ? `the key set of the authority ${keys.problem}` : null;
    this.#options.onProblem(issuer, problem);
    return problem;
  }

  /** Whether a key of an issuer is in use for task tokens now. */
  isHeld(issuer: string, keyId: string): boolean {
    const held = this.#issuers.get(issuer);
    return held?.kind === 'remit' && held.current()?.some((key) => key.keyId === keyId) === true;
  }

  /** Issuers whose keys are not loaded now, sorted; empty means ready. */
  ready(): readonly string[] {
    const missing = [...this.#issuers].filter(([, held]) => held.current() === null);
    return missing.map(([issuer]) => issuer).sort();
  }

  /** Milliseconds since the last success of each key server, by issuer; without those that never succeeded. */
  agesMs(): ReadonlyMap<string, number> {
    const ages = new Map<string, number>();
    for (const [issuer, { refresh }] of this.#issuers) {
      const ageMs = refresh?.ageMs() ?? null;
      if (ageMs !== null) ages.set(issuer, ageMs);
    }
    return ages;
  }

  /** Stops refreshing. Keys stay in use until their grace period ends. */
  close(): void {
    for (const { refresh } of this.#issuers.values()) refresh?.close();
  }
}

const ANNOUNCED_ALGORITHMS = ['ES256', 'Ed25519', 'RS256'] as const;

/** Whether a key set is empty, as after all keys were revoked. */
const hasNoKey = (jwks: unknown): boolean =>
  typeof jwks === 'object' && jwks !== null && 'keys' in jwks && Array.isArray(jwks.keys) && jwks.keys.length === 0;

const tokensOf: Readonly<Record<IssuerKind, string>> = {
  remit: 'task tokens',
  external: 'external tokens',
  transaction: 'transaction tokens',
};

const isOneOf = (names: ReadonlySet<string>, name: string): boolean => names.has(name);

/** Without a key id, a token is unambiguous only if its issuer has a single key for the algorithm. */
function onlyKeyFor(keys: readonly VerificationKey[], algorithm: string): KeyObject | Deny {
  const [only, ...others] = keys.filter((key) => key.algorithm === algorithm);
  return only !== undefined && others.length === 0
    ? only.key
    : deny('token.signature', 'header member `kid` is required to choose a key');
}

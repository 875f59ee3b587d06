/** Starts the roles that a configuration names, in the order in which they need each other. */
import type { ServingAuthority } from '../../authority/feed/start-authority.ts';
import type { OwnKeys } from '../../authority/issuer/keys/signing-keys.ts';
import type { Enforcement } from '../../core/fleet/receipt.ts';
import type { Closers } from '../closers.ts';
import { openTokenKeys, untilKeySigns } from '../keys/token-keys.ts';
import type { TokenKeysOfProcess } from '../keys/token-keys.ts';
import type { Parts } from '../parts.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';
import type { Waits } from '../waits.ts';
import { startChecks } from './check-role.ts';
import type { CheckRole } from './check-role.ts';
import type { IssuerKeys, IssuerRole } from './issuer-role.ts';
import { openTransactions } from './transactions.ts';
import type { Transactions } from './transactions.ts';
import { signedTokens, verifiedTokens } from './verified-tokens.ts';

/** The keys of tokens, and the roles of a process; `null` for a role that it does not have. */
export interface StartedRoles extends Pick<TokenKeysOfProcess, 'ring' | 'signingKeys'> {
  readonly authority: ServingAuthority | null;
  /** Waits until the sidecars of the authority enforce a change. */
  readonly enforcement: Enforcement | null;
  readonly issuer: IssuerRole | null;
  readonly checks: CheckRole | null;
}

/** Starts the authority, the issuer and the checks. The code of the first two is loaded only if it is used. */
export async function startConfiguredRoles(
  parts: Parts,
  { waits, closers }: { readonly waits: Waits; readonly closers: Closers },
): Promise<StartedRoles | StartProblem> {
  let serving: ServingAuthority | null = null;
  const keys = await openTokenKeys(parts, {
    onPublished: () => serving?.keysChanged(),
    isCurrent: () => serving?.isCurrent() ?? false,
    closers,
  });
  if (isStartProblem(keys)) return keys;
  const { ring, signingKeys } = keys;
  const transactions = await openTransactions(parts);
  if (isStartProblem(transactions)) return transactions;
  // Before the issuer, whose replies wait for its sidecars.
  const authority = await startAuthorityIfNamed(parts, keys, { waits, closers });
  if (authority !== null && !('targets' in authority)) return authority;
  serving = authority;
  const enforcement =
    authority === null ? null : { enforced: authority.enforced, monotonicMs: parts.ports.monotonicMs };
  await untilKeySigns(parts, signingKeys);
  // An authority on a PostgreSQL has no state in memory by which checks could be decided.
  const verified = parts.database === null ? verifiedTokens(parts) : null;
  const issuer = await startIssuerIfNamed(parts, signingKeys, {
    transactions: transactions?.verified,
    onSigned: verified === null ? undefined : signedTokens(parts, { keys: ring, verified }),
    enforcement,
    closers,
  });
  if (isStartProblem(issuer)) return issuer;
  const checks =
    verified === null
      ? null
      : await startChecks(parts, { keys: ring, verified, transactionToken: transactions?.sign ?? null, closers });
  if (isStartProblem(checks)) return checks;
  return { ring, signingKeys, authority, enforcement, issuer, checks };
}

async function startAuthorityIfNamed(
  parts: Parts,
  { signingKeys, readKeys }: TokenKeysOfProcess,
  { waits, closers }: { readonly waits: Waits; readonly closers: Closers },
): Promise<ServingAuthority | null | StartProblem> {
  const { authority, issuer } = parts.config;
  if (authority.listen.length === 0) return null;
  const { startAuthorityRole } = await import('./authority-role.ts');
  return startAuthorityRole(parts, { issuer, signingKeys, readKeys, waits, closers });
}

async function startIssuerIfNamed(
  parts: Parts,
  signingKeys: OwnKeys | null,
  by: {
    readonly transactions: Transactions['verified'] | undefined;
    readonly onSigned: IssuerKeys['onSigned'];
    readonly enforcement: Enforcement | null;
    readonly closers: Closers;
  },
): Promise<IssuerRole | null | StartProblem> {
  const { issuer } = parts.config;
  if (issuer === null || signingKeys === null) return null;
  const { startIssuer } = await import('./issuer-role.ts');
  return startIssuer(parts, issuer, { signingKeys, ...by });
}

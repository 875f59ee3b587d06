import { createPrivateKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { IssuerServices } from '../../authority/issuer/services.ts';
import { makeSigningKey, signingKeyAt } from '../../authority/issuer/keys/signing-key.ts';
import { KeyRing } from '../../core/token/jose/keys.ts';
import { after } from '../../core/runtime/timers.ts';
import { transactionTokenSigner } from '../../core/token/transaction-token-signer.ts';
import type { TransactionTokenSigner } from '../../core/token/transaction-token-signer.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { isStartProblem } from '../start-problem.ts';
import type { Parts } from '../parts.ts';
import type { StartProblem } from '../start-problem.ts';

/** The signer of transaction tokens, and the keys that accept them in an exchange. */
export interface Transactions {
  readonly sign: TransactionTokenSigner;
  readonly verified: NonNullable<IssuerServices['transactions']>;
}

const TTL_SECONDS = 60;

/**
 * Opens transaction tokens with their own key (PKCS#8 PEM), created if missing; `null` if the configuration names no key. Their `iss`
 * and their key ring differ from those of task tokens, so that neither kind is accepted as the other.
 */
export async function openTransactions({ config, ports, faults }: Parts): Promise<Transactions | null | StartProblem> {
  const path = config.issuer?.transactionKey ?? null;
  const [trustDomain] = config.trustDomains;
  if (config.issuer === null || path === null || trustDomain === undefined) return null;
  const key = await keyAt(path);
  if (isStartProblem(key)) return key;
  const issuer = `${config.issuer.url}/transactions`;
  const { keyId, algorithm, privateKey, publicJwk } = key;
  const jwks = { keys: [publicJwk] };
  const keys = new KeyRing(
    [{ issuer, kind: 'transaction', algorithms: [algorithm], source: { kind: 'static', jwks } }],
    { ports, after, onProblem: (_issuer, problem) => faults.set('transaction key', problem) },
  );
  const { nowMs, randomBytes } = ports;
  const signed = { issuer, trustDomain, ttlSeconds: TTL_SECONDS, nowMs, randomBytes };
  return {
    sign: transactionTokenSigner({ ...signed, key: { keyId, algorithm, privateKey } }),
    verified: { keys, jwks, trustDomain },
  };
}

async function keyAt(path: string) {
  try {
    if (!existsSync(path)) makeSigningKey(path);
    const key = await signingKeyAt(path);
    return isStartProblem(key) ? key : { ...key, privateKey: createPrivateKey(readFileSync(path, 'utf8')) };
  } catch (error) {
    return { problem: `the transaction key \`${path}\` cannot be used: ${errorCode(error) ?? 'unknown error'}` };
  }
}

import { createPrivateKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { makeSigningKey, signingKeyAt } from '../issuer/signing-key.ts';
import { transactionTokenSigner } from '../token/transaction-token-signer.ts';
import type { TransactionTokenSigner } from '../token/transaction-token-signer.ts';
import { isStartProblem } from './parts.ts';
import type { Parts, StartProblem } from './parts.ts';

const TTL_SECONDS = 60;

/**
 * What signs transaction tokens, with a key of its own (PKCS#8 PEM), made where there is none; `null` where the configuration
 * names no such key. Their `iss` is not that of task tokens, so that no verifier takes one for the other.
 */
export async function openTransactionTokens({
  config,
  ports,
}: Parts): Promise<TransactionTokenSigner | null | StartProblem> {
  const path = config.issuer?.transactionKey ?? null;
  const [trustDomain] = config.trustDomains;
  if (config.issuer === null || path === null || trustDomain === undefined) return null;
  if (!existsSync(path)) makeSigningKey(path);
  const key = await signingKeyAt(path);
  if (isStartProblem(key)) return key;
  const privateKey = createPrivateKey(readFileSync(path, 'utf8'));
  return transactionTokenSigner({
    key: { keyId: key.keyId, algorithm: key.algorithm, privateKey },
    issuer: `${config.issuer.url}/transactions`,
    trustDomain,
    ttlSeconds: TTL_SECONDS,
    nowMs: ports.nowMs,
    randomBytes: ports.randomBytes,
  });
}

import { generateKeyPairSync } from 'node:crypto';
import { bundleKeyFrom } from '../../../src/policy/bundle/bundle.ts';
import { verificationKeysFrom } from '../../../src/token/jwks.ts';
import { isProblem } from '../../../src/runtime/problem.ts';

/** A key that signs bundles, and the set that verifies them. */
export async function keyPair(type: 'ec' | 'ed25519' = 'ec') {
  const { privateKey } =
    type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const key = await bundleKeyFrom(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  if (isProblem(key)) throw new Error(key.problem);
  const keys = verificationKeysFrom({ keys: [key.jwk] }, new Set(['ES256', 'Ed25519']));
  if (isProblem(keys)) throw new Error(keys.problem);
  return { key, keys };
}

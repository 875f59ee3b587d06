import { generateKeyPairSync } from 'node:crypto';
import { bundleKeyFrom } from '../../../../src/core/policy/bundle/bundle.ts';
import { signingKeysFrom } from '../../../../src/core/policy/bundle/bundle-keys.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';

/** A key that signs bundles, and the set that verifies them; limited to names where some are given. */
export async function keyPair(type: 'ec' | 'ed25519' = 'ec', bundles?: readonly string[]) {
  const { privateKey } =
    type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const key = await bundleKeyFrom(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  if (isProblem(key)) throw new Error(key.problem);
  const keys = signingKeysFrom({ keys: [bundles === undefined ? key.jwk : { ...key.jwk, bundles }] });
  if (isProblem(keys)) throw new Error(keys.problem);
  return { key, keys };
}

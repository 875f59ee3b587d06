import { createHash, createPublicKey } from 'node:crypto';
import type { ProofUse } from '../../../src/core/token/proof/proof-memory.ts';
import { defaultProofRules, type ProvenRequest } from '../../../src/core/token/proof/proof.ts';
import { nowMs, nowSeconds, signed, type TestKey } from '../../builders/tokens.ts';

/** The access token of the proofs; its content does not matter. */
export const accessToken = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU';

/** The request of the valid proof. */
export const request: ProvenRequest = {
  method: 'POST',
  url: 'https://gateway.acme.test/v1/payments',
  accessToken,
  nowMs,
  rules: defaultProofRules,
};

/** The claims of a valid proof. */
export const soundProof = {
  jti: 'e1j3V_bKic8-LAEB',
  htm: 'POST',
  htu: 'https://gateway.acme.test/v1/payments',
  iat: nowSeconds - 1,
  ath: createHash('sha256').update(accessToken).digest('base64url'),
};

/** Only the members of the public key. */
export const bareJwk = (key: TestKey) => createPublicKey(key.privateKey).export({ format: 'jwk' });

/** A valid proof with changed claims and header members; `undefined` omits one. */
export const proofBy = (
  key: TestKey,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
): string =>
  signed(
    key,
    JSON.stringify({ typ: 'dpop+jwt', alg: key.algorithm, jwk: bareJwk(key), ...header }),
    JSON.stringify({ ...soundProof, ...claims }),
  );

/** The key of the examples of RFC 9449, its thumbprint (section 6.1), and the proofs of figures 2 and 13. */
export const rfc9449 = {
  jwk: {
    kty: 'EC',
    x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
    y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
    crv: 'P-256',
  },
  thumbprint: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
  tokenRequest:
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg',
  resourceRequest:
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA',
};

/** The use of a proof at an instant at which all clocks agree. */
export const at = (ms: number, agent = 'spiffe://acme.test/ns/agents/sa/planner'): ProofUse => ({
  agent,
  clocks: { wallMs: ms, floorMs: ms },
});

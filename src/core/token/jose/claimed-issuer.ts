import { isObject } from '../../runtime/fields.ts';

/** The `iss` that a refused token names, unverified; `null` if it names none. For judging what a token pretends to be, never for trust. */
export function claimedIssuer(compact: string, maxBytes: number): string | null {
  if (compact.length > maxBytes) return null;
  const [, payload = ''] = compact.split('.', 3);
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    const issuer = isObject(claims) ? claims['iss'] : null;
    return typeof issuer === 'string' ? issuer : null;
  } catch {
    return null;
  }
}

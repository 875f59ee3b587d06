import { hash } from 'node:crypto';
import { isObject } from '../../core/runtime/fields.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';

/**
 * The key of the user that a token names, by which the tasks of one user are bounded; of the whole token if it names none. The token is not verified
 * here: a token that lies about its user is refused by the issuer, and takes a place only until then.
 */
export function userOf(token: string): string {
  const json = strictJsonFrom(Buffer.from(token.split('.', 2)[1] ?? '', 'base64url'));
  const claims = isProblem(json) ? null : json.value;
  const named = isObject(claims) ? JSON.stringify([claims['iss'], claims['sub']]) : token;
  return hash('sha256', named, 'base64url');
}

import { isProblem } from '../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';
import { type OAuthError, oauthError } from './oauth-error.ts';
import type { IssuerRequest } from './services.ts';

const CONTENT_TYPE = /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i;

/** Longest body read, in bytes. */
const MAX_BODY_BYTES = 16_384;

/** The JSON in the body of a request, of at most 16 KiB, in which no member occurs twice. */
export function jsonBodyFrom({
  body,
  contentType,
}: Pick<IssuerRequest, 'body' | 'contentType'>): { readonly value: unknown } | OAuthError {
  if (!CONTENT_TYPE.test(contentType?.trim() ?? ''))
    return oauthError('invalid_request', 'the content-type must be application/json');
  if (body.length > MAX_BODY_BYTES)
    return oauthError('invalid_request', `the body is larger than ${MAX_BODY_BYTES} bytes`);
  const json = strictJsonFrom(body);
  return isProblem(json) ? oauthError('invalid_request', `the body ${json.problem}`) : json;
}

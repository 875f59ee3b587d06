import type { Problem } from '../token/members.ts';
import type { AccessEntry, IntentFile } from './intent.ts';

/** An intent as the token endpoint is asked for it. */
export interface OAuthDeclaration {
  readonly resource: string;
  /** The value of `authorization_details`. */
  readonly details: readonly Readonly<Record<string, unknown>>[];
}

/**
 * What of an intent one task can be declared with. The issuer gives a task tokens for one resource, so an intent that names
 * several needs the word which one is meant.
 *
 * @param choice `resource` picks one of several; `ttlSeconds` counts from `nowMs` and takes the place of `expires_in`
 */
export function oauthDeclarationFrom(
  intent: IntentFile,
  choice: { readonly resource: string | null; readonly ttlSeconds: number | null; readonly nowMs: number },
): OAuthDeclaration | Problem {
  const named = [...new Set(intent.access.map((entry) => entry.resource))];
  const [first = '', ...more] = named;
  if (choice.resource === null && more.length > 0) {
    return {
      problem: `the intent names ${named.length} resources and one task is for one of them: pick it by --resource, or write an intent for each: ${named.join(', ')}`,
    };
  }
  const resource = choice.resource ?? first;
  const entries = intent.access.filter((entry) => entry.resource === resource);
  if (entries.length === 0) {
    return { problem: `the intent does not name the resource \`${resource}\`; it names ${named.join(', ')}` };
  }
  const seconds = choice.ttlSeconds ?? intent.expiresInSeconds;
  const endSeconds = seconds === null ? null : Math.floor(choice.nowMs / 1_000) + seconds;
  return { resource, details: entries.map((entry) => endingBy(entry, endSeconds)) };
}

function endingBy({ detail }: AccessEntry, endSeconds: number | null): OAuthDeclaration['details'][number] {
  if (endSeconds === null) return detail;
  // The reader of the file let nothing but a mapping through.
  const constraints = (detail['constraints'] ?? {}) as Readonly<Record<string, unknown>>;
  const own = constraints['not_after'];
  const notAfter = typeof own === 'number' ? Math.min(own, endSeconds) : endSeconds;
  return { ...detail, constraints: { ...constraints, not_after: notAfter } };
}

import type { Problem } from '../../core/runtime/problem.ts';
import type { AccessEntry, IntentFile } from './intent.ts';

/** An intent in the form of a token request. */
export interface OAuthDeclaration {
  readonly resource: string;
  /** The value of `authorization_details`. */
  readonly details: readonly Readonly<Record<string, unknown>>[];
  /** The token of the user on whose behalf the task is, which is exchanged; absent or `null`: the agent itself is the subject. */
  readonly subject?: SubjectToken | null;
}

/** A token that names a user. @see RFC 8693 section 2.1 */
export interface SubjectToken {
  /** A secret. */
  readonly token: string;
  /** Its `subject_token_type`. */
  readonly type: string;
}

/**
 * The token request for an intent. The issuer issues tokens for one resource per task, so an intent with several
 * resources needs a choice.
 *
 * @param choice `resource` picks one of several; `ttlSeconds` counts from `nowMs` and overrides `expires_in`
 */
export function oauthDeclarationFrom(
  intent: IntentFile,
  choice: { readonly resource: string | null; readonly ttlSeconds: number | null; readonly nowMs: number },
): OAuthDeclaration | Problem {
  const named = [...new Set(intent.access.map((entry) => entry.resource))];
  const [first = '', ...more] = named;
  if (choice.resource === null && more.length > 0) {
    return {
      problem: `the intent names ${named.length} resources, but a task is for one: choose it with --resource, or write an intent for each: ${named.join(', ')}`,
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
  // The file's parser accepts only a mapping.
  const constraints = (detail['constraints'] ?? {}) as Readonly<Record<string, unknown>>;
  const own = constraints['not_after'];
  const notAfter = typeof own === 'number' ? Math.min(own, endSeconds) : endSeconds;
  return { ...detail, constraints: { ...constraints, not_after: notAfter } };
}

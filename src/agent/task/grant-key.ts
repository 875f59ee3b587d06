import { hash } from 'node:crypto';
import { isObject } from '../../core/runtime/fields.ts';
import type { OAuthDeclaration } from './declaration.ts';

/**
 * A key that is equal for declarations whose tasks may use the same actions: a digest of all but the end of the task. A digest,
 * since a subject's token is a secret.
 */
export function grantKey({ resource, details, subject = null }: OAuthDeclaration): string {
  const lasting = details.map((detail) => {
    const { constraints } = detail;
    if (!isObject(constraints)) return detail;
    const { not_after: _, ...others } = constraints;
    return { ...detail, constraints: others };
  });
  const text = JSON.stringify([resource, lasting, subject?.token ?? null]);
  return hash('sha256', text, 'base64url');
}

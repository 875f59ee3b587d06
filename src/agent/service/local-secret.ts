import { hash } from 'node:crypto';
import type { Ports } from '../../core/runtime/ports.ts';

/** Bytes of a secret: 256 bits. */
const SECRET_BYTES = 32;
const MARK = 'remit_';
const MARKED = /remit_[\w-]{43}/;

/** A new secret for a local URL. All begin with the same mark, so that a secret that goes astray is recognised, by Remit and by scanners of secrets. */
export const localSecret = ({ randomBytes }: Pick<Ports, 'randomBytes'>): string =>
  MARK + Buffer.from(randomBytes(SECRET_BYTES)).toString('base64url');

/** The digest by which a secret is looked up, so that the time of a look-up tells nothing about the secret. */
export const secretKey = (secret: string): string => hash('sha256', secret, 'base64url');

/** Whether a text has a secret of some local URL, of whatever task. */
export const holdsSecret = (text: string): boolean => text.includes(MARK) && MARKED.test(text);

/** The first segment of a path and what follows it. */
export function segmentOf(target: string): { readonly segment: string; readonly rest: string } {
  const [, segment = '', rest = ''] = /^\/([^/?#]*)(.*)/s.exec(target) ?? [];
  return { segment, rest };
}

import type { Risk } from '../../core/action/catalog/catalog-head.ts';
import { isAmountName } from '../policy/lint/amount-names.ts';

/** Words of names that destroy, pay, send out or run something. */
const HIGH = new Set(
  'delete destroy drop erase exec execute grant kill merge payout pay payment payments publish purge refund refunds remove reset revoke run send shell shutdown sudo transfer transfers terminate truncate wipe withdraw'.split(
    ' ',
  ),
);
/** Words of names that only read, at the start of a name. */
const LOW = new Set(
  'check count describe download fetch find get head health list lookup ping query read resolve search show status view watch'.split(
    ' ',
  ),
);

const wordsOf = (name: string): readonly string[] =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');

/** The risk of a tool or a method by its name and the names of its arguments: a guess, for a person to correct. */
export function riskOfName(name: string, members: readonly string[] = []): Risk {
  const words = wordsOf(name);
  if (words.some((word) => HIGH.has(word))) return 'high';
  // A search for an amount spends nothing.
  if (LOW.has(words[0] ?? '')) return 'low';
  return members.some(isAmountName) ? 'high' : 'medium';
}

/** The risk of a route by its method, its path and the members of its body: a guess, for a person to correct. */
export function riskOfRoute(method: string, template: string, members: readonly string[]): Risk {
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return 'low';
  if (method === 'DELETE') return 'high';
  const texts = template.split('/').filter((segment) => !segment.startsWith('{'));
  const isHigh = texts.flatMap(wordsOf).some((word) => HIGH.has(word)) || members.some(isAmountName);
  return isHigh ? 'high' : 'medium';
}

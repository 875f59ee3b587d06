import type { Catalog } from '../action/catalog/catalog.ts';
import type { StopOrder } from '../order/order.ts';
import { nearestOf } from '../runtime/nearest-name.ts';

/** Most names that are compared to find the nearest. */
const MAX_COMPARED = 4_096;

/**
 * Why a stop would stop nothing: the catalog has no such server or action; with the nearest name. `null` if it has, and for other kinds. A
 * mistyped stop that seems to work is worse than none.
 */
export function stopTargetProblem(
  { kind, what }: Pick<StopOrder, 'kind' | 'what'>,
  { servers, actions }: Pick<Catalog, 'servers' | 'actions'>,
): string | null {
  const known = kind === 'server' ? servers : kind === 'action' ? actions : null;
  if (known === null || known.has(what)) return null;
  const nearest = nearestOf(what, [...known.keys()].slice(0, MAX_COMPARED));
  const hint = nearest === null ? '' : `; did you mean \`${nearest}\`?`;
  return `the catalog has no ${kind} \`${what}\`${hint}`;
}

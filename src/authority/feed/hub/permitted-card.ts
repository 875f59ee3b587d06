import { cardOf } from '../../../core/fleet/card.ts';
import type { HeldTask } from '../../../core/fleet/card.ts';
import type { Card } from '../../../core/fleet/messages.ts';
import type { SidecarRights } from '../authorize.ts';

/** The card of a task with the tokens that a sidecar may use; `null` if it may use none of them, as if there were no such task. */
export function permittedCard(held: HeldTask | null | undefined, { audiences }: SidecarRights): Card | null {
  if (!held) return null;
  const tokens = new Map([...held.tokens].filter(([, { audience }]) => audiences.has(audience)));
  return tokens.size === 0 ? null : cardOf({ ...held, tokens });
}

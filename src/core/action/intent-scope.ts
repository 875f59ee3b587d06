import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { AuthorizationDetail } from '../token/authorization-details.ts';
import type { Action } from './http/http.ts';

/**
 * The detail of the declared intent that covers an action: the first whose locations name the server's audience, whose actions
 * name the action or its family (`payments.*`), and whose times include now (`not_before` inclusive, `not_after` exclusive).
 * Denies with `action.outside-intent` if there is none; an intent without details covers nothing. Session actions are
 * covered by any grant at their server, since nothing there can be used without them.
 */
export function coveringDetail(
  details: readonly AuthorizationDetail[],
  action: Action,
  nowMs: number,
): AuthorizationDetail | Deny {
  const open = details.find((detail) => names(detail, action) && isOpen(detail, nowMs));
  if (open !== undefined) return open;
  return details.some((detail) => names(detail, action))
    ? deny('action.outside-intent', `the intent allows \`${action.id}\` at another time`)
    : deny('action.outside-intent', `the intent names no \`${action.id}\` at \`${action.server.audience}\``);
}

const names = ({ locations, actions }: AuthorizationDetail, { id, isSession, server }: Action): boolean =>
  locations.includes(server.audience) && (isSession || actions.some((granted) => covers(granted, id)));

/** `payments.*` covers ids that begin with `payments.`; `*` alone covers nothing, so that no intent is unbounded. */
const covers = (granted: string, id: string): boolean =>
  granted === id || (granted.length > 2 && granted.endsWith('.*') && id.startsWith(granted.slice(0, -1)));

const isOpen = ({ constraints }: AuthorizationDetail, nowMs: number): boolean =>
  nowMs >= (constraints.notBeforeMs ?? -Infinity) && nowMs < (constraints.notAfterMs ?? Infinity);

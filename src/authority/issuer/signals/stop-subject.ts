import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import type { IssuerServices } from '../services.ts';
import type { StopEffect } from './effects.ts';
import type { SecurityEvent } from './set.ts';
import type { SimpleSubject, SubjectRole } from './subject.ts';
import { targetPages } from './targets.ts';
import type { Transmitter } from './transmitter.ts';

/** What a stop is about. */
export type StopTarget = Pick<StopOrder, 'kind' | 'what'>;

/** Most targets of one event that it names by a task or token; further targets are not stopped. */
const MAX_TARGETS = 16;

/**
 * What an event stops: the agent or the user that its subject names, or else those of the tasks that match a `jwt_id` or `opaque`
 * member. Empty if neither is named, such as for `stop-agent` and a user given by `iss_sub` or `email`, whose agents work for
 * others too. Members that narrow a complex subject, such as a device, do not narrow a stop.
 */
export async function stopTargetsOf(
  effect: StopEffect,
  { subject, transmitter }: Pick<SecurityEvent, 'subject' | 'transmitter'>,
  { authority, settings }: Pick<IssuerServices, 'authority' | 'settings'>,
): Promise<readonly StopTarget[] | StoreFailure> {
  const named = subject.members.flatMap(({ role, is }) =>
    effect === 'stop-agent' ? agentsIn(role, is) : usersIn(role, is, transmitter),
  );
  if (named.length > 0) return named;
  const isOfTask = subject.members.some(({ is: { format } }) => format === 'jwt_id' || format === 'opaque');
  if (!isOfTask) return [];
  const found = new Set<string>();
  for await (const page of targetPages(subject, authority, { issuer: settings.url, transmitter })) {
    if (isStoreFailure(page)) return page;
    for (const { task } of page)
      if (found.size < MAX_TARGETS) found.add(effect === 'stop-agent' ? task.agent : task.subject);
  }
  return [...found].map((what) => ({ kind: effect === 'stop-agent' ? 'agent' : 'user', what }));
}

const agentsIn = (role: SubjectRole, is: SimpleSubject): readonly StopTarget[] =>
  (role === 'self' || role === 'application') && is.format === 'uri' && is.spiffeId !== null
    ? [{ kind: 'agent', what: is.spiffeId }]
    : [];

/** An opaque subject without a role may be the id of a task. */
function usersIn(role: SubjectRole, is: SimpleSubject, transmitter: Transmitter): readonly StopTarget[] {
  if (role !== 'self' && role !== 'user') return [];
  switch (is.format) {
    case 'iss_sub':
      return transmitter.subjectIssuers.has(is.issuer) ? [{ kind: 'user', what: `${is.issuer} ${is.subject}` }] : [];
    case 'email':
      return [...new Set([is.email, is.email.toLowerCase()])].map((what) => ({ kind: 'user', what }));
    case 'opaque':
      return role === 'user' ? [{ kind: 'user', what: is.id }] : [];
    case 'uri':
      return role === 'user' ? [{ kind: 'user', what: is.uri }] : [];
    case 'jwt_id':
      return [];
    default:
      return is satisfies never;
  }
}

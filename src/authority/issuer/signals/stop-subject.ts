import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import type { IssuerServices } from '../services.ts';
import type { StopEffect } from './effects.ts';
import type { SecurityEvent } from './set.ts';
import type { SignalSubject, SimpleSubject, SubjectRole } from './subject.ts';
import { type SignalTarget, targetPages } from './targets.ts';
import type { Transmitter } from './transmitter.ts';

/** What a stop is about. */
export type StopTarget = Pick<StopOrder, 'kind' | 'what'>;

/**
 * What an event stops: the agent or the user that its subject names, or else the agent or the user of the task that it names by id or by a
 * token. Empty if neither is named, such as for `stop-agent` and a user, whose agents work for others too, or a session of another system.
 * Members that narrow a complex subject, such as a device, do not narrow a stop.
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
  if (!subject.members.some(mayNameTask)) return [];
  const found = new Set<string>();
  for await (const page of targetPages(subject, authority, { issuer: settings.url, transmitter })) {
    if (isStoreFailure(page)) return page;
    for (const target of page) {
      const { agent, subject: user } = target.task;
      // Many tasks of a user add that user alone.
      const isUser = effect === 'stop-user' && subject.members.some((it) => it.role === 'self' && isIdOf(it, user));
      if (isUser || isNamed(target, subject)) found.add(effect === 'stop-agent' ? agent : user);
    }
  }
  return [...found].map((what) => ({ kind: effect === 'stop-agent' ? 'agent' : 'user', what }));
}

type SubjectMember = SignalSubject['members'][number];

const mayNameTask = ({ role, is: { format } }: SubjectMember): boolean =>
  (role === 'self' || role === 'session') && (format === 'jwt_id' || format === 'opaque');

/** Whether the subject names the task itself, by its id or by a token of it, and not by a value that other tasks may have too. */
const isNamed = ({ task, jtiDigest }: SignalTarget, { members }: SignalSubject): boolean =>
  jtiDigest !== null || members.some((member) => isIdOf(member, task.id));

const isIdOf = (member: SubjectMember, id: string): boolean =>
  mayNameTask(member) && member.is.format === 'opaque' && member.is.id === id;

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

import { jtiDigestOf } from '../../../core/token/jti-digest.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Authority } from '../../../core/state/authority.ts';
import type { OpenTaskFilter } from '../../../core/state/store-reader.ts';
import type { Task } from '../../../core/task/task.ts';
import type { SimpleSubject, SignalSubject, SubjectRole } from './subject.ts';
import type { Transmitter } from './transmitter.ts';

/** An open task that an event is about. */
export interface SignalTarget {
  readonly task: Task;
  /** The token that the event is about; `null` if it is about the whole task. */
  readonly jtiDigest: string | null;
}

/** Tasks per page: some milliseconds of work. */
const PAGE = 200;
/** Most listings. Each further listing finds tasks accepted during the previous listing, and takes less time. */
const MAX_LISTINGS = 4;
/** Overlap of two listings, since a task is committed some time after its creation time. */
const ACCEPTED_WITHIN_MS = 60_000;

/** A criterion for tasks. */
type Key =
  | { readonly by: 'id' | 'agent' | 'subject' | 'jtiDigest'; readonly value: string }
  | { readonly by: 'context'; readonly name: string; readonly value: string };

/** The transmitter, and the issuer of the tasks. */
interface Parties {
  readonly issuer: string;
  readonly transmitter: Transmitter;
}

/**
 * The open tasks that match all members of the subject, in pages without duplicates. A member that cannot match anything here
 * leaves no tasks, so that an unsupported member never widens the subject. A store failure is the last page.
 *
 * Includes tasks accepted during the listing, such as sub-tasks of listed tasks: afterwards the newest tasks are listed again.
 */
export async function* targetPages(
  subject: SignalSubject,
  authority: Pick<Authority, 'openTasks' | 'floorMs'>,
  parties: Parties,
): AsyncGenerator<readonly SignalTarget[] | StoreFailure, void> {
  const wanted = subject.members.map(({ role, is }) => keysOf(role, is, parties));
  if (wanted.some((keys) => keys.length === 0)) return;
  const jtiDigest = wanted.flat().find((key) => key.by === 'jtiDigest')?.value ?? null;
  const ofToken = jtiDigest === null ? [] : await authority.openTasks({ jtiDigest }, 1);
  if (isStoreFailure(ofToken)) {
    yield ofToken;
    return;
  }
  const isMeant = (task: Task): boolean =>
    task.issuer === parties.issuer &&
    wanted.every((keys) => keys.some((key) => isKnownBy(task, key, ofToken[0]?.id ?? null)));
  const seen = new Set<string>();
  let newerThanMs = 0;
  for (let listing = 0; listing < MAX_LISTINGS; listing += 1) {
    const [known, beganMs] = [seen.size, authority.floorMs()];
    for (const filter of filtersOf(wanted)) {
      for await (const page of pagesOf(filter, newerThanMs, authority)) {
        if (isStoreFailure(page)) {
          yield page;
          return;
        }
        const fresh = page.filter((task) => !seen.has(task.id) && isMeant(task));
        for (const task of fresh) seen.add(task.id);
        yield fresh.map((task) => ({ task, jtiDigest }));
      }
    }
    if (seen.size === known) return;
    newerThanMs = beganMs - ACCEPTED_WITHIN_MS;
  }
}

/** Store queries that together cover all matching tasks: by index if a member allows it, else all open tasks. */
function filtersOf(wanted: readonly (readonly Key[])[]): readonly OpenTaskFilter[] {
  const indexed = wanted.find((keys) => keys.every((key) => key.by !== 'context'));
  return indexed === undefined ? [{}] : indexed.map(({ by, value }) => ({ [by]: value }));
}

/** Open tasks, newest first, down to those created at `newerThanMs`. */
async function* pagesOf(
  filter: OpenTaskFilter,
  newerThanMs: number,
  authority: Pick<Authority, 'openTasks'>,
): AsyncGenerator<readonly Task[] | StoreFailure, void> {
  let olderThan: OpenTaskFilter['olderThan'];
  for (;;) {
    const page = await authority.openTasks(olderThan === undefined ? filter : { ...filter, olderThan }, PAGE);
    yield page;
    if (isStoreFailure(page) || page.length < PAGE) return;
    olderThan = page.at(-1);
    if (olderThan !== undefined && olderThan.createdAtMs < newerThanMs) return;
  }
}

/** @param holder id of the task whose token the subject names */
function isKnownBy(task: Task, key: Key, holder: string | null): boolean {
  switch (key.by) {
    case 'id':
    case 'agent':
    case 'subject':
      return task[key.by] === key.value;
    case 'jtiDigest':
      return task.id === holder;
    case 'context':
      return hasValue(task, key);
    default:
      return key satisfies never;
  }
}

/** Whether the value is claimed or attested. An agent that claims a false value is still found by what others attested. */
const hasValue = (
  { claimed, attested }: Task,
  { name, value }: { readonly name: string; readonly value: string },
): boolean =>
  (Object.hasOwn(claimed, name) && claimed[name] === value) ||
  attested.some((one) => one.name === name && one.value === value);

/**
 * The criteria of a member; a task matches by any of them. A user is the `sub` of the task's tokens, an application its agent,
 * a session the task or its token. Any other role, and a session of another system, is a claimed or attested value with the
 * role's name.
 */
function keysOf(role: SubjectRole, is: SimpleSubject, { issuer, transmitter }: Parties): readonly Key[] {
  const isUser = role === 'self' || role === 'user';
  switch (is.format) {
    case 'jwt_id': {
      const isOurs = is.issuer === issuer && (role === 'self' || role === 'session');
      return isOurs ? [{ by: 'jtiDigest', value: jtiDigestOf(is.tokenId) }] : [];
    }
    case 'opaque': {
      const task: Key = { by: 'id', value: is.id };
      if (role === 'session') return [task, ...inContext(role, is.id)];
      const subject: Key = { by: 'subject', value: is.id };
      if (role === 'self') return [task, subject];
      return isUser ? [subject] : inContext(role, is.id);
    }
    case 'uri':
      if (role === 'user') return [{ by: 'subject', value: is.uri }];
      if (role === 'self' || role === 'application') {
        return is.spiffeId === null ? inContext(role, is.uri) : [{ by: 'agent', value: is.spiffeId }];
      }
      return inContext(role, is.uri);
    case 'iss_sub':
      if (!transmitter.subjectIssuers.has(is.issuer)) return [];
      return isUser ? [{ by: 'subject', value: is.subject }] : inContext(role, is.subject);
    case 'email':
      return isUser ? [...new Set([is.email, is.email.toLowerCase()])].map((value) => ({ by: 'subject', value })) : [];
    default:
      return is satisfies never;
  }
}

/** A simple subject has no role, so it names no context value. */
const inContext = (name: SubjectRole, value: string): readonly Key[] =>
  name === 'self' ? [] : [{ by: 'context', name, value }];

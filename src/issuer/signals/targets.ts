import { jtiDigestOf } from '../../ledger/record.ts';
import { isStoreFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type { OpenTaskFilter, Store } from '../../state/store.ts';
import type { Task } from '../../task/task.ts';
import type { SimpleSubject, SignalSubject, SubjectRole } from './subject.ts';
import type { Transmitter } from './transmitter.ts';

/** An open task that an event is about. */
export interface SignalTarget {
  readonly task: Task;
  /** The one token of the task that the event is about; `null` where it is about the whole task. */
  readonly jtiDigest: string | null;
}

/** Tasks looked at in one go: the largest listing of the store. */
const PAGE = 1_000;

/** What a task is known by. */
type Key =
  | { readonly by: 'id' | 'agent' | 'subject' | 'jtiDigest'; readonly value: string }
  | { readonly by: 'context'; readonly name: string; readonly value: string };

/** Who speaks, and to whom: the issuer whose tokens and tasks these are. */
interface Parties {
  readonly issuer: string;
  readonly transmitter: Transmitter;
}

/**
 * The open tasks that every member of the subject describes, a page at a time, each task once. A member that describes
 * nothing here leaves none: what cannot be understood never widens whom an event is about. A store failure is the last page.
 */
export function* targetPages(
  subject: SignalSubject,
  store: Pick<Store, 'openTasks'>,
  parties: Parties,
): Generator<readonly SignalTarget[] | StoreFailure, void> {
  const wanted = subject.members.map(({ role, is }) => keysOf(role, is, parties));
  if (wanted.some((keys) => keys.length === 0)) return;
  const jtiDigest = wanted.flat().find((key) => key.by === 'jtiDigest')?.value ?? null;
  const ofToken = jtiDigest === null ? [] : store.openTasks({ jtiDigest }, 1);
  if (isStoreFailure(ofToken)) {
    yield ofToken;
    return;
  }
  const isMeant = (task: Task): boolean =>
    task.issuer === parties.issuer &&
    wanted.every((keys) => keys.some((key) => isKnownBy(task, key, ofToken[0]?.id ?? null)));
  const seen = new Set<string>();
  for (const filter of filtersOf(wanted)) {
    for (const page of pagesOf(filter, store)) {
      if (isStoreFailure(page)) {
        yield page;
        return;
      }
      const fresh = page.filter((task) => !seen.has(task.id) && isMeant(task));
      for (const task of fresh) seen.add(task.id);
      yield fresh.map((task) => ({ task, jtiDigest }));
    }
  }
}

/** The listings that together have every task that is meant: by an index where a member has one, else of all that are open. */
function filtersOf(wanted: readonly (readonly Key[])[]): readonly OpenTaskFilter[] {
  const indexed = wanted.find((keys) => keys.every((key) => key.by !== 'context'));
  return indexed === undefined ? [{}] : indexed.map(({ by, value }) => ({ [by]: value }));
}

function* pagesOf(
  filter: OpenTaskFilter,
  store: Pick<Store, 'openTasks'>,
): Generator<readonly Task[] | StoreFailure, void> {
  let olderThan: OpenTaskFilter['olderThan'];
  for (;;) {
    const page = store.openTasks(olderThan === undefined ? filter : { ...filter, olderThan }, PAGE);
    yield page;
    if (isStoreFailure(page) || page.length < PAGE) return;
    olderThan = page.at(-1);
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

/** Claimed or attested alike: an agent that names its device is on it, and one that names another is known by what was attested. */
const hasValue = (
  { claimed, attested }: Task,
  { name, value }: { readonly name: string; readonly value: string },
): boolean =>
  (Object.hasOwn(claimed, name) && claimed[name] === value) ||
  attested.some((one) => one.name === name && one.value === value);

/**
 * What a task is known by that the member describes; one of them is enough. A user is the `sub` of its tokens, an
 * application the agent, a session the task or its token; anything else, and a session known elsewhere, is the value of
 * that name that the agent claims or somebody has attested.
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

/** A subject that is not complex names no value of a context. */
const inContext = (name: SubjectRole, value: string): readonly Key[] =>
  name === 'self' ? [] : [{ by: 'context', name, value }];

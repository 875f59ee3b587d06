/** The claims of a Security Event Token: what is sent of a record. */
import { createHash } from 'node:crypto';
import type { JWTPayload } from 'jose';
import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { EndRecord, EventRecord } from '../../../core/ledger/record.ts';
import { signalledBy } from '../../../core/ledger/signalled.ts';
import type { Signalled } from '../../../core/config/issuer.ts';
import { stoppedUser } from '../../../core/order/order.ts';
import { kindOf } from '../../../core/task/cause.ts';
import type { CauseKind } from '../../../core/task/cause.ts';
import type { Task } from '../../../core/task/task.ts';

/** What a signal is about. */
export interface SignalledRecord {
  readonly of: Signalled;
  readonly record: EndRecord | EventRecord;
  /** The digest of the record's bytes, so that a signal that is sent again has the same `jti`. */
  readonly jti: string;
}

/** The sender and the receiver of a signal. */
export interface SetParties {
  /** The URL of the issuer. */
  readonly issuer: string;
  readonly audience: string;
}

/** The record of a queued signal; `null` if it is of a kind that is sent to nobody. */
export function signalledRecord({ bytes }: EncodedRecord): SignalledRecord | null {
  // An authority wrote it by `encodedRecord`.
  const record = JSON.parse(Buffer.from(bytes).toString('utf8')) as EndRecord | EventRecord;
  const of = signalledBy(record);
  return of === null ? null : { of, record, jti: createHash('sha256').update(bytes).digest('base64url') };
}

const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const CREDENTIAL_COMPROMISE = 'https://schemas.openid.net/secevent/risc/event-type/credential-compromise';
/** What CAEP and RISC have no event for: a stop of a server, of an action, or of a pattern of agents. */
export const STOP_EVENT = 'https://remit.dev/secevent/event-type/stop';

/**
 * The claims.
 *
 * @param task of the record; `undefined` if it has none, or it is deleted
 * @param nowMs when it is signed, in milliseconds since the Unix epoch
 * @see RFC 8417 section 2.2, RFC 9493, OpenID CAEP 1.0 section 3.1, OpenID RISC 1.0 section 2.7
 */
export function setClaims(
  signal: SignalledRecord,
  { issuer, audience }: SetParties,
  { task, nowMs }: { readonly task: Task | undefined; readonly nowMs: number },
): JWTPayload {
  const { jti, of, record } = signal;
  const { subject, uri, more, txn } = of === 'stops' ? ofStop(detailsOf(record), issuer) : ofTask(signal, issuer, task);
  const happened = Math.floor(record.at / 1_000);
  return {
    iss: issuer,
    aud: audience,
    iat: Math.floor(nowMs / 1_000),
    jti,
    toe: happened,
    txn,
    sub_id: subject,
    events: {
      [uri]: {
        ...more,
        event_timestamp: happened,
        initiating_entity: record.cause === null ? 'system' : initiators[kindOf(record.cause)],
        reason_admin: { en: record.note },
      },
    },
  };
}

interface About {
  readonly uri: string;
  readonly subject: Readonly<Record<string, unknown>>;
  /** Members of the event of its own. */
  readonly more: Readonly<Record<string, unknown>>;
  /** What the event belongs to: the id of a task or of a stop. */
  readonly txn: string;
}

/** The session is the task; its agent is the application. A task without a user has the agent as its subject. */
function ofTask({ of, record }: SignalledRecord, issuer: string, task: Task | undefined): About {
  const id = record.task ?? '';
  const user = task === undefined || task.subject === task.agent ? null : issSub(issuer, task.subject);
  return {
    uri: of === 'ends' ? SESSION_REVOKED : CREDENTIAL_COMPROMISE,
    subject: {
      format: 'complex',
      session: { format: 'opaque', id },
      ...(task === undefined ? {} : { application: { format: 'uri', uri: task.agent } }),
      ...(user === null ? {} : { user }),
    },
    more: of === 'ends' ? {} : { credential_type: 'jwt' },
    txn: id,
  };
}

const detailsOf = (record: EndRecord | EventRecord): EventRecord['details'] =>
  record.kind === 'event' ? record.details : {};

function ofStop(details: EventRecord['details'], issuer: string): About {
  const kind = details['kind'];
  const what = textOf(details['what']);
  const txn = textOf(details['order']);
  const until = typeof details['until'] === 'number' ? { until: Math.floor(details['until'] / 1_000) } : {};
  const tenant = { format: 'uri', uri: issuer };
  if (kind === 'agent' && !what.includes('*'))
    return { uri: SESSION_REVOKED, subject: { format: 'uri', uri: what }, more: {}, txn };
  if (kind === 'user') {
    const { issuer: vouching, subject } = stoppedUser({ what });
    return { uri: SESSION_REVOKED, subject: issSub(vouching ?? issuer, subject), more: {}, txn };
  }
  if (kind === 'all') return { uri: SESSION_REVOKED, subject: { format: 'complex', tenant }, more: {}, txn };
  return { uri: STOP_EVENT, subject: { format: 'complex', tenant }, more: { kind, what, ...until }, txn };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const issSub = (iss: string, sub: string) => ({ format: 'iss_sub', iss, sub });

/** `initiating_entity` of CAEP by the kind of cause. */
const initiators: Readonly<Record<CauseKind, 'admin' | 'policy' | 'system'>> = {
  agent: 'system',
  parent: 'system',
  deadline: 'system',
  idle: 'system',
  binding: 'policy',
  context: 'policy',
  limit: 'policy',
  signal: 'policy',
  operator: 'admin',
};

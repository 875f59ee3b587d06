import { useFrom } from '../../core/ledger/recorded-use.ts';
import type { UseRecord } from '../../core/ledger/record.ts';
import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { CallShape } from '../../core/action/call-shape.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';
import { NO_SHAPE } from './read-shape.ts';

/** The agent, the time and the target of a recorded call. */
export interface SeenCall {
  /** SPIFFE ID of its agent. */
  readonly agent: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly task: string | null;
  readonly host: string;
  readonly method: string;
  /** Raw and canonical, without the query. */
  readonly path: string;
  readonly shape: CallShape;
}

/** A recorded call that can be learnt from. */
export interface LearntCall extends SeenCall {
  /** The action that the catalog of that time had for it; `null` for none. */
  readonly action: string | null;
  /** Its recorded arguments. */
  readonly args?: UseRecord['args'];
  /** What enforcing would have answered: `allow`, or the reason of a denial. */
  readonly would: 'allow' | ReasonCode;
  /** Hash of the policy set that decided it. */
  readonly policySet: string | null;
}

/** Why a record of a use teaches nothing, in words. */
export type LeftOut = { readonly left: string };

const METHOD = /^[A-Z]{1,16}$/;
const MAX_PATH = 4096;
const MAX_TASK = 64;

/**
 * The call in a record of kind `use`; why it is left out if it teaches nothing: it was denied, its caller is unknown, or it could not be
 * parsed. `foreign` if the record is malformed.
 */
export function learntCallFrom(record: { readonly [name: string]: JsonValue }): LearntCall | LeftOut | 'foreign' {
  const use = useFrom(record);
  if (isProblem(use)) return 'foreign';
  const isObserved = use.mode === 'observe';
  if (use.decision === 'deny')
    return { left: `${isObserved ? 'denied while observing' : 'denied'}: ${use.reason ?? 'no reason'}` };
  if (use.agent === null) return { left: 'of a caller without an identity' };
  if (use.host === '' || use.path === '') return { left: 'not parsed: no policy can allow it' };
  if (isDeny(spiffeIdFrom(use.agent)) || !isPlainPlace(use)) return 'foreign';
  const { agent, at, task, host, method, path, action, args, policySet, shape = NO_SHAPE } = use;
  const would = use.would?.reason ?? 'allow';
  return {
    agent,
    at,
    task,
    host,
    method,
    path,
    shape,
    action: use.shape === undefined ? action : null,
    ...(args === undefined ? {} : { args }),
    would,
    policySet,
  };
}

/** Whether method, path and task are such as a parsed call has: a record’s texts may be cut or foreign. */
const isPlainPlace = ({ method, path, task }: UseRecord): boolean =>
  METHOD.test(method) && path.startsWith('/') && path.length <= MAX_PATH && (task?.length ?? 0) <= MAX_TASK;

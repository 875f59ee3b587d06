import { deny, isDeny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { areTooLong } from '../arguments/argument.ts';
import { refusedArguments, TOO_LONG } from '../arguments/argument-refusal.ts';
import type { ArgumentRefusal } from '../arguments/argument-refusal.ts';
import type { Carried } from '../http/carried.ts';
import type { CatalogAction, McpServer } from '../catalog/catalog.ts';
import { actionOf } from '../http/http.ts';
import type { Action } from '../http/http.ts';
import { jsonArguments } from '../arguments/json-arguments.ts';
import type { JsonRpcId } from '../json-rpc.ts';
import { answerValues, inputValues } from './mcp-inputs.ts';
import type { McpAnswer } from './mcp-answer.ts';
import type { PriorCall, PriorCalls } from './prior-calls.ts';
import { MAX_READINGS, readingsOf } from '../arguments/readings.ts';
import type { FurtherValues } from '../arguments/readings.ts';

/** A message that continues an earlier call, without saying which. */
export interface FollowUp {
  readonly kind: 'follow-up';
  readonly mcp: McpServer;
  /** `Mcp-Session-Id`; `null` without a session. */
  readonly session: string | null;
  readonly sent:
    | { readonly kind: 'answer'; readonly id: JsonRpcId; readonly answer: McpAnswer }
    /** `responses`: those of `tasks/update`; `null` for other methods. */
    | { readonly kind: 'task'; readonly responses: ReadonlyMap<string, unknown> | null };
  readonly jsonRpcId: JsonRpcId | null;
  readonly method: string | null;
  readonly carried: Carried | undefined;
  /** The headers that no rule reads; absent if there are none. */
  readonly otherHeaders?: Carried;
}

/** Whether a call continues an earlier call. */
export const isFollowUp = (attempt: Action | Deny | FollowUp): attempt is FollowUp => attempt.kind === 'follow-up';

/**
 * The action of a message that continues an earlier call: the action of that call, with its arguments and those that the message
 * brings. Only the server knows which call is meant, so every possible call is a reading, and each must be permitted.
 * Denies with `action.unasked` if no such call is known: an answer that nobody asked for, or asked for elsewhere. But if all actions of
 * the server are of low risk and its catalog entry names no questions and no tasks, the message belongs to the session. Pure, never
 * throws.
 */
export function followUpActionFrom(followUp: FollowUp, prior: PriorCalls): Action | Deny {
  const action = continuedFrom(followUp, prior);
  return isDeny(action) || followUp.otherHeaders === undefined
    ? action
    : { ...action, otherHeaders: followUp.otherHeaders };
}

function continuedFrom(followUp: FollowUp, prior: PriorCalls): Action | Deny {
  const { mcp, sent, session } = followUp;
  const folders = foldersAction(followUp);
  if (sent.kind === 'answer' && session === null) return folders ?? unasked(followUp);
  if (sent.kind === 'answer' && prior.isAnswered(sent.id))
    return deny('action.unasked', 'the question of the server was answered before');
  if (prior.isCut) return deny('action.unasked', 'more calls of the session than are remembered may be meant');
  const known = prior.calls.flatMap((call) => {
    const entry = mcp.asking.get(call.action);
    return entry === undefined ? [] : [{ call, entry }];
  });
  const able = known.filter(({ entry: { carries } }) =>
    sent.kind === 'task' ? carries.hasTasks : carries.inputs.size > 0,
  );
  if (able.length === 0) return folders ?? unasked(followUp);
  const found: Action[] = folders === null || isDeny(folders) ? [] : [folders];
  let refusal: Deny | null = null;
  for (const { call, entry } of able) {
    const readings = readingsIn(entry, call, sent);
    if ('problem' in readings) refusal ??= refusedArguments(entry, readings);
    else
      for (const { args, answered } of readings.readings)
        found.push(continued(followUp, { entry, args, answered, prior }));
  }
  if (found.length > MAX_READINGS) return deny('action.arguments', TOO_MANY);
  const [first, ...further] = found.toSorted((a, b) => RISKS[b.risk] - RISKS[a.risk]);
  if (first === undefined) return folders ?? refusal ?? unasked(followUp);
  return further.length === 0 ? first : { ...first, further };
}

/** The action of the client's folders, if the catalog has it: the server requests them outside of any call. */
function foldersAction({ mcp: { roots }, sent, carried }: FollowUp): Action | Deny | null {
  if (roots === null || sent.kind !== 'answer' || sent.answer.kind !== 'roots') return null;
  const read = jsonArguments(roots.args, { roots: sent.answer.uris });
  if ('problem' in read) return refusedArguments(roots, read);
  return actionOf(roots, { args: read.args, isDecidedOnHeaders: false, ...(carried && { carried }) });
}

const RISKS = { low: 0, medium: 1, high: 2 } as const;
const TOO_MANY = `the message has more than ${MAX_READINGS} readings`;

function unasked({ mcp, sent, jsonRpcId, method, carried }: FollowUp): Action | Deny {
  if (!mcp.isLowRisk || mcp.asking.size > 0)
    return deny(
      'action.unasked',
      sent.kind === 'answer'
        ? 'no call of the session is known about which the server can have asked'
        : 'no call of the caller is known that can have become a task',
    );
  const args: Action['args'] = new Map();
  const said = method === null ? {} : { mcp: { method, tool: null } };
  return actionOf(mcp.session, { args, isDecidedOnHeaders: false, jsonRpcId, ...said, ...(carried && { carried }) });
}

interface Answered {
  readonly args: Action['args'];
  readonly answered: ReadonlySet<string>;
}

/** What the arguments of an earlier call are with those that the message brings. */
function readingsIn(
  { carries }: CatalogAction,
  { args }: PriorCall,
  sent: FollowUp['sent'],
): { readonly readings: readonly Answered[] } | ArgumentRefusal {
  if (sent.kind === 'task') {
    if (sent.responses === null) return { readings: [{ args, answered: new Set() }] };
    const read = inputValues(sent.responses, carries);
    return 'problem' in read ? read : withBrought(args, [read.values]);
  }
  // A posted answer does not name its question, so it is read as the answer to each that it fits.
  const fitting: FurtherValues[] = [];
  let refusal: ArgumentRefusal | null = null;
  for (const input of carries.inputs.values()) {
    const read = answerValues(sent.answer, input, '/result/content');
    if ('problem' in read) refusal ??= read;
    else fitting.push(read.values);
  }
  return fitting.length === 0 && refusal !== null ? refusal : withBrought(args, fitting);
}

function withBrought(
  args: Action['args'],
  brought: readonly FurtherValues[],
): { readonly readings: readonly Answered[] } | ArgumentRefusal {
  const all: Answered[] = [];
  for (const values of brought) {
    const readings = readingsOf(args, values);
    if (readings === null) return { problem: TOO_MANY };
    if (readings.some(areTooLong)) return TOO_LONG;
    all.push(...readings.map((reading) => ({ args: reading, answered: new Set(values.keys()) })));
  }
  return { readings: all };
}

function continued(
  { session, sent, jsonRpcId, method, carried }: FollowUp,
  { entry, args, answered, prior }: Answered & { readonly entry: CatalogAction; readonly prior: PriorCalls },
): Action {
  return actionOf(entry, {
    args,
    isDecidedOnHeaders: false,
    jsonRpcId,
    continues: { calls: prior, answered, message: { session, answer: sent.kind === 'answer' ? sent.id : null } },
    ...(method === null ? {} : { mcp: { method, tool: null } }),
    ...(carried && { carried }),
  });
}

import { deny, isDeny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { areTooLong } from '../arguments/argument.ts';
import { missingArgument, refusedArguments, TOO_LONG } from '../arguments/argument-refusal.ts';
import type { HttpCall } from '../http/call.ts';
import { carriedFrom } from '../http/carried.ts';
import type { CatalogAction } from '../catalog/catalog.ts';
import { grpcMessageFrom } from './grpc-frame.ts';
import { actionOf } from '../http/http.ts';
import type { Action, ArgumentValue } from '../http/http.ts';
import { carriedByHttp } from '../http/http-carriers.ts';
import { messageValues } from './protobuf/message-values.ts';
import { otherFields } from './protobuf/other-fields.ts';

/** Protobuf only: `application/grpc+json` or gRPC-Web could reach another handler. */
const GRPC_TYPE = /^application\/grpc(?:\+proto)?$/;

/**
 * The action of a call to a gRPC method. A method without arguments is decided on headers: its messages are not read, so that a
 * stream is not held back. With arguments, the proxy must send the single message whole and uncompressed. Denies with
 * `request.malformed` for invalid protobuf, `action.arguments` for arguments that are missing, of another type or ambiguous,
 * and `request.unsupported` for anything but gRPC with protobuf. Pure, never throws.
 */
export function grpcActionFrom(call: HttpCall, entry: CatalogAction): Action | Deny {
  const type = call.headers.get('content-type') ?? [];
  if (type.length !== 1 || !GRPC_TYPE.test(type[0] ?? ''))
    return deny('request.unsupported', 'the content type of a gRPC call is not `application/grpc`');
  if (call.query !== '') return deny('request.unsupported', 'a gRPC call must not have a query');
  if (entry.message === null) {
    const carried = carriedByHttp(call, entry, null);
    return actionOf(entry, { args: new Map(), isDecidedOnHeaders: true, ...(carried && { carried }) });
  }
  const message = grpcMessageFrom(call.body);
  if (isDeny(message)) return message;
  const args = messageValues(message, entry.message);
  if ('problem' in args) {
    const { reason, problem, argument } = args;
    const clientFacts = argument === undefined ? {} : { clientFacts: { argument } };
    return deny(reason, `the message of \`${entry.id}\` ${problem}`, clientFacts);
  }
  if (areTooLong(args)) return refusedArguments(entry, TOO_LONG);
  const missing = missingOf(entry, args);
  if (missing !== null) return missing;
  const carried = carriedFrom(otherFields(message, entry.message));
  return actionOf(entry, { args, isDecidedOnHeaders: false, ...(carried && { carried }) });
}

function missingOf(entry: CatalogAction, found: ReadonlyMap<string, ArgumentValue>): Deny | null {
  const missing = entry.args.find(({ name, required }) => required && !found.has(name));
  return missing === undefined ? null : refusedArguments(entry, missingArgument(missing));
}

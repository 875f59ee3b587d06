import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { CatalogAction } from './catalog.ts';
import { grpcMessageFrom } from './grpc-frame.ts';
import { actionOf } from './http.ts';
import type { Action, ArgumentValue } from './http.ts';
import { messageValues } from './protobuf/message-values.ts';

/** Messages in protobuf alone: `application/grpc+json` or gRPC-Web could reach another handler. */
const GRPC_TYPE = /^application\/grpc(?:\+proto)?$/;

/**
 * The action of a call to a gRPC method. Without arguments it is decided on its headers: no message is looked at, so that a
 * stream is not held back. With arguments its one message must have been sent to the check whole and not compressed; one
 * that is no protobuf is `request.malformed`, one whose arguments are missing, of another type or have more than one reading
 * `action.arguments`. What is no gRPC with protobuf messages is `request.unsupported`. Pure, never throws.
 */
export function grpcActionFrom(call: HttpCall, entry: CatalogAction): Action | Deny {
  const type = call.headers.get('content-type') ?? [];
  if (type.length !== 1 || !GRPC_TYPE.test(type[0] ?? ''))
    return deny('request.unsupported', 'the content type of a gRPC call is not `application/grpc`');
  if (call.query !== '') return deny('request.unsupported', 'a gRPC call has no query');
  if (entry.message === null) return actionOf(entry, { args: new Map(), isDecidedOnHeaders: true });
  const message = grpcMessageFrom(call.body);
  if (isDeny(message)) return message;
  const args = messageValues(message, entry.message);
  if ('problem' in args) return deny(args.reason, `the message of \`${entry.id}\` ${args.problem}`);
  const missing = missingOf(entry, args);
  return missing ?? actionOf(entry, { args, isDecidedOnHeaders: false });
}

function missingOf({ id, args }: CatalogAction, found: ReadonlyMap<string, ArgumentValue>): Deny | null {
  const missing = args.find(({ name, required }) => required && !found.has(name));
  return missing === undefined
    ? null
    : deny('action.arguments', `arguments of \`${id}\`: \`${missing.name}\` is missing`);
}

import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { CatalogAction } from './catalog.ts';
import { actionOf } from './http.ts';
import type { Action } from './http.ts';

/** Messages in protobuf alone: `application/grpc+json` or gRPC-Web could reach another handler. */
const GRPC_TYPE = /^application\/grpc(?:\+proto)?$/;

/**
 * The action of a call to a gRPC method. It is decided on its headers: no message is looked at, so that a stream is not
 * held back. What is no gRPC with protobuf messages is `request.unsupported`. Pure, never throws.
 */
export function grpcActionFrom(call: HttpCall, entry: CatalogAction): Action | Deny {
  const type = call.headers.get('content-type') ?? [];
  if (type.length !== 1 || !GRPC_TYPE.test(type[0] ?? ''))
    return deny('request.unsupported', 'the content type of a gRPC call is not `application/grpc`');
  if (call.query !== '') return deny('request.unsupported', 'a gRPC call has no query');
  return actionOf(entry, { args: new Map(), isDecidedOnHeaders: true });
}

import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { MAX_MESSAGE_BYTES } from '../json-rpc.ts';

const PREFIX_BYTES = 5;

/**
 * The message of a unary gRPC call: a prefix of 5 bytes, then exactly the length it states. Denies with
 * `request.body-incomplete` if the proxy did not send the whole message, `request.unsupported` if it is compressed, `request.too-large`
 * above 1 MiB, and `request.malformed` if more data follows.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export function grpcMessageFrom(body: Uint8Array | null): Uint8Array | Deny {
  if (body === null) return deny('request.body-incomplete', 'the gRPC message was not sent to the check as bytes');
  if (body.length < PREFIX_BYTES)
    return deny('request.body-incomplete', 'the prefix of the gRPC message is incomplete');
  const flag = body[0] ?? 0;
  if (flag === 1) return deny('request.unsupported', 'the gRPC message is compressed');
  if (flag !== 0) return deny('request.malformed', 'the gRPC message has an unknown flag');
  const length = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(1);
  if (length > MAX_MESSAGE_BYTES) {
    return deny('request.too-large', `the gRPC message is longer than ${MAX_MESSAGE_BYTES} bytes`);
  }
  const message = body.subarray(PREFIX_BYTES);
  if (message.length < length)
    return deny('request.body-incomplete', 'the gRPC message is shorter than its prefix says');
  return message.length === length
    ? message
    : deny('request.malformed', 'data follows the only gRPC message of the call');
}

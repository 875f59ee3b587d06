import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { MAX_MESSAGE_BYTES } from './json-rpc.ts';

const PREFIX_BYTES = 5;

/**
 * The one message of a unary gRPC call: a prefix of 5 bytes, then exactly as many as it says. It denies with
 * `request.body-incomplete` where the message was not sent to the check whole, with `request.unsupported` where it is
 * compressed, with `request.too-large` above 1 MiB, and with `request.malformed` where more follows it.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export function grpcMessageFrom(body: Uint8Array | null): Uint8Array | Deny {
  if (body === null) return deny('request.body-incomplete', 'the gRPC message was not sent to the check as bytes');
  if (body.length < PREFIX_BYTES) return deny('request.body-incomplete', 'the gRPC message has no whole prefix');
  const flag = body[0] ?? 0;
  if (flag === 1) return deny('request.unsupported', 'the gRPC message is compressed');
  if (flag !== 0) return deny('request.malformed', 'the gRPC message has a flag that is none');
  const length = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(1);
  if (length > MAX_MESSAGE_BYTES) {
    return deny('request.too-large', `the gRPC message is longer than ${MAX_MESSAGE_BYTES} bytes`);
  }
  const message = body.subarray(PREFIX_BYTES);
  if (message.length < length)
    return deny('request.body-incomplete', 'the gRPC message is shorter than its prefix says');
  return message.length === length
    ? message
    : deny('request.malformed', 'more follows the one gRPC message of the call');
}

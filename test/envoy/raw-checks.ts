import { framed } from '../../src/envoy/grpc-messages.ts';
import { CHECK_PATH } from '../../src/envoy/proto.ts';
import { Flag } from '../../src/http2/frame.ts';
import { indexed, Literal, literal } from '../http2/hpack.ts';
import { RawClient } from '../http2/raw-client.ts';
import { ask, data } from '../http2/requests.ts';

const POST_OVER_HTTP = Buffer.concat([indexed(3), indexed(6)]);
const FIRST = Buffer.concat([
  POST_OVER_HTTP,
  literal(4, CHECK_PATH, Literal.kept),
  literal('content-type', 'application/grpc', Literal.kept),
]);
/** The headers of a check by their places in the table, in four bytes. */
const SHORT = Buffer.concat([POST_OVER_HTTP, indexed(63), indexed(62)]);

/** The headers of a check, with whatever more they say; `FIRST_STREAM` must have had its own. */
export const checkBegun = (stream: number, more: Buffer = Buffer.alloc(0)): Buffer =>
  ask(stream, 0, Buffer.concat([SHORT, more]));

/** A check, all of it. */
export const wholeCheck = (stream: number, message: Buffer): Buffer =>
  Buffer.concat([checkBegun(stream), data(stream, framed(message), Flag.endStream)]);

/** The first stream of a client that may be used. */
export const FIRST_STREAM = 3;

/** A client whose checks take few bytes; its first stream is of no use. */
export async function rawChecks(address: string): Promise<RawClient> {
  const client = await RawClient.to(Number(address.split(':')[1]));
  await client.send(ask(1, Flag.endStream, FIRST));
  return client;
}

import { framed } from '../../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { CHECK_PATH } from '../../../src/sidecar/envoy/proto.ts';
import { AuthorizationServer } from '../../../src/sidecar/envoy/server.ts';
import type { ExtAuthzServerOptions } from '../../../src/sidecar/envoy/server-options.ts';
import { Flag } from '../../../src/sidecar/http2/frame.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { indexed, Literal, literal } from '../http2/hpack.ts';
import { RawClient, widened } from '../http2/raw-client.ts';
import { ask, data } from '../http2/requests.ts';
import { oneByOne, type OneHandler } from './handlers.ts';
import { refuse } from './wire.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { must } from '../../builders/must.ts';

const POST_OVER_HTTP = Buffer.concat([indexed(3), indexed(6)]);
const FIRST = Buffer.concat([
  POST_OVER_HTTP,
  literal(4, CHECK_PATH, Literal.kept),
  literal('content-type', 'application/grpc', Literal.kept),
]);
/** The headers of a check as indexes into the table, in four bytes. */
const SHORT = Buffer.concat([POST_OVER_HTTP, indexed(63), indexed(62)]);

/** The headers of a check, with additional ones. `FIRST_STREAM` must have been sent before. */
export const checkBegun = (stream: number, more: Buffer = Buffer.alloc(0)): Buffer =>
  ask(stream, 0, Buffer.concat([SHORT, more]));

/** A complete check. */
export const wholeCheck = (stream: number, message: Buffer): Buffer =>
  Buffer.concat([checkBegun(stream), data(stream, framed(message), Flag.endStream)]);

/** The first usable stream of a client. */
export const FIRST_STREAM = 3;

/** A client whose checks take few bytes. Its first stream fills the table. Its windows fit all answers. */
async function rawChecks(address: string): Promise<RawClient> {
  const client = await RawClient.to(Number(address.split(':')[1]));
  await client.send(ask(1, Flag.endStream, FIRST), widened(0, 0x7000_0000));
  return client;
}

/** Servers of checks with such clients, all closed after each test. */
export function rawStage() {
  const closing = closedAfterEach();
  return async (handler: OneHandler = done, over: Partial<ExtAuthzServerOptions> = {}) => {
    const server = new AuthorizationServer(oneByOne(handler), {
      ...systemPorts,
      refuse,
      // Long enough that nothing is denied for its deadline on a busy machine.
      maxCheckMs: 60_000,
      ...over,
    });
    closing.push(() => server.close(50));
    const bound = must(await server.listen(['127.0.0.1:0']));
    const client = async (): Promise<RawClient> => {
      const opened = await rawChecks(bound[0] ?? '');
      closing.push(() => opened.close());
      return opened;
    };
    return { server, client };
  };
}

/** Answers each check with the length of its message. */
export const done: OneHandler = ({ length }) => Buffer.from(`done ${length}`);

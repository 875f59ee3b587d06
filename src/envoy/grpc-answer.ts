import { constants, type ServerHttp2Stream } from 'node:http2';
import { framed } from './grpc-messages.ts';

/** The gRPC status codes that are sent. */
export const GrpcStatus = Object.freeze({
  ok: 0,
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
});

const HEADERS = Object.freeze({ ':status': 200, 'content-type': 'application/grpc' });
const WITH_TRAILERS = Object.freeze({ waitForTrailers: true, sendDate: false });
const WHOLE = Object.freeze({ endStream: true, sendDate: false });
const OK_TRAILERS = Object.freeze({ 'grpc-status': '0' });

/** For a client to end its part of a call that was answered. */
const LET_GO_MS = 200;

/** Sends the messages of an answer that has more to come; `endAnswer` ends it. */
export function sendMessage(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (open(stream)) stream.write(framed(message));
}

/** Ends an answer, with its only or its last message. Does nothing where nobody waits any more. */
export function endAnswer(stream: ServerHttp2Stream, message: Uint8Array | null): void {
  if (!open(stream)) return;
  if (message === null) stream.end();
  else stream.end(framed(message));
}

/** Answers with a gRPC error, whose text is printable ASCII without `%`. */
export function failAnswer(stream: ServerHttp2Stream, code: number, details: string): void {
  if (stream.destroyed || stream.closed || stream.writableEnded) return;
  const status = { 'grpc-status': String(code), 'grpc-message': details };
  if (stream.headersSent) {
    stream.removeListener('wantTrailers', sendOk);
    stream.once('wantTrailers', () => sendTrailers(stream, status));
    stream.end();
    return;
  }
  stream.respond({ ...HEADERS, ...status }, WHOLE);
  letGo(stream);
}

/** Refuses what is no gRPC call. */
export function refuseHttp(stream: ServerHttp2Stream, status: number): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond({ ':status': status }, WHOLE);
  letGo(stream);
}

/** Whether something can be sent; sends the headers before the first. */
function open(stream: ServerHttp2Stream): boolean {
  if (stream.destroyed || stream.closed || stream.writableEnded) return false;
  if (stream.headersSent) return true;
  stream.respond(HEADERS, WITH_TRAILERS);
  stream.once('wantTrailers', sendOk);
  return true;
}

function sendOk(this: ServerHttp2Stream): void {
  sendTrailers(this, OK_TRAILERS);
}

function sendTrailers(stream: ServerHttp2Stream, trailers: Readonly<Record<string, string>>): void {
  stream.sendTrailers(trailers);
  letGo(stream);
}

/** What a client still sends after its answer is thrown away, and its stream ended where it does not do that itself. */
function letGo(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return;
  stream.resume();
  setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LET_GO_MS).unref();
}

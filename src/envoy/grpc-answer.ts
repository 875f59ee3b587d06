import { headerBlock } from '../http2/header-block.ts';
import type { AnswerableStream } from '../http2/stream.ts';
import { framed } from './grpc-messages.ts';

/** The gRPC status codes used. */
export const GrpcStatus = Object.freeze({
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
});

const ANSWER = Object.freeze({ ':status': '200', 'content-type': 'application/grpc' });
const HEADERS = headerBlock(ANSWER);
const OK_TRAILERS = headerBlock({ 'grpc-status': '0' });

/** Sends a message of a streaming answer; `endAnswer` ends it. */
export function sendMessage(stream: AnswerableStream, message: Uint8Array): void {
  if (!stream.isAnswerable) return;
  if (!stream.isAnswered) stream.respond(HEADERS);
  stream.send(framed(message));
}

/** Ends an answer with its only or last message. Does nothing where the stream is over. */
export function endAnswer(stream: AnswerableStream, message: Uint8Array | null): void {
  if (!stream.isAnswerable) return;
  if (!stream.isAnswered) stream.respond(HEADERS);
  if (message !== null) stream.send(framed(message));
  stream.end(OK_TRAILERS);
  stream.letGo();
}

/** Answers with a gRPC error; the text must be printable ASCII without `%`. */
export function failAnswer(stream: AnswerableStream, code: number, details: string): void {
  if (!stream.isAnswerable) return;
  const status = { 'grpc-status': String(code), 'grpc-message': details };
  if (stream.isAnswered) stream.end(headerBlock(status));
  else stream.respond(headerBlock({ ...ANSWER, ...status }), { ends: true });
  stream.letGo();
}

/** Refuses a request that is not gRPC. */
export function refuseHttp(stream: AnswerableStream, status: number): void {
  stream.respond(headerBlock({ ':status': String(status) }), { ends: true });
  stream.letGo();
}

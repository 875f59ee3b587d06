import { ErrorCode } from '../../http2/frame.ts';
import { headerBlock } from '../../http2/header-block.ts';
import type { AnswerableStream } from '../../http2/stream.ts';
import type { GrpcCall } from './grpc-call.ts';
import { framed } from './grpc-messages.ts';

const ANSWER = Object.freeze({ ':status': '200', 'content-type': 'application/grpc' });
const HEADERS = headerBlock(ANSWER);
const OK_TRAILERS = headerBlock({ 'grpc-status': '0' });

/** A gRPC call on a stream of our own HTTP/2. */
export class OwnHttp2Call implements GrpcCall {
  readonly #stream: AnswerableStream;

  constructor(stream: AnswerableStream) {
    this.#stream = stream;
  }

  sendMessage(message: Uint8Array): void {
    const stream = this.#stream;
    if (!stream.isAnswerable) return;
    if (!stream.isAnswered) stream.respond(HEADERS);
    stream.send(framed(message));
  }

  end(message: Uint8Array): void {
    if (!this.#stream.isAnswerable) return;
    this.sendMessage(message);
    this.#stream.end(OK_TRAILERS);
    this.#stream.letGo();
  }

  fail(code: number, details: string): void {
    const stream = this.#stream;
    if (!stream.isAnswerable) return;
    const status = { 'grpc-status': String(code), 'grpc-message': details };
    if (stream.isAnswered) stream.end(headerBlock(status));
    else stream.respond(headerBlock({ ...ANSWER, ...status }), { ends: true });
    stream.letGo();
  }

  cut(): void {
    this.#stream.reset(ErrorCode.cancel);
  }

  took(length: number): void {
    this.#stream.took(length);
  }
}

/** Refuses a request that is not gRPC. */
export function refuseHttp(stream: AnswerableStream, status: number): void {
  stream.respond(headerBlock({ ':status': String(status) }), { ends: true });
  stream.letGo();
}

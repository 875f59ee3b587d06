import type { StreamEvents } from '../../http2/stream.ts';

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

/** The metadata of a call, before its first message. */
export interface GrpcHead {
  /** Milliseconds the client waits, counted from now; `null` if it set no valid limit. */
  readonly timeoutMs: number | null;
  /** The `traceparent` as sent; `null` if there is none. */
  readonly traceparent: string | null;
}

/** A gRPC call as its method sees it, over either server. Sending on a call that is over does nothing. */
export interface GrpcCall {
  /** Sends a message of a streaming answer; `end` ends it. */
  sendMessage(message: Uint8Array): void;
  /** Ends an answer with its only or last message. */
  end(message: Uint8Array): void;
  /** Answers with a gRPC error; the text must be printable ASCII without `%`. */
  fail(code: number, details: string): void;
  /** Abandons the call: its client does not read the answer, or does not half-close. */
  cut(): void;
  /** Marks received bytes as consumed: the client may send more. */
  took(length: number): void;
}

/** Handles the calls of a method. Returns the listener of the call, which hears length-prefixed messages in pieces of any size. */
export type GrpcMethod = (call: GrpcCall, head: GrpcHead) => StreamEvents;

/** Ignores further input of a call that was answered. */
export const unread = (call: Pick<GrpcCall, 'took'>): StreamEvents => ({
  data: ({ length }) => call.took(length),
  ended: () => undefined,
  closed: () => undefined,
});

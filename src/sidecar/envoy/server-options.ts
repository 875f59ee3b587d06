/** What the server of ext_authz is given, and what it gives its transports. */
import type { AccessLogSink } from './access-log/access-log.ts';
import type { GrpcMethod } from './grpc/grpc-call.ts';
import type { BindProblem } from './grpc/grpc-server.ts';
import type { RefusalCause, Refuse, RefusedCall } from './check/refusal.ts';
import type { CheckSignal } from '../check/asked-check.ts';

/** A check with the used parts of its gRPC call. */
export interface CheckMessage {
  /** The CheckRequest, a view of a larger buffer: whatever outlives the check must be copied. */
  readonly message: Uint8Array;
  /** The `traceparent` of the gRPC call as sent. */
  readonly traceparent: string | null;
  /** When the answer must be ready, monotonic. Always finite. */
  readonly deadlineMs: number;
  readonly signal: CheckSignal;
}

/** The handler behind the transport. */
export interface CheckHandler {
  /** The bytes of a CheckResponse for each check, in order. Synchronous if nothing must be awaited. */
  answers(checks: readonly CheckMessage[]): readonly (Uint8Array | Promise<Uint8Array>)[];
  /**
   * The bytes that let a call pass whose check the server refuses, if the call is only observed; `null` if it is refused. Absent: no call is
   * observed.
   *
   * @param underWay of a check that goes on being decided: the decision id is noted in it
   */
  passing?(check: CheckMessage, cause: RefusalCause, underWay?: RefusedCall): Uint8Array | null;
  /** Work that may follow after ready answers were sent, in the same turn of the event loop. */
  afterwards(): void;
}

/** The server of the addresses that are not of this machine alone. */
export interface NetworkTransport {
  /** Binds an address. Gives the bound address, or the problem. */
  listen(address: { readonly host: string; readonly port: number }): Promise<string | BindProblem>;
  /** Resumes reading after `isCrowded` was true. */
  readOn(): void;
  /** Lets open calls finish, and aborts what is left after `graceMs`. Never rejects. */
  close(graceMs: number): Promise<void>;
}

/** What the server gives its transports. */
export interface TransportParts {
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly isCrowded: () => boolean;
  readonly onFault: (error: unknown) => void;
}

/** Dependencies and limits of the server. */
export interface ExtAuthzServerOptions {
  /** The bytes of a denial. If it throws or returns nothing, the server sends its own. */
  readonly refuse: Refuse;
  readonly monotonicMs: () => number;
  /**
   * The agent of a CheckRequest, or `null` if it exceeds its rate limit. Called before decoding. Default: all requests count as a single
   * agent without a limit.
   */
  readonly admit?: (request: Buffer) => string | null;
  /**
   * Most checks waiting for an answer; 256 by default. One agent may have four times as many waiting as there are free places.
   * Further checks are refused as `overloaded`.
   */
  readonly maxInFlight?: number;
  /** Time limit if the client sets no deadline or a later deadline; 10,000 by default. */
  readonly maxCheckMs?: number;
  /**
   * Called before a batch of checks is decided, all of which have arrived by then, and after it; nothing is awaited in between.
   */
  readonly turn?: { readonly begins: () => void; readonly over: () => void };
  /** Called with errors of handlers and calls, and of connections that could not be accepted. */
  readonly onFault?: (error: unknown) => void;
  /** Receives access logs; without it that service is not offered. */
  readonly accessLog?: AccessLogSink;
  /** A socket that was taken over was removed, and is bound again. */
  readonly onRebound?: (address: string, times: number) => void;
  /** Makes the server of an address that is not loopback. Without it such an address is refused. */
  readonly network?: (parts: TransportParts) => NetworkTransport;
}

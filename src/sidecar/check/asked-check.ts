import type { HttpCall } from '../../core/action/http/call.ts';
import type { Deny } from '../../core/decision/decision.ts';
import type { PeerFacts } from '../../core/identity/caller.ts';

/** A check as asked. If the request could not be read, `facts` is the `Deny` with the reason; it is recorded and traced like any other. */
export interface AskedCheck {
  readonly facts: CheckFacts | RefusedRequest;
  readonly call: CheckCall;
  /** Time spent on decoding the message, in milliseconds. */
  readonly decodeMs?: number;
}

/** Why a request is refused before it is decided, and what is known of it all the same. */
export interface RefusedRequest extends Deny {
  /**
   * Absent if the request is not HTTP, or could not be decoded at all. Only this decides whether the call is observed, and
   * whether its token denies it even then.
   */
  readonly seen?: {
    readonly peer: PeerFacts;
    /** `null` if it names no single host. */
    readonly host: string | null;
    /** The values of `authorization`. */
    readonly authorization: readonly string[];
  };
}

/** One call as the proxy described it, parsed once and canonical. Later stages do not read the message again. */
export interface CheckFacts {
  readonly peer: PeerFacts;
  readonly call: HttpCall;
  readonly trace: CallTrace;
  /** IP address of the remote end of the connection. */
  readonly sourceAddress: string | null;
  /** Its port. */
  readonly sourcePort: number | null;
  /** The name by which the proxy's access log names the call too, even without our decision; absent if the proxy gives none. */
  readonly callName?: string;
}

/** The trace contexts of a call, each a W3C `traceparent` or `null`. */
export interface CallTrace {
  /** From the gRPC metadata: the proxy's own span of this check. */
  readonly parent: string | null;
  /** From the call's headers: what the application claims. */
  readonly application: string | null;
}

/** The deadline of a check, and whether the client still waits for it. */
export interface CheckCall {
  /** Milliseconds on the monotonic clock; `Infinity` if the proxy set no deadline. */
  readonly deadlineMs: number;
  readonly signal: CheckSignal;
  /** The `traceparent` of the gRPC call, as sent. */
  readonly traceparent: string | null;
}

/** Whether a check that is being decided was already answered or given up. */
export interface CheckSignal {
  /** Whether the answer is no longer awaited. */
  readonly aborted: boolean;
  /** The decision id with which the call was answered at its deadline; absent while it was not. */
  readonly refusedAs?: string;
  /** Set if that answer let the call pass, because it is only observed. */
  readonly isPassed?: true;
}

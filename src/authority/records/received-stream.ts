import type { LogPart } from './emitter.ts';

/** Notifications for the stream of a log. */
export interface StreamWatcher {
  /** All records before this number are kept. */
  readonly onKept: (size: number) => void;
  /** The stream is over: another stream of its log began, another authority took the log over, or it was silent for too long. */
  readonly onOver: (problem: string) => void;
}

/** Why a stream, or a part of it, is refused. */
export interface StreamRefusal {
  readonly problem: string;
  /** Whether the same may succeed later: nothing is wrong with the log. */
  readonly isLater: boolean;
}

/** The stream of a log, once it may send. */
export interface ReceivedStream {
  /** Number of records that are kept: the next part continues there. */
  readonly size: number;
  /** Takes the next part; resolves once there is room for another. @returns why it is refused, which ends the stream */
  readonly receive: (part: LogPart) => Promise<StreamRefusal | null>;
  /** The stream ended. @param isWhole whether the emitter ended it after sending everything */
  readonly end: (isWhole: boolean) => Promise<void>;
}

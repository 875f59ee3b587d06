import type { ArgumentValue } from '../arguments/argument.ts';

/** A call that was allowed before in the same session, by the same caller, for the same task. */
export interface PriorCall {
  /** Id of its action. */
  readonly action: string;
  readonly args: ReadonlyMap<string, ArgumentValue>;
}

/** The calls of a session that a message can continue. */
export interface PriorCalls {
  /** Without repetitions. */
  readonly calls: readonly PriorCall[];
  /** Whether there were more than are remembered: then nothing can be continued, since any of them may be meant. */
  readonly isCut: boolean;
  /** Whether the request of the server with this id was answered before. */
  readonly isAnswered: (id: string | number) => boolean;
}

/** No calls are known. */
export const noPriorCalls: PriorCalls = { calls: [], isCut: false, isAnswered: () => false };

import type { MessageProblem } from '../grpc/grpc-messages.ts';
import { preparedDenial } from './response.ts';

/**
 * Why the server answers instead of the handler: `full` if too many checks or bytes are waiting; `late` if more checks arrive than can be
 * decided, and this check waited for half of its time; `agent` if its agent exceeds its rate; `deadline` if its deadline passed; `failed` if
 * it threw; `unreadable` or `too-large` for its message.
 */
export type RefusalCause = 'full' | 'late' | 'agent' | 'deadline' | 'failed' | 'unreadable' | 'too-large';

/** A call that was answered without its decision. */
export interface RefusedCall {
  /** The decision id of that answer; absent before it. */
  refusedAs?: string;
  /** Set if that answer let the call pass, because it is only observed. */
  isPassed?: true;
}

/** Gives the bytes of a denial. Its decision id is noted in `call`, if given. */
export type Refuse = (cause: RefusalCause, call?: RefusedCall) => Uint8Array;

/** The cause for a call without a valid message; `full` if the budget had no room. */
export const refusalCause: Readonly<Record<MessageProblem | 'full', RefusalCause>> = {
  full: 'full',
  'too-large': 'too-large',
  malformed: 'unreadable',
  incomplete: 'unreadable',
};

/** A denial with the nil UUID, for when no decision id can be made. */
const LAST_RESORT = preparedDenial('internal', { helpUrl: null })('00000000-0000-0000-0000-000000000000');

/**
 * Wraps a source of denials so that it always returns a denial. INVARIANT: never empty, because Envoy reads an empty answer as an
 * allow.
 */
export const surely =
  (refuse: Refuse): Refuse =>
  (cause, call) => {
    try {
      const bytes = refuse(cause, call);
      return bytes.length > 0 ? bytes : LAST_RESORT;
    } catch {
      return LAST_RESORT;
    }
  };

import type { MessageProblem } from './grpc-messages.ts';
import { preparedDenial } from './response.ts';

/**
 * Why the server answers instead of the handler: `full` where too many checks or bytes are waiting; `late` where a check waited
 * until too near its deadline; `agent` where its agent exceeds its rate; `deadline` where its deadline passed; `failed` where
 * it threw; `unreadable` or `too-large` for its message.
 */
export type RefusalCause = 'full' | 'late' | 'agent' | 'deadline' | 'failed' | 'unreadable' | 'too-large';

/** The cause for a call without a valid message; `full` where the budget had no room. */
export const refusalCause: Readonly<Record<MessageProblem | 'full', RefusalCause>> = {
  full: 'full',
  'too-large': 'too-large',
  malformed: 'unreadable',
  incomplete: 'unreadable',
};

/** A denial with the nil UUID, for when no decision id can be made. */
const LAST_RESORT = preparedDenial('internal', { helpUrl: null })('00000000-0000-0000-0000-000000000000');

/**
 * Wraps a source of denials so that it always returns one. INVARIANT: never empty, because Envoy reads an empty answer as an
 * allow.
 */
export const surely =
  (refuse: (cause: RefusalCause) => Uint8Array) =>
  (cause: RefusalCause): Uint8Array => {
    try {
      const bytes = refuse(cause);
      return bytes.length > 0 ? bytes : LAST_RESORT;
    } catch {
      return LAST_RESORT;
    }
  };

import type { MessageProblem } from './grpc-messages.ts';
import { preparedDenial } from './response.ts';

/**
 * Why the server answers in the handler's place: `full` where too many checks wait or hold too many bytes, `late` where one waited in
 * the queue until too near to its deadline, one agent asks too often, the deadline came, the check failed, or its message is no
 * message or too large.
 */
export type RefusalCause = 'full' | 'late' | 'agent' | 'deadline' | 'failed' | 'unreadable' | 'too-large';

/** Why a call that has no message is refused; `full` where no more of it could be held. */
export const refusalCause: Readonly<Record<MessageProblem | 'full', RefusalCause>> = {
  full: 'full',
  'too-large': 'too-large',
  malformed: 'unreadable',
  incomplete: 'unreadable',
};

/** A denial whose decision id is the nil UUID: nothing was there to give it one. */
const LAST_RESORT = preparedDenial('internal', { helpUrl: null })('00000000-0000-0000-0000-000000000000');

/** The bytes of a denial, whatever becomes of who gives them. INVARIANT: never empty, since to Envoy an empty answer is an allow. */
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

/** Asks the issuer what it would grant of an intent, and parses the answer. */
import { bool, integer, listOf, members, optional, type Reader, text } from '../../core/runtime/fields.ts';

/** Whether an action would be granted. */
export interface CheckedAction {
  readonly action: string;
  readonly granted: boolean;
  /** The reason code; `null` if it is granted. */
  readonly reason: string | null;
  /** The operator's advice, and the nearest action if the action does not exist; `null` if there is neither. */
  readonly advice: string | null;
  readonly nearest: string | null;
  /** Why every use of what is granted would be denied; `null` if some use may pass. */
  readonly uses_denied: { readonly reason: string; readonly advice: string | null } | null;
}

/** The issuer's answer to what would be granted of an intent. */
export interface CheckedIntent {
  readonly granted: boolean;
  readonly actions: readonly CheckedAction[];
  /** Why the whole intent is refused; `null` if it is not. */
  readonly refusal: { readonly error: string; readonly error_description: string } | null;
  /** As they would be granted. */
  readonly authorization_details: readonly unknown[];
  /** Life of the task and of its first token; `null` with a refusal. */
  readonly task_seconds: number | null;
  readonly token_seconds: number | null;
}

const others = { others: 'ignored' } as const;
const words = optional(text({ max: 4_096 }));
const anyEntry: Reader<unknown> = (value) => value;
/** As many as an intent can have in all of its entries, twice. */
const MAX_ACTIONS = 128;

const usesDenied = optional(members({ reason: text({ max: 4_096 }), advice: words }, others));

const action: Reader<CheckedAction> = members(
  { action: text({ max: 256 }), granted: bool, reason: words, advice: words, nearest: words, uses_denied: usesDenied },
  others,
);

/** Parses the answer. Its texts come from a verified issuer, but may have characters that are not printable. */
export const checkedIntent: Reader<CheckedIntent> = members(
  {
    granted: bool,
    actions: listOf(action, { min: 0, max: MAX_ACTIONS }),
    refusal: optional(members({ error: text({ max: 64 }), error_description: text({ max: 2_048 }) }, others)),
    authorization_details: listOf(anyEntry, { min: 0, max: 64 }),
    task_seconds: optional(integer(0, 86_400)),
    token_seconds: optional(integer(0, 86_400)),
  },
  others,
);

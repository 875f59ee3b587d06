/** Classes of outcomes. */
export const OUTCOME_CLASSES = ['success', 'client-error', 'server-error', 'denied', 'unanswered', 'unasked'] as const;

/**
 * How a call ended: `success`, `client-error` and `server-error` by the upstream's status; `denied` by Remit; `unanswered` if it was
 * allowed but no upstream answered; `unasked` if there was no decision and none was needed.
 */
export type OutcomeClass = (typeof OUTCOME_CLASSES)[number];

/**
 * What a denied client can do next, each word with the sentence that its person or model reads. A client that knows no other member of the
 * answer can act on the word alone.
 */
export const nextSteps = {
  retry_later: 'This is a fault on our side: try the same call again later.',
  new_token: 'Get a new token, then try again.',
  change_arguments: 'Change the call: it is denied again unless it is changed.',
  call_again: 'This continues an earlier call that is not known here: make that call again.',
  declare_again:
    'Declare a task that covers this call, if it is still what you were asked to do. Below `remit run` ask the person who started you.',
  ask_person: 'Do not repeat the call. Ask the person you work for.',
  stop: 'Stop this task. Do not repeat the call, and do not declare the task again.',
} as const satisfies Readonly<Record<string, string>>;

/** A word of the table, such as `ask_person`. */
export type NextStep = keyof typeof nextSteps;

import type { ReasonCode } from '../../../core/decision/reasons.ts';

/** The stages of a check, in the order of the data path. */
export const STAGE_NAMES = ['asked', 'identity', 'token', 'task', 'action', 'policy', 'answer'] as const;

/** The name of a stage. */
export type StageName = (typeof STAGE_NAMES)[number];

/** The first word of a reason. */
type Topic<Code extends string = ReasonCode> = Code extends `${infer First}.${string}` ? First : Code;

/** The stage that denies for the reasons of a topic. */
const BY_TOPIC: Readonly<Record<Topic, StageName>> = {
  request: 'asked',
  identity: 'identity',
  stopped: 'identity',
  token: 'token',
  task: 'task',
  action: 'action',
  policy: 'policy',
  // Limits over all tasks are counted where a use is settled.
  limit: 'answer',
  ledger: 'answer',
  check: 'answer',
  internal: 'answer',
  overloaded: 'answer',
};

/** The stage that denies for a reason. */
export function stageOf(reason: ReasonCode): StageName {
  // A stop of a user is looked for once the task is known.
  if (reason === 'stopped.user') return 'task';
  // Safe: the first word of a code is its topic.
  return BY_TOPIC[reason.split('.')[0] as Topic];
}

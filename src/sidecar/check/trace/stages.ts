/** The stages of a check, in the order of the data path. */
export const STAGE_NAMES = ['asked', 'identity', 'token', 'task', 'action', 'policy', 'answer'] as const;

/** The name of a stage. */
export type StageName = (typeof STAGE_NAMES)[number];

const STAGES: Readonly<Partial<Record<string, StageName>>> = {
  request: 'asked',
  identity: 'identity',
  stopped: 'identity',
  'stopped.user': 'task',
  token: 'token',
  task: 'task',
  action: 'action',
  policy: 'policy',
  ledger: 'answer',
  check: 'answer',
};

/** The stage that denies for a reason; `null` for a reason of no stage. */
export const stageOf = (reason: string): StageName | null =>
  STAGES[reason] ?? STAGES[reason.split('.')[0] ?? ''] ?? null;

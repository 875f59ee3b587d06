/** The stages of a check, in the order of the data path. */
export const STAGE_NAMES = ['asked', 'identity', 'token', 'task', 'action', 'policy', 'answer'] as const;

/** The name of a stage. */
export type StageName = (typeof STAGE_NAMES)[number];

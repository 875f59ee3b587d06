import type { QueueSettings } from './span-queue.ts';

/** The standard `OTEL_*` variables. */
export type OtelVariables = Readonly<Record<string, string | undefined>>;

const MAX_SETTING = 1_000_000;

/** A variable as a whole number from `least` to a million; `undefined` where it is absent or invalid. */
export function wholeNumberFrom(variables: OtelVariables, name: string, least: number): number | undefined {
  const text = variables[name]?.trim() ?? '';
  const given = text === '' ? NaN : Number(text);
  return Number.isSafeInteger(given) && given >= least && given <= MAX_SETTING ? given : undefined;
}

/** Defaults per queue: room for four seconds at 2,000 checks a second. */
const DEFAULTS: Omit<QueueSettings, 'maxBytes'> = { maxSpans: 8192, batchSpans: 512, delayMs: 1000, timeoutMs: 30_000 };

/** Twice the size of a check's span; the caller chooses the length of the path in it. */
const MEAN_SPAN_BYTES = 2048;

/** Queue limits from the `OTEL_BSP_*` variables; invalid values count as absent. */
export function queueSettingsFrom(variables: OtelVariables): QueueSettings {
  const number = (name: string, fallback: number): number => wholeNumberFrom(variables, name, 1) ?? fallback;
  const maxSpans = number('OTEL_BSP_MAX_QUEUE_SIZE', DEFAULTS.maxSpans);
  return {
    maxSpans,
    maxBytes: maxSpans * MEAN_SPAN_BYTES,
    batchSpans: Math.min(maxSpans, number('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', DEFAULTS.batchSpans)),
    delayMs: number('OTEL_BSP_SCHEDULE_DELAY', DEFAULTS.delayMs),
    timeoutMs: number('OTEL_BSP_EXPORT_TIMEOUT', DEFAULTS.timeoutMs),
  };
}

/** Reads `OTEL_*` variables. */
import type { QueueSettings } from './spans/span-queue.ts';

/** The standard `OTEL_*` variables. */
export type OtelVariables = Readonly<Record<string, string | undefined>>;

/** The signals of OpenTelemetry, spelled as in its variables. */
export type Signal = 'TRACES' | 'LOGS' | 'METRICS';

/** The trimmed value of a variable; `undefined` if it is absent or blank. */
export const otelText = (variables: OtelVariables, name: string): string | undefined =>
  variables[name]?.trim() || undefined;

/** The OTLP variable of a signal (`OTEL_EXPORTER_OTLP_LOGS_PROTOCOL`), or the general variable if that is absent. */
export const otlpText = (variables: OtelVariables, signal: Signal, name: string): string | undefined =>
  otelText(variables, `OTEL_EXPORTER_OTLP_${signal}_${name}`) ?? otelText(variables, `OTEL_EXPORTER_OTLP_${name}`);

/** Whether `OTEL_SDK_DISABLED` turns everything off. */
export const isSdkDisabled = (variables: OtelVariables): boolean =>
  otelText(variables, 'OTEL_SDK_DISABLED')?.toLowerCase() === 'true';

/** The largest setting: a million spans, characters or milliseconds (a quarter of an hour). */
export const MAX_SETTING = 1_000_000;

/** A variable as a whole number from `least` to a million; `undefined` if it is absent or invalid. */
export function wholeNumberFrom(variables: OtelVariables, name: string, least: number): number | undefined {
  const text = otelText(variables, name);
  const given = text === undefined ? NaN : Number(text);
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

import { accessSync, constants } from 'node:fs';
import { otelProblems } from '../core/telemetry/environment-problems.ts';
import type { OtelVariables } from '../core/telemetry/environment.ts';

/** The invalid `OTEL_*` variables, a line each; certificate and key files must be readable. */
export const otelEnvironmentProblems = (variables: OtelVariables): readonly string[] =>
  otelProblems(variables, isReadable);

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

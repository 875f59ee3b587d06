import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { otelVariables } from '../../../src/core/telemetry/environment-problems.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/watch/opentelemetry.md'), 'utf8');

/** Read but never refused: any value is valid. */
const NEVER_REFUSED = 'OTEL_SERVICE_NAME';

/** The general form of a variable of one signal; the page describes both together. */
const general = (name: string): string => {
  const own = name.replace(/^(OTEL_EXPORTER_OTLP)_(?:TRACES|LOGS|METRICS)_/, '$1_');
  return otelVariables.includes(own) ? own : name;
};

describe('deploy/guide/watch/opentelemetry.md', () => {
  it('lists each variable that is read, and no other', () => {
    const documented = Array.from(page.matchAll(/`(OTEL|…)(_[A-Z_]+)/g), ([, start, rest = '']) =>
      general(`${start === 'OTEL' ? start : 'OTEL_EXPORTER_OTLP'}${rest}`),
    );
    expect(new Set(documented)).toEqual(new Set([...otelVariables.map(general), NEVER_REFUSED]));
  });
});

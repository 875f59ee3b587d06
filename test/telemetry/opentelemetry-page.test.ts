import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { otelVariables } from '../../src/telemetry/environment-problems.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/watch/opentelemetry.md'), 'utf8');

/** Read and never refused: any name is one. */
const NEVER_REFUSED = 'OTEL_SERVICE_NAME';

/** A variable of one signal as the general one, by which the page tells of both. */
const general = (name: string): string => {
  const own = name.replace(/^(OTEL_EXPORTER_OTLP)_(?:TRACES|LOGS|METRICS)_/, '$1_');
  return otelVariables.includes(own) ? own : name;
};

describe('deploy/guide/watch/opentelemetry.md', () => {
  it('tells of each variable that is read, and of no other', () => {
    const told = Array.from(page.matchAll(/`(OTEL|…)(_[A-Z_]+)/g), ([, start, rest = '']) =>
      general(`${start === 'OTEL' ? start : 'OTEL_EXPORTER_OTLP'}${rest}`),
    );
    expect(new Set(told)).toEqual(new Set([...otelVariables.map(general), NEVER_REFUSED]));
  });
});

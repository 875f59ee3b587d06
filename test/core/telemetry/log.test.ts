import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { LogConfig } from '../../../src/core/config/log.ts';
import { Faults } from '../../../src/core/telemetry/faults.ts';
import { logEvents, logTo } from '../../../src/core/telemetry/log.ts';

const nowMs = () => Date.UTC(2026, 10, 26, 17, 28, 20, 123);

function logOf(config: Partial<LogConfig> = {}) {
  const lines: string[] = [];
  return {
    lines,
    log: logTo((line) => lines.push(line), { config: () => ({ format: 'text', level: 'info', ...config }), nowMs }),
  };
}

describe('logTo', () => {
  it('writes time, level, event, message and fields, one line per event', () => {
    const { lines, log } = logOf();
    log('not ready: policies: none', 'not-ready', { unmet: 1, by: 'a b' });
    log('words\nof a client\u001b[2J');
    expect(lines).toEqual([
      '2026-11-26T17:28:20.123Z warn  not-ready not ready: policies: none unmet=1 by="a b"',
      '2026-11-26T17:28:20.123Z info  notice words?of a client?[2J',
    ]);
  });

  it('writes JSON in which no field replaces time, level, event or message', () => {
    const { lines, log } = logOf({ format: 'json' });
    log('remit starts', 'start', { version: '1', level: 'x' });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { time: '2026-11-26T17:28:20.123Z', level: 'info', event: 'start', message: 'remit starts', version: '1' },
    ]);
  });

  it('leaves out events below the level', () => {
    const { lines, log } = logOf({ level: 'error' });
    log('ready', 'ready');
    log('a check failed', 'check-failed');
    expect(lines).toHaveLength(1);
  });
});

describe('deploy/guide/watch/log.md', () => {
  it('lists every event with its level', () => {
    const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/watch/log.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `([a-z-]+)` +\| (\w+) /gm)].map(([, event, level]) => [event, level]);
    expect(rows).toEqual(Object.entries(logEvents));
  });
});

describe('Faults', () => {
  it('logs each fault once, each change of its text, and its end', () => {
    const { lines, log } = logOf();
    const faults = new Faults(log);
    for (const problem of [null, 'gone', 'gone', 'slow', null, null]) faults.set('keys', problem);
    expect(lines.map((line) => line.slice('2026-11-26T17:28:20.123Z '.length))).toEqual([
      'error fault keys: gone what=keys',
      'error fault keys: slow what=keys',
      'info  recovered keys: over: slow what=keys',
    ]);
  });
});

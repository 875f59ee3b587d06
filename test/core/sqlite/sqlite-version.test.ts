import { describe, expect, it } from '@jest/globals';
import { sqliteVersionProblem } from '../../../src/core/sqlite/sqlite-version.ts';

describe('sqliteVersionProblem', () => {
  it.each(['3.51.3', '3.53.4', '3.52.0', '4.0.0', '3.50.7', '3.50.12', '3.44.6'])('accepts %s', (version) => {
    expect(sqliteVersionProblem(version)).toBeNull();
  });

  it.each(['3.51.2', '3.51.0', '3.50.6', '3.49.9', '3.45.0', '3.44.5', '3.7.0', '3.6.23', '2.8.17'])(
    'refuses %s, which can lose committed writes or has no strict tables',
    (version) => {
      expect(sqliteVersionProblem(version)).toMatch(
        /^SQLite [\d.]+ can lose committed writes of a WAL database: 3.51.3, /,
      );
    },
  );

  it.each(['', '3.51', '3.51.3-beta', 'undefined'])('refuses `%s`, which is no version', (version) => {
    expect(sqliteVersionProblem(version)).toBe(`invalid SQLite version \`${version}\``);
  });
});

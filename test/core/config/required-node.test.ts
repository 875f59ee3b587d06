import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { nodeProblem } from '../../../src/core/config/required-node.ts';

const root = new URL('../../../', import.meta.url);

describe('nodeProblem', () => {
  it.each(['22.22.3', '22.23.0', '24.15.0', '24.16.2', '26.0.0', '26.10.0', '27.0.0'])('accepts %s', (version) => {
    expect(nodeProblem(version)).toBeNull();
  });

  it.each(['18.20.0', '20.20.2', '22.22.2', '22.15.0', '23.11.0', '24.14.9', '25.9.0'])('refuses %s', (version) => {
    expect(nodeProblem(version)).toContain(
      `this is Node ${version}; Remit needs 22.22.3 or later, 24.15 or later, or 26`,
    );
  });

  it('agrees with `engines` and README', () => {
    const { engines } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
    expect(engines.node).toBe('^22.22.3 || ^24.15.0 || >=26.0.0');
    expect(readFileSync(new URL('README.md', root), 'utf8')).toContain('Node 22.22.3 or later, 24.15 or later, or 26');
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CATEGORIES, codes } from '../../../src/tools/doctor/codes.ts';
import { BOOTSTRAP_FAULTS } from './bootstrap-faults.ts';
import { ENVOY_FAULTS } from './envoy-faults.ts';
import { HOST_FAULTS } from './host-faults.ts';
import { KUBERNETES_FAULTS } from './kubernetes-faults.ts';

const guide = resolve(import.meta.dirname, '../../../deploy/guide/fix');
const pageOf = (category: string): string => {
  const file = resolve(guide, 'doctor', `${category}.md`);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

/** A row of the table of faults. */
const row = (fault: string, found: readonly string[]): string =>
  `| ${fault} | ${found.length === 0 ? 'nothing' : found.map((code) => `\`${code}\``).join(' ')} |`;

describe('the pages of the doctor', () => {
  it.each(CATEGORIES)('explain each code of %s, and no other', (category) => {
    const headings = [...pageOf(category).matchAll(/^## `(.+)`$/gm)].map(([, code = '']) => code);
    const known = [...codes.keys()].filter((code) => code.startsWith(`${category}.`));
    expect(headings.toSorted()).toEqual(known.toSorted());
  });

  it('are linked from the page of the command', () => {
    const page = readFileSync(resolve(guide, 'doctor.md'), 'utf8');
    for (const category of CATEGORIES) expect(page).toContain(`(doctor/${category}.md)`);
  });

  it('have the table of all faults that tests make, and what is found', () => {
    const rows = [
      ...ENVOY_FAULTS.map(({ found, name }) => row(`running Envoy: ${name}`, found)),
      ...BOOTSTRAP_FAULTS.map(({ found, name }) => row(`bootstrap: ${name}`, found)),
      ...KUBERNETES_FAULTS.map(({ found, guard, name }) => row(`cluster, Envoy in the ${guard}: ${name}`, found)),
      ...HOST_FAULTS.map(([host, name, , found]) => row(`deploy/${host}: ${name}`, found.split(' '))),
    ];
    const page = readFileSync(resolve(guide, 'doctor/faults.md'), 'utf8');
    const written = page.split('\n').filter((line) => /^\| (?:running|bootstrap|cluster|deploy)/.test(line));
    expect(written.map((line) => line.replaceAll(/ +/g, ' '))).toEqual(rows);
  });

  it('have a test that makes the fault of each code of a host', () => {
    const made = new Set<string>([
      ...ENVOY_FAULTS.flatMap(({ found }) => found),
      ...HOST_FAULTS.flatMap(([, , , found]) => found.split(' ')),
      ...KUBERNETES_FAULTS.flatMap(({ found }) => found),
      // In `remit-settings.test.ts`, `short-streams.test.ts`, `socket-access.test.ts`, `envoy.test.ts` and `bootstrap.test.ts`.
      'envoy.empty-error',
      // In `trust-domain.test.ts`.
      'envoy.other-domain',
      'istio.other-domain',
      'envoy.host-unserved',
      'envoy.split-sessions',
      'envoy.short-streams',
      'envoy.socket-access',
      'envoy.old-version',
      'envoy.config-refused',
    ]);
    const ofHosts = [...codes.keys()].filter((code) =>
      /^(?:envoy|istio|envoy-gateway|agentgateway|kubernetes)\./.test(code),
    );
    expect(ofHosts.filter((code) => !made.has(code))).toEqual([]);
  });
});

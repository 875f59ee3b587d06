import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CATEGORIES, codes } from '../../src/doctor/codes.ts';

const guide = resolve(import.meta.dirname, '../../deploy/guide/fix');
const pageOf = (category: string): string => {
  const file = resolve(guide, 'doctor', `${category}.md`);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
};

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
});

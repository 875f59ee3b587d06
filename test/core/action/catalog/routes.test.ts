import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Routes } from '../../../../src/core/action/catalog/routes.ts';
import { pathTemplateFrom } from '../../../../src/core/action/catalog/template.ts';
import type { PathTemplate } from '../../../../src/core/action/catalog/template.ts';

const segment = fc.constantFrom('a', 'b', 'c', '{p}', '{q}');
const template = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map((segments) => pathTemplateFrom('/' + segments.map((text, at) => text.replace('}', `${at}}`)).join('/')))
  .filter((parsed): parsed is PathTemplate => !('problem' in parsed));
const path = fc.array(fc.constantFrom('a', 'b', 'c', 'd', ''), { minLength: 1, maxLength: 5 });

const matches = (parsed: PathTemplate, segments: readonly string[]): boolean =>
  parsed.segments.length === segments.length &&
  parsed.segments.every((part, at) => ('literal' in part ? part.literal === segments[at] : segments[at] !== ''));
const shape = (parsed: PathTemplate): string =>
  parsed.segments.map((part) => ('literal' in part ? `=${part.literal}` : '~')).join('/');

describe('Routes', () => {
  it('agrees with a naive search for the most specific route', () => {
    fc.assert(
      fc.property(fc.array(template, { maxLength: 12 }), path, (templates, segments) => {
        const routes = new Routes<PathTemplate>();
        const added = templates.filter((one) => routes.add('GET', one, one) === null);
        const candidates = added
          .filter((one) => matches(one, segments))
          .map(shape)
          .sort();
        const found = routes.find('GET', segments);
        // '=' sorts before '~', so the first is the one with the leftmost literal.
        expect(found === undefined ? undefined : shape(found)).toBe(candidates[0]);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses overlapping routes of which neither is more specific, in any order', () => {
    fc.assert(
      fc.property(template, template, path, (one, other, segments) => {
        const routes = new Routes<string>();
        routes.add('GET', one, 'one');
        const first = routes.add('GET', other, 'other');
        const reversed = new Routes<string>();
        reversed.add('GET', other, 'other');
        const second = reversed.add('GET', one, 'one');
        expect(first === null).toBe(second === null);
        if (first !== null || !matches(one, segments) || !matches(other, segments)) return;
        const compare = one.segments.map((part, at) => {
          const there = other.segments[at];
          return Number('literal' in part) - Number(there !== undefined && 'literal' in there);
        });
        expect(compare.every((sign) => sign >= 0) || compare.every((sign) => sign <= 0)).toBe(true);
        expect(compare.some((sign) => sign !== 0)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});

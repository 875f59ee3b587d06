import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from '@jest/globals';
import { evidenceClasses } from '../../../src/tools/evidence/evidence-class.ts';
import { frameworks } from '../../../src/tools/evidence/frameworks.ts';

const folder = join(import.meta.dirname, '../../../src/tools/evidence/frameworks');
const SCHEMA = 'framework.schema.json';
const files = readdirSync(folder).filter((name) => name !== SCHEMA);
const jsonIn = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));

describe('the files of frameworks', () => {
  const validate = new Ajv({ allErrors: true }).compile(jsonIn(SCHEMA) as object);

  it.each(files)('%s is as the schema says', (name) => {
    expect([validate(jsonIn(name)), validate.errors]).toEqual([true, null]);
  });

  it('are named by the id of their framework, and a report can be made of each', () => {
    expect([...frameworks.keys()].map((id) => `${id}.json`).toSorted()).toEqual(files.toSorted());
  });

  it('name classes of evidence that there are', () => {
    const known = new Set<string>(evidenceClasses.map(({ id }) => id));
    const named = [...frameworks.values()].flatMap(({ controls }) => controls.flatMap(({ classes }) => classes));
    expect(named.filter((id) => !known.has(id))).toEqual([]);
  });

  it.each<[string, object]>([
    ['an unknown coverage', { coverage: 'most' }],
    ['evidence if nothing is covered', { coverage: 'none', classes: ['E1'] }],
    ['no evidence if something is covered', { coverage: 'partial', classes: [] }],
    ['no limit', { limit: '' }],
    ['a field that nobody reads', { weight: 1 }],
  ])('with %s are refused', (_name, changed) => {
    const control = { id: 'A', title: 'a', coverage: 'partial', classes: ['E1'], limit: 'some', ...changed };
    const framework = { $schema: './framework.schema.json', id: 'a', title: 'a', version: '1', source: 'a' };
    expect(validate({ ...framework, controls: [control] })).toBe(false);
  });
});

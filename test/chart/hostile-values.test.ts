import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { describeWith, helmPart } from '../parts.ts';
import { caseFile, chartFolder, mustTemplate, objectsOf } from './chart.ts';

type Values = Readonly<Record<string, unknown>>;

const isSection = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The paths of all texts of a tree, and of maps and lists, which could hold some. */
const placesIn = (value: unknown, path: readonly string[] = []): readonly (readonly string[])[] =>
  isSection(value) && Object.keys(value).length > 0
    ? Object.entries(value).flatMap(([key, below]) => placesIn(below, [...path, key]))
    : [path];

/** A tree with one value. */
const only = ([first = '', ...rest]: readonly string[], value: unknown): Values => ({
  [first]: rest.length === 0 ? value : only(rest, value),
});

/** One tree over another. */
const merged = (below: Values, above: Values): Values =>
  Object.fromEntries(
    [...new Set([...Object.keys(below), ...Object.keys(above)])].map((key) => {
      const [old, young] = [below[key], above[key]];
      return [key, isSection(old) && isSection(young) ? merged(old, young) : (young ?? old)];
    }),
  );

/** A text that would end its own line, and its block. */
const hostile = (n: number): string => `x${n}'"\n      evil: true\n---\nevil: true\n#{{ fail "evil" }}`;

const read = (file: string): string => readFileSync(join(chartFolder, file), 'utf8');

/** Texts that the schema of the values lets pass, each at every place where it does. */
function acceptedHostility(): readonly Values[] {
  const isValid = new Ajv({ strict: false, logger: false }).compile(JSON.parse(read('values.schema.json')));
  const defaults = parse(read('values.yaml')) as Values;
  return placesIn(defaults).flatMap((path, n) =>
    [hostile(n), [hostile(n)], { evil_: hostile(n) }]
      .map((value) => only(path, value))
      // As Helm, which judges the values that are given over the defaults.
      .filter((values) => isValid(merged(defaults, values))),
  );
}

/** Whether a key of a tree is of a name. */
const hasKey = (value: unknown, name: string): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).some(([key, below]) => key === name || hasKey(below, name));

/** Values that are templates or objects by what they are for. */
const OWN_OBJECTS = ['extraObjects', 'global'];

/** Whether a value contradicts a case: policies that it has in a ConfigMap or a bundle, or the audiences of another mode. */
const contradicts = ({ policies, node }: Values, name: string): boolean =>
  (isSection(policies) && 'files' in policies) || (isSection(node) && 'audiences' in node && name !== 'node');

describeWith(helmPart(), 'hostile values that the schema lets pass', ([helm]) => {
  const folder = mkdtempSync(join(tmpdir(), 'remit-hostile-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const accepted = acceptedHostility().filter((values) => !OWN_OBJECTS.some((name) => name in values));

  it('are some, so that this test can fail', () => {
    expect(accepted.length).toBeGreaterThan(10);
  });

  it.each(['postgres', 'postgres-by-certificate', 'node', 'monitored', 'sidecars'])(
    'stay texts in what is rendered with the values `%s`',
    async (name) => {
      const own = parse(readFileSync(caseFile(name), 'utf8')) as Values;
      const values = accepted.filter((one) => !contradicts(one, name));
      const file = join(folder, `${name}.json`);
      writeFileSync(file, JSON.stringify(values.reduce(merged, own)));
      const objects = objectsOf(await mustTemplate(helm, ['--values', file]));
      expect(objects.length).toBeGreaterThan(4);
      expect(objects.filter((object) => hasKey(object, 'evil'))).toEqual([]);
      expect(JSON.stringify(objects)).toContain('evil: true');
    },
  );
});

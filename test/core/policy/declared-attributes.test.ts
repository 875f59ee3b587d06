import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { schemaFrom } from '../../../src/core/policy/schema.ts';
import { baseSchema } from '../../builders/policy-folder.ts';
import { must } from '../../builders/must.ts';
import { mustCatalog } from '../../builders/catalog.ts';

const catalogText = `servers:
  pay:
    hosts: [pay.test]
    audience: https://pay.test
    attributes: { tier: restricted, if: 1 }
    routes:
      - { action: pay.a, method: GET, path: /, risk: low, attributes: { own: true } }
      - { action: pay.b, method: GET, path: /b, risk: low }
  wiki:
    hosts: [wiki.test]
    audience: https://wiki.test
    attributes: { tier: open, zones: [eu] }
    routes: [{ action: wiki.a, method: GET, path: /, risk: low }]
`;

const generated = (base: string, text = catalogText) => {
  const catalog = mustCatalog(text);
  return schemaFrom(base, catalog);
};
const mustGenerate = (base: string): string => {
  const schema = must(generated(base));
  return schema.text;
};
/** An entity type as Cedar parses it. */
const readOf = (text: string, type: string): Readonly<Record<string, unknown>> => {
  const json = freshCedar().schemaToJsonWithResolvedTypes(text);
  if (json.type === 'failure') throw new Error(JSON.stringify(json.errors));
  return JSON.parse(JSON.stringify(json.json['Remit']?.entityTypes[type]));
};
/** Its attributes, and whether each is required. */
const shapeOf = (text: string, type: string): unknown => {
  const { shape } = readOf(text, type) as { shape?: { attributes: Readonly<Record<string, { required?: boolean }>> } };
  return Object.fromEntries(
    Object.entries(shape?.attributes ?? {}).map(([name, { required }]) => [name, required !== false]),
  );
};
const hasTags = (text: string, type: string): boolean => readOf(text, type)['tags'] !== undefined;

const ofServer = { tier: true, if: false, zones: false };
const ofEndpoint = { ...ofServer, own: false };
const declared = (server: string) => baseSchema.replace('entity Server;', server);

describe('the generated schema', () => {
  it('declares the attributes that every server or endpoint has, and as optional those that some have', () => {
    const text = mustGenerate(baseSchema);
    expect(shapeOf(text, 'Server')).toEqual(ofServer);
    expect(shapeOf(text, 'Endpoint')).toEqual(ofEndpoint);
    const lines = generated(baseSchema, catalogText.replaceAll(/attributes: \{[^}]*\}/g, 'labels: []'));
    // Line numbers of the base do not change.
    expect(text.split('\n')).toHaveLength('text' in lines ? lines.text.split('\n').length : -1);
  });

  it.each<[string, string, object]>([
    ['attributes of its own', 'entity Server = { owner?: String };', { owner: false }],
    ['attributes without a sign', 'entity Server { owner?: String, };', { owner: false }],
    ['an empty record', 'entity Server = {};', {}],
    ['a record in its record', 'entity Server = { a?: { tier: String } };', { a: false }],
    ['an annotation and a comment', '@doc("entity Server;") // entity Server;\n  entity Server // {\n  ;', {}],
  ])('adds to a declaration with %s', (_what, server, own) => {
    expect(shapeOf(mustGenerate(declared(server)), 'Server')).toEqual({ ...ofServer, ...own });
  });

  it('adds before the tags of an entity', () => {
    for (const server of ['entity Server tags String;', 'entity Server = { owner?: String } tags String;']) {
      const text = mustGenerate(declared(server));
      expect([shapeOf(text, 'Server'), hasTags(text, 'Server')]).toMatchObject([ofServer, true]);
    }
  });

  it.each([
    [
      'a name that both have',
      'entity Server = { "tier"?: String };',
      'the attribute `tier` of `Server` is in the catalog and in the base schema: keep one of them',
    ],
    [
      'two types in one declaration',
      'entity Server, Other;',
      'the catalog gives attributes to `Server`, but the base schema does not declare that entity by itself: declare it by itself, as in `entity Server;`',
    ],
    [
      'a closed list of servers',
      'entity Server enum ["pay"];',
      'the catalog gives attributes to `Server`, but the base schema does not declare that entity by itself: declare it by itself, as in `entity Server;`',
    ],
  ])('refuses %s', (_what, server, problem) => {
    expect(generated(declared(server))).toEqual({ problem });
  });

  it('is the base and the actions if the catalog gives no attributes', () => {
    const schema = must(generated(baseSchema, catalogText.replaceAll(/attributes: \{[^}]*\}/g, 'labels: []')));
    expect(schema.text.slice(0, schema.generatedFrom)).toBe(baseSchema.slice(0, schema.generatedFrom));
  });
});

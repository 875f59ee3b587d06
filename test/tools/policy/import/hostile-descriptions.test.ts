import { create, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from '@jest/globals';
import { descriptorSetFrom } from '../../../../src/core/action/grpc/protobuf/descriptor-set.ts';
import { importedDescriptorSet } from '../../../../src/tools/policy/import/descriptor-set.ts';
import type { Imported } from '../../../../src/tools/policy/import/entry.ts';
import { importedMcpTools } from '../../../../src/tools/policy/import/mcp-tools.ts';
import { importedOpenApi } from '../../../../src/tools/policy/import/openapi.ts';
import { importedProto } from '../../../../src/tools/policy/import/proto.ts';
import { must } from '../../../builders/must.ts';
import { thoroughly } from '../../../thoroughly.ts';

type Result = Imported | { readonly problem: string };

const options = { server: 's', prefix: 's.', only: [] };
const tool = (inputSchema: object): Result => importedMcpTools({ tools: [{ name: 'a', inputSchema }] }, options);
const argument = (defs: object): Result =>
  tool({ $defs: defs, type: 'object', properties: { p: { $ref: '#/$defs/d0' } } });
const notesOf = (result: Result): readonly string[] => ('problem' in result ? [result.problem] : result.notes);

const DEPTH = 30;
const TWO = 2;

/** Definitions of which each refers to the next. Written out, what refers twice is 2^30 times as large. */
const levels = (each: (next: object) => object, last: object): object =>
  Object.fromEntries(
    Array.from({ length: DEPTH + 1 }, (_, index) => [
      `d${index}`,
      index === DEPTH ? last : each({ $ref: `#/$defs/d${index + 1}` }),
    ]),
  );
const many = <T>(count: number, of: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => of(index));
const properties = (count: number): object =>
  Object.fromEntries(many(count, (index) => [`p${index}`, { type: 'string' }]));

const TOO_MUCH = 'it describes too much to be read at once: select what you need with `--only`';

// Without bounds, most take longer than a test may, or end the process.
describe('hostile descriptions', () => {
  it('reads each alternative and each item once, however often it is referred to', () => {
    const oneOf = levels((next) => ({ oneOf: [next, next] }), { type: 'string' });
    const shared = levels((next) => ({ oneOf: many(TWO, (minItems) => ({ type: 'array', minItems, items: next })) }), {
      type: 'string',
    });
    expect(must(argument(oneOf)).server).toMatchObject({ mcp: { tools: { a: { args: { p: {} } } } } });
    expect(notesOf(argument(shared))).toEqual([expect.stringContaining('is a list whose item is a list')]);
    const choice = { oneOf: many(TWO, (minLength) => ({ type: 'string', minLength })) };
    expect(notesOf(argument(levels((next) => ({ allOf: [next, next] }), choice)))).toEqual([TOO_MUCH]);
  });

  it('says of a list in itself, directly or in a choice, that it contains itself', () => {
    const list = { type: 'array', items: { $ref: '#/$defs/d0' } };
    for (const d0 of [list, { oneOf: [list, { ...list, minItems: 1 }] }]) {
      expect(notesOf(argument({ d0 }))).toEqual(['the tool `a`: `p` is a list whose item contains itself']);
    }
  });

  it('reads a list of any depth, and says that it is too deep', () => {
    let deep: object = { type: 'string' };
    for (let depth = 0; depth < 20_000; depth += 1) deep = { type: 'array', items: deep };
    const [note = ''] = notesOf(argument({ d0: deep }));
    expect(note.slice(0, 1_000)).toContain('is nested more than 32 deep');
    expect(note.length).toBeLessThan(1_000);
  });

  it('says of a schema whose parts are too deep, or elsewhere, that it is not read', () => {
    const $defs = {
      ...levels((next) => ({ allOf: [{ allOf: [next] }] }), { properties: { amount: { type: 'long' } } }),
    };
    expect(notesOf(tool({ $defs, $ref: '#/$defs/d0' }))).toEqual([
      'the tool `a`: its schema is nested more than 32 deep',
    ]);
    expect(notesOf(tool({ $ref: 'https://acme.test/schema.json' }))).toEqual([
      'the tool `a`: its schema refers to `https://acme.test/schema.json`, which is not in the document',
    ]);
  });

  it('refuses to merge parts without end', () => {
    const wide = { type: 'object', properties: properties(2_000) };
    const d0 = { allOf: many(2_000, () => ({ $ref: '#/$defs/wide' })) };
    expect(notesOf(argument({ wide, d0 }))).toEqual([TOO_MUCH]);
  });

  it('refuses operations that share more than a catalog holds', () => {
    const schema = { type: 'object', properties: properties(1_000) };
    const post = {
      requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/wide' } } } },
    };
    const parameters = many(1_000, (index) => ({ name: `q${index}`, in: 'query' }));
    const of = (item: object): Result =>
      importedOpenApi(
        {
          openapi: '3.1.0',
          paths: Object.fromEntries(many(1_100, (index) => [`/p${index}`, { $ref: '#/components/item' }])),
          components: { item, schemas: { wide: schema } },
        },
        options,
      );
    // Each makes a million arguments until then.
    for (const item of thoroughly<readonly object[]>([{ post }, { get: {}, parameters }], [{ post }]))
      expect(notesOf(of(item))).toEqual([TOO_MUCH]);
  });

  it('looks at a long list of values once', () => {
    const d0 = { enum: many(200_000, (index) => `v${index}`) };
    const shared = Object.fromEntries(many(1_000, (index) => [`p${index}`, { anyOf: [{ $ref: '#/$defs/d0' }] }]));
    expect(must(tool({ $defs: { d0 }, type: 'object', properties: shared })).server).toMatchObject({
      mcp: { tools: { a: { args: { p0: {}, p63: {} } } } },
    });
  });

  it('gives many names that make one id their ids', () => {
    const tools = many(40_000, (index) => ({
      name: `a${'-'.repeat(index % 100)}${' '.repeat(index / 100)}`,
      inputSchema: {},
    }));
    expect(must(importedMcpTools({ tools }, options)).notes.length).toBeGreaterThan(30_000);
    expect(notesOf(importedMcpTools({ tools: many(50_001, (index) => ({ name: `t${index}` })) }, options))).toEqual([
      'it has more than 50000 tools',
    ]);
  });

  it('looks at 1,000 fields of a message, also if no way leads to an argument', () => {
    const messageType = many(9, (level) => ({
      name: `M${level}`,
      field: many(level === 8 ? 0 : 50, (index) => ({
        name: `f${index}`,
        number: index + 1,
        label: 1,
        type: 11,
        typeName: `.p.M${level + 1}`,
      })),
    }));
    const of = (methods: number): Result => {
      const method = many(methods, (index) => ({ name: `D${index}`, inputType: '.p.M0', outputType: '.p.M0' }));
      const files = {
        file: [{ name: 'a', package: 'p', syntax: 'proto3', messageType, service: [{ name: 'S', method }] }],
      };
      const set = must(descriptorSetFrom(toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, files))));
      return importedDescriptorSet(set, { ...options, file: 'a.binpb' });
    };
    const notes = notesOf(of(1));
    expect(notes.length).toBeLessThanOrEqual(1_000);
    expect(notes.at(-1)).toContain('it has more than 1000 fields: ');
    expect(notesOf(of(1_100))).toEqual([TOO_MUCH]);
  });

  it.each([
    ['comments without end', '/*'],
    ['quotes in a string without end', '\\"'],
    ['packages', 'package a '],
  ])('reads %s in a .proto file once', (_name, text) => {
    const service = 'service S { rpc Do (X) returns (Y); }\n';
    const read = importedProto(`${service}"${text.repeat(200_000)}`, options);
    expect(must(read).server).toMatchObject({ grpc: { services: { S: { methods: { Do: {} } } } } });
  });
});
